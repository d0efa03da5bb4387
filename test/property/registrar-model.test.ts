/**
 * A registrar against a model of it: random requests, repeats, strangers, spent tokens, expiry, restarts, and failures of store
 * and WireGuard at any call; every answer and everything that is kept is compared (registration.md, rules 1 to 8).
 */
import test from 'ava';
import { openLmdbStore } from '../../src/registration/store/lmdb.ts';
import { createMemoryStore } from '../../src/registration/store/memory.ts';
import { storeDirectory } from '../registration/lmdb-world.ts';
import { Prng } from '../support/prng.ts';
import { LONG, must, runs, SEED } from '../support/property.ts';
import { RegistrarWorld, type World } from '../support/registrar-world.ts';

const STEPS_PER_WORLD = 2_000;
const LIMITS = { maxRegistrations: 1_000, maxTokens: 1_000_000 };

/** What every run of this length comes across; a walk that misses it tests less than it says. */
const MUST_BE_SEEN = [
  ...['quote credential_required', 'quote completed', 'quote limit_reached', 'quote pool_exhausted', 'quote not_owner'],
  ...['register completed', 'register credential_spent', 'register credential_missing', 'register limit_reached'],
  ...['finalise completed', 'finalise no_quote', 'finalise not_owner', 'finalise credential_spent'],
  ...['finalise credential_kind', 'finalise credential_invalid', 'topup completed', 'topup credential_spent'],
  ...[
    'balance completed',
    'release completed',
    'release not_owner',
    'try_later',
    'restart',
    'sweep',
    'sweep that fails',
  ],
];

async function walk(
  worlds: number,
  steps: number,
  openStore: World['openStore'],
): Promise<ReadonlyMap<string, number>> {
  const seen = new Map<string, number>();
  for (let n = 0; n < worlds; n++) {
    const seed = SEED + n;
    const world = await RegistrarWorld.create({ prng: new Prng(seed), openStore });
    let step = 0;
    try {
      for (; step < steps; step++) await world.step();
      await world.check();
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`LEWES_SEED=${seed}, step ${step}: ${reason}`, { cause });
    }
    for (const [what, count] of world.seen) seen.set(what, (seen.get(what) ?? 0) + count);
    await world.close();
  }
  return seen;
}

test('every answer and all that is kept is what the model says, with the store in memory', async (t) => {
  const seen = await walk(50, STEPS_PER_WORLD, async (earlier) => earlier ?? createMemoryStore(LIMITS));
  for (const what of MUST_BE_SEEN) must((seen.get(what) ?? 0) > 0, `never seen: ${what}`);
  t.pass();
});

test('… and with the store on disk, which is opened anew after each restart', async (t) => {
  const path = storeDirectory(t);
  let world = 0;
  const seen = await walk(runs(1, 50), LONG ? STEPS_PER_WORLD : 400, async (earlier) => {
    if (earlier === undefined) world += 1;
    await earlier?.close();
    return openLmdbStore({ path: `${path}-${world}`, ...LIMITS });
  });
  must((seen.get('restart') ?? 0) > 0, 'never restarted');
  t.pass();
});
