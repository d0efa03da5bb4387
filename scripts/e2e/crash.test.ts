/**
 * A gateway that is killed (SIGKILL) again and again while clients register, top up, rekey and release: no token is spent
 * without its grant, none is granted twice, no address has two owners, whatever was acknowledged is there, and WireGuard has
 * the peers of what stands (registration.md, rules 1, 2 and 5). LEWES_KILLS and LEWES_SEED change number and seed. One lane has
 * its tunnels in memory, the other a real wireguard-go, which outlives the gateway: ava scripts/e2e/crash.test.ts
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import test from 'ava';
import { Lane } from './crash-lane.ts';
import { WireGuardGo } from './wireguard-go.ts';

const KILLS = Number(process.env.LEWES_KILLS ?? 208);
const SEED = Number(process.env.LEWES_SEED ?? Date.now() % 2 ** 31);

test('a gateway that is killed at any moment keeps what it acknowledged, and nothing by half or twice', async (t) => {
  t.timeout(15 * 60_000);
  t.log(`LEWES_SEED=${SEED}`);
  const go = await WireGuardGo.create();
  t.teardown(() => go.remove());
  const lanes = [undefined, go].map((wireguard, n) => {
    const dataDir = mkdtempSync(join(tmpdir(), 'lewes-crash-'));
    const lane = new Lane({ seed: SEED + n, dataDir, wireguard });
    t.teardown(async () => {
      await lane.abandon();
      rmSync(dataDir, { recursive: true, force: true });
    });
    return lane;
  });
  const started = performance.now();
  let left = KILLS;
  const run = async (lane: Lane, n: number) => {
    try {
      await lane.prepare();
      for (; left > 0; left -= 1) await lane.round();
      const { registrations, tokens } = await lane.finish();
      t.log(`lane ${n}: ${registrations} registrations and ${tokens} spent tokens at the end`);
    } catch (cause) {
      left = 0;
      const { starting, repeating, working } = lane.kills;
      const where = `LEWES_SEED=${SEED}, lane ${n}, after ${starting + repeating + working} kills`;
      throw new Error(`${where}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
  };
  await Promise.all(lanes.map(run));
  const seconds = Math.round((performance.now() - started) / 1_000);
  for (const { kills, totals } of lanes) t.log(JSON.stringify({ ...kills, ...totals }));
  const killed = lanes.flatMap(({ kills }) => Object.values(kills)).reduce((sum, kills) => sum + kills, 0);
  t.log(`${killed} kills in ${seconds} s`);
  t.true(killed >= KILLS);
});
