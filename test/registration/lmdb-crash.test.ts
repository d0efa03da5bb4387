/** The durable store when its process is killed at any moment: what it acknowledged is there, and nothing by half. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test, { type ExecutionContext } from 'ava';
import { Prng } from '../support/prng.ts';
import { runs, SEED } from '../support/property.ts';
import { openTestStore, storeDirectory } from './lmdb-world.ts';
import { rejects } from './store-contract.ts';
import { checkGrants, grantNext } from './store-samples.ts';

const WRITER = join(import.meta.dirname, 'fixtures', 'lmdb-writer.ts');
/** Stores that are written and killed at the same time: starting a process is what takes the time. */
const LANES = 4;
/** Lines after which a writer is killed: the first comes before it opens the store. */
const MAX_LINES = 60;

const CACHE = mkdtempSync(join(tmpdir(), 'lewes-cache-'));
test.after.always(() => rmSync(CACHE, { recursive: true, force: true }));

function startWriter(t: ExecutionContext, path: string): { child: ChildProcess; lines: AsyncIterable<string> } {
  // Compiling is most of a start.
  const env = { ...process.env, NODE_COMPILE_CACHE: CACHE };
  const child = spawn(process.execPath, [WRITER, path], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  if (child.stdout === null) throw new Error('no pipe');
  return { child, lines: createInterface({ input: child.stdout }) };
}

/** The greatest number that was acknowledged before the writer was killed, `lines` lines after its start. */
async function writeAndKill(t: ExecutionContext, path: string, lines: number): Promise<number> {
  const writer = startWriter(t, path);
  const exited = once(writer.child, 'exit');
  let seen = 0;
  let acknowledged = 0;
  // What it has said before it died comes to the end, too.
  for await (const line of writer.lines) {
    seen += 1;
    if (seen >= lines) writer.child.kill('SIGKILL');
    if (line === 'o') continue;
    if (!/^\d+$/.test(line)) throw new Error(`the writer said ${line}`);
    acknowledged = Math.max(acknowledged, Number(line));
  }
  await exited;
  return acknowledged;
}

test('a store whose process is killed at any moment has all that was acknowledged, and nothing by half', async (t) => {
  const rounds = runs(6, 50);
  const lane = async (number: number) => {
    const prng = new Prng(SEED + number);
    const path = storeDirectory(t);
    let known = 0;
    for (let round = 0; round < rounds; round += 1) {
      // Every third dies before it has opened the store, or in it.
      const lines = round % 3 === 0 ? 1 : 1 + prng.below(MAX_LINES);
      known = Math.max(known, await writeAndKill(t, path, lines));
      const store = await openTestStore(t, path);
      const found = await checkGrants(store);
      if (found < known) throw new Error(`${known} were acknowledged, ${found} are there`);
      await store.close();
    }
    return known;
  };
  const known = await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)));
  t.true(
    known.every((grants) => grants > 0),
    `${known}`,
  );
});

test('a second process is refused while the first one lives, and takes over when it was killed', async (t) => {
  const path = storeDirectory(t);
  const { child, lines } = startWriter(t, path);
  const exited = once(child, 'exit');
  let refusal = '';
  for await (const line of lines) {
    if (line === 'o' || refusal !== '') continue;
    refusal = await rejects(t, () => openTestStore(t, path), 'STORE_IN_USE');
    child.kill('SIGKILL');
  }
  await exited;
  t.regex(refusal, new RegExp(`pid ${child.pid}\\b`));
  const store = await openTestStore(t, path);
  const other = startWriter(t, path);
  const said: string[] = [];
  for await (const line of other.lines) said.push(line);
  t.deepEqual(said, ['o', 'STORE_IN_USE']);
  t.is(await grantNext(store), await checkGrants(store));
});
