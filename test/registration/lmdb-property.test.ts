/** The durable store against the memory store: the same transactions, overlapping, some rejecting, with reopenings. */
import test from 'ava';
import fc from 'fast-check';
import { createMemoryStore } from '../../src/registration/store/memory.ts';
import { type RegistrationStore, StoreError, type StoreTransaction } from '../../src/registration/store/store.ts';
import { runs, SEED } from '../support/property.ts';
import { bytes32 } from './fixture.ts';
import { openTestStore, storeDirectory } from './lmdb-world.ts';
import { all } from './store-contract.ts';
import { mixnet, plain, tunnel } from './store-samples.ts';

const LIMITS = { maxRegistrations: 5, maxTokens: 4 };
const name = fc.nat({ max: 7 });
const second = fc.nat({ max: 12 });
const step = fc.oneof(
  fc.record({ op: fc.constant('put' as const), name, second, grace: fc.boolean(), spent: fc.boolean() }),
  fc.record({ op: fc.constant('delete' as const), name }),
  fc.record({ op: fc.constant('get' as const), name }),
  fc.record({ op: fc.constant('due' as const), second }),
  fc.record({ op: fc.constant('spend' as const), name, payer: name, second }),
  fc.record({ op: fc.constant('unspend' as const), name }),
  fc.record({ op: fc.constant('forget' as const), second }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
const body = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 5 }),
  end: fc.constantFrom('commit', 'commit', 'reject'),
  /** Whether it goes on after a full store has refused a step. */
  tolerant: fc.boolean(),
});
type Body = typeof body extends fc.Arbitrary<infer T> ? T : never;
/** Bodies of one batch do not wait for each other. */
const batches = fc.array(fc.record({ bodies: fc.array(body, { minLength: 1, maxLength: 5 }), reopen: fc.boolean() }), {
  maxLength: 8,
});

const sample = (n: number, expires = 0) => (n % 2 === 0 ? tunnel(`r${n}`, expires) : mixnet(`r${n}`, expires));
const token = (n: number) => bytes32(`t${n}`);

async function take(tx: StoreTransaction, one: Step): Promise<unknown> {
  switch (one.op) {
    case 'put': {
      const phase = one.grace ? ({ kind: 'grace', until: one.second } as const) : ({ kind: 'active' } as const);
      return tx.put({ ...sample(one.name, one.second), phase, bandwidth: one.spent ? 0 : 5 });
    }
    case 'delete':
      return tx.delete(sample(one.name));
    case 'get': {
      const found = await tx.get(sample(one.name));
      return found && plain(found);
    }
    case 'due':
      // In one second, each store has an order of its own.
      return (await tx.due(one.second, 100)).map((found) => JSON.stringify(plain(found))).sort();
    case 'spend':
      return tx.spend({ id: token(one.name), payer: `p${one.payer}`, keepUntil: one.second });
    case 'unspend':
      return tx.unspend(token(one.name));
    case 'forget':
      return tx.forgetTokens(one.second);
  }
}

async function run(store: RegistrationStore, { steps, end, tolerant }: Body): Promise<readonly unknown[]> {
  const seen: unknown[] = [];
  try {
    await store.transaction(async (tx) => {
      for (const one of steps) {
        try {
          seen.push(await take(tx, one));
        } catch (error) {
          if (!tolerant || !(error instanceof StoreError)) throw error;
          seen.push(error.code);
        }
      }
      if (end === 'reject') throw new Error('on purpose');
    });
  } catch (error) {
    seen.push(error instanceof StoreError ? error.code : String(error));
  }
  return seen;
}

async function contentOf(store: RegistrationStore): Promise<readonly string[]> {
  return (await all(store)).map((found) => JSON.stringify(plain(found))).sort();
}

test('the durable store answers and keeps what the memory store does', async (t) => {
  await fc.assert(
    fc.asyncProperty(batches, async (list) => {
      const path = storeDirectory(t);
      const model = createMemoryStore(LIMITS);
      let store = await openTestStore(t, path, LIMITS);
      for (const { bodies, reopen } of list) {
        const expected = await Promise.all(bodies.map((one) => run(model, one)));
        t.deepEqual(await Promise.all(bodies.map((one) => run(store, one))), expected);
        t.deepEqual(await contentOf(store), await contentOf(model));
        if (!reopen) continue;
        await store.close();
        store = await openTestStore(t, path, LIMITS);
      }
      t.is(store.counts().registrations, (await all(model)).length);
      const tokens = Array.from(
        { length: 8 },
        (_, n): Body => ({
          steps: [{ op: 'spend', name: n, payer: 0, second: 1 }],
          end: 'reject',
          tolerant: true,
        }),
      );
      for (const one of tokens) t.deepEqual(await run(store, one), await run(model, one));
      await store.close();
    }),
    { numRuns: runs(40, 500), seed: SEED },
  );
});
