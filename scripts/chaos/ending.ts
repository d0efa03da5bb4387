/**
 * What must hold when a run is over: every operation has its answer, WireGuard and the store have exactly what customers were
 * told, every table is empty once clients have closed and their times are over, and registrations that run out leave nothing.
 */
import type { Customer } from '../e2e/crash-customers.ts';
import { checkStore } from '../e2e/crash-store.ts';
import { until } from '../e2e/until.ts';
import type { WireGuardGo } from '../e2e/wireguard-go.ts';
import { GRACE_S } from './config.ts';
import type { ChaosGateway } from './gateway-process.ts';
import { notEmpty } from './invariants.ts';
import { BUDGET } from './load.ts';
import type { World } from './world.ts';

const SETTLE_MS = 10_000;
/** Beyond everything that ages: sessions, connections, records, quotes. Registrations stay. */
const ALL_OVER = { monotonicMs: 26 * 3_600_000, unixMs: 3_600_000 };
const DAY_S = 86_400;

/** Returns what to say of it. Rejects with what does not hold. */
export async function checkEnding(world: World): Promise<string> {
  const { shop, load, wireguard, seals } = world.parts;
  shop.closing = true;
  await until('every operation has an answer', BUDGET.seconds * 1_000, () => shop.pending === 0 || undefined);
  await load.stop();
  const standing = shop.standing;
  await sameEventually('registrations', String(standing.length), async () =>
    String((await world.entry.status()).registrations),
  );
  if (wireguard !== undefined) await sameEventually('WireGuard peers', peersOf(standing), () => peersAt(wireguard));
  for (const gateway of [world.entry, world.exit]) await checkTables(gateway);
  await world.entry.stop();
  const { registrations, tokens } = await checkStore(world.storePath, shop.customers);
  await runOut(world);
  seals.look();
  const { sealed, repeats } = seals.counts;
  return `${registrations} registrations and ${tokens} spent tokens as acknowledged, ${sealed} sealings without a nonce twice (${repeats} repeats of the same bytes), all tables empty`;
}

async function checkTables(gateway: ChaosGateway): Promise<void> {
  const { tables } = await gateway.ask('settle', ALL_OVER);
  const left = notEmpty(tables);
  if (left.length > 0) throw new Error(`tables of the ${gateway.name} are not empty: ${left.join(', ')}`);
}

/** A gateway that finds in its store what has run out frees all of it. */
async function runOut(world: World): Promise<void> {
  const { wireguard, shop } = world.parts;
  // Each token has made it longer.
  const lastOver = Math.max(0, ...shop.standing.map(({ standing }) => standing?.expires ?? 0)) + GRACE_S + DAY_S;
  await world.startEntry();
  await world.entry.ask('jump', { monotonicMs: 0, unixMs: lastOver * 1_000 - Date.now() });
  await sameEventually('registrations that have run out', '0 0', async () => {
    const { registrations, stored } = await world.entry.status();
    return `${registrations} ${stored}`;
  });
  if (wireguard !== undefined) await sameEventually('WireGuard peers', '', () => peersAt(wireguard));
  await world.entry.stop();
}

async function sameEventually(what: string, wanted: string, look: () => Promise<string>): Promise<void> {
  let found = '';
  const same = until(what, SETTLE_MS, async () => {
    found = await look();
    return found === wanted || undefined;
  });
  await same.catch(() => {
    throw new Error(`${what}: ${difference(found, wanted)}`);
  });
}

/** Of lines; neither side has secrets in it. */
function difference(found: string, wanted: string): string {
  const [has, wants] = [found.split('\n'), wanted.split('\n')];
  const missing = wants.filter((line) => !has.includes(line));
  const strange = has.filter((line) => !wants.includes(line));
  return `missing ${JSON.stringify(missing)}, besides ${JSON.stringify(strange)}`;
}

/** Of a preshared key its first letters, which tell keys apart. */
function peersOf(customers: readonly Customer[]): string {
  const lines = customers.map(({ wgPublicKey, standing }) => {
    const address = [...Buffer.from(standing?.addresses ?? '', 'hex').subarray(0, 4)].join('.');
    const presharedKey = Buffer.from(standing?.presharedKey ?? '', 'hex').toString('base64');
    return `${Buffer.from(wgPublicKey).toString('base64')} ${presharedKey.slice(0, 6)} ${address}/32`;
  });
  return lines.sort().join('\n');
}

async function peersAt(wireguard: WireGuardGo): Promise<string> {
  const lines = (await wireguard.wg('show', wireguard.name, 'dump')).trim().split('\n').slice(1);
  const peers = lines.map((line) => {
    const [publicKey = '', presharedKey = '', , allowedIps = ''] = line.split('\t');
    return `${publicKey} ${presharedKey.slice(0, 6)} ${allowedIps.split(',').find((each) => !each.includes(':'))}`;
  });
  return peers.sort().join('\n');
}
