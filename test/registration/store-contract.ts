/** The contract of every registration store: all or nothing, copies of secrets, dates, tokens, bounds, order, close. */
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { PresharedKey } from '../../src/registration/preshared-key.ts';
import {
  type DvpnRegistration,
  dueAt,
  type Registration,
  type RegistrationStore,
  StoreError,
  type StoreErrorCode,
} from '../../src/registration/store/store.ts';
import { bytes32 } from './fixture.ts';
import { mixnet, plain, tunnel } from './store-samples.ts';

export interface Contracted {
  /** Begins every title. */
  readonly name: string;
  readonly create: (
    t: ExecutionContext,
    limits: { readonly maxRegistrations: number; readonly maxTokens: number },
  ) => Promise<RegistrationStore>;
  /** How many sequences a property tries. */
  readonly runs: number;
}

export function get(store: RegistrationStore, name: string): Promise<Registration | undefined> {
  return store.transaction((tx) => tx.get({ mode: 'dvpn', wgPublicKey: bytes32(name) }));
}

export function put(store: RegistrationStore, ...registrations: readonly Registration[]): Promise<void> {
  return store.transaction(async (tx) => {
    for (const registration of registrations) await tx.put(registration);
  });
}

export async function all(store: RegistrationStore): Promise<Registration[]> {
  const found: Registration[] = [];
  for await (const registration of store.registrations()) found.push(registration);
  return found;
}

export async function rejects(t: ExecutionContext, run: () => Promise<unknown>, code: StoreErrorCode): Promise<string> {
  const error = await t.throwsAsync(run, { instanceOf: StoreError });
  t.is<string | undefined, string>(error?.code, code);
  return error?.message ?? '';
}

export function testContract({ name, create, runs }: Contracted): void {
  const small = (t: ExecutionContext) => create(t, { maxRegistrations: 4, maxTokens: 2 });
  const large = (t: ExecutionContext) => create(t, { maxRegistrations: 100, maxTokens: 100 });

  test(`${name}: a transaction that rejects has written nothing`, async (t) => {
    const store = await small(t);
    await put(store, tunnel('a', 50));
    await t.throwsAsync(
      store.transaction(async (tx) => {
        await tx.put({ ...tunnel('a', 60), presharedKey: new PresharedKey(bytes32('other')) });
        await tx.put(tunnel('b'));
        await tx.delete(tunnel('a'));
        await tx.spend({ id: bytes32('t'), payer: 'p', keepUntil: 9 });
        throw new Error('on purpose');
      }),
      { message: 'on purpose' },
    );
    t.like(await get(store, 'a'), { expires: 50 });
    t.deepEqual(((await get(store, 'a')) as DvpnRegistration).presharedKey.bytes, bytes32('psk a'));
    t.is(await get(store, 'b'), undefined);
    t.is((await store.transaction((tx) => tx.due(50, 9))).length, 1);
    t.is(await store.transaction((tx) => tx.spend({ id: bytes32('t'), payer: 'p', keepUntil: 9 })), 'spent_now');
  });

  test(`${name}: a registration comes back as it went in, in either mode and phase`, async (t) => {
    const store = await small(t);
    const kept: readonly Registration[] = [
      { ...tunnel('a', 2 ** 53 - 1), bandwidth: 2 ** 53 - 1, charged: { received: 2 ** 53 - 1, sent: 0 } },
      { ...tunnel('b'), phase: { kind: 'grace', until: 77 } },
      // One name in both modes: two registrations.
      mixnet('a'),
      { ...mixnet('b', 0), bandwidth: 0, phase: { kind: 'grace', until: 0 } },
    ];
    await put(store, ...kept);
    const found = await store.transaction((tx) => Promise.all(kept.map((registration) => tx.get(registration))));
    t.deepEqual(
      found.map((registration) => registration && plain(registration)),
      kept.map(plain),
    );
    const byMode = (list: readonly Registration[]) => list.map((one) => JSON.stringify(plain(one))).sort();
    t.deepEqual(byMode(await all(store)), byMode(kept));
  });

  test(`${name}: a transaction sees its own writes`, async (t) => {
    const store = await small(t);
    await put(store, tunnel('a', 50), tunnel('b', 60));
    await store.transaction(async (tx) => {
      await tx.put(tunnel('a', 70));
      await tx.delete(tunnel('b'));
      await tx.put(tunnel('c', 10));
      t.like(await tx.get(tunnel('a')), { expires: 70 });
      t.is(await tx.get(tunnel('b')), undefined);
      t.deepEqual((await tx.due(70, 9)).map(dueAt), [10, 70]);
      t.deepEqual((await tx.due(70, 1)).map(dueAt), [10]);
      t.is(await tx.spend({ id: bytes32('t'), payer: 'p', keepUntil: 9 }), 'spent_now');
      t.is(await tx.spend({ id: bytes32('t'), payer: 'q', keepUntil: 9 }), 'spent_by_other');
      await tx.unspend(bytes32('t'));
      t.is(await tx.spend({ id: bytes32('t'), payer: 'q', keepUntil: 9 }), 'spent_now');
      await tx.forgetTokens(9);
    });
    t.is(await store.transaction((tx) => tx.spend({ id: bytes32('t'), payer: 'p', keepUntil: 9 })), 'spent_now');
  });

  test(`${name}: the store keeps its own copy of a preshared key and hands out copies`, async (t) => {
    const store = await small(t);
    const original = tunnel('a');
    await put(store, original);
    original.presharedKey.wipe();
    const copy = (await get(store, 'a')) as DvpnRegistration;
    t.deepEqual(copy.presharedKey.bytes, bytes32('psk a'));
    copy.presharedKey.wipe();
    t.deepEqual(((await get(store, 'a')) as DvpnRegistration).presharedKey.bytes, bytes32('psk a'));
  });

  test(`${name}: what is due comes by date, as long as it is due, and not before`, async (t) => {
    const store = await small(t);
    const due = async (now: number, limit = 9) =>
      (await store.transaction((tx) => tx.due(now, limit))).map((registration) => dueAt(registration));
    await put(store, tunnel('a', 30), tunnel('b', 10), tunnel('c', 20));
    t.deepEqual(await due(9), []);
    t.deepEqual(await due(20), [10, 20]);
    t.deepEqual(await due(1_000_000_000, 2), [10, 20]);
    await put(store, { ...tunnel('b', 10), phase: { kind: 'grace', until: 40 } });
    await store.transaction((tx) => tx.delete(tunnel('c')));
    t.deepEqual(await due(39), [30]);
    t.deepEqual(await due(40), [30, 40]);
    await put(store, { ...tunnel('a', 30), bandwidth: 0 });
    t.deepEqual(await due(1), [0]);
  });

  test(`${name}: what is due agrees with a scan of everything, whichever way the clock goes`, async (t) => {
    const steps = fc.array(fc.record({ name: fc.nat(3), expires: fc.nat(30), now: fc.nat(30), gone: fc.boolean() }));
    const store = await small(t);
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const model = new Map<number, number>();
        for (const { name, expires, now, gone } of list) {
          const registration = tunnel(String(name), expires);
          await store.transaction((tx) => (gone ? tx.delete(registration) : tx.put(registration)));
          if (gone) model.delete(name);
          else model.set(name, expires);
          const due = await store.transaction((tx) => tx.due(now, 9));
          t.deepEqual(
            due.map(dueAt),
            [...model.values()].filter((at) => at <= now).sort((a, b) => a - b),
          );
        }
        for (const name of model.keys()) await store.transaction((tx) => tx.delete(tunnel(String(name))));
      }),
      { numRuns: runs },
    );
  });

  test(`${name}: a token is spent once, and known to whom, until it is taken back or forgotten`, async (t) => {
    const store = await small(t);
    const spend = (id: string, payer: string) =>
      store.transaction((tx) => tx.spend({ id: bytes32(id), payer, keepUntil: 100 }));
    t.is(await spend('t', 'p'), 'spent_now');
    t.is(await spend('t', 'p'), 'spent_by_payer');
    t.is(await spend('t', 'q'), 'spent_by_other');
    await store.transaction((tx) => tx.unspend(bytes32('t')));
    t.is(await spend('t', 'q'), 'spent_now');
    await store.transaction((tx) => tx.forgetTokens(99));
    t.is(await spend('t', 'q'), 'spent_by_payer');
    await store.transaction((tx) => tx.forgetTokens(100));
    t.is(await spend('t', 'p'), 'spent_now');
  });

  test(`${name}: of many that spend one token at once, one has spent it`, async (t) => {
    const store = await large(t);
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        store.transaction(async (tx) => {
          const outcome = await tx.spend({ id: bytes32('t'), payer: `p${n}`, keepUntil: 100 });
          if (outcome === 'spent_now') await tx.put(tunnel(String(n)));
          return outcome;
        }),
      ),
    );
    t.deepEqual(outcomes, ['spent_now', ...Array.from({ length: 19 }, () => 'spent_by_other' as const)]);
    t.is((await all(store)).length, 1);
  });

  test(`${name}: a full store refuses what is new and takes what replaces`, async (t) => {
    const store = await small(t);
    await put(store, ...['a', 'b', 'c', 'd'].map((name) => tunnel(name)));
    await rejects(t, () => put(store, tunnel('e')), 'STORE_FULL');
    await t.notThrowsAsync(put(store, tunnel('a', 70)));
    const spend = (id: string) => store.transaction((tx) => tx.spend({ id: bytes32(id), payer: 'p', keepUntil: 1 }));
    await spend('1');
    await spend('2');
    await rejects(t, () => spend('3'), 'STORE_FULL');
    await store.transaction(async (tx) => {
      await tx.delete(tunnel('b'));
      await tx.put(tunnel('e'));
      await tx.unspend(bytes32('1'));
      await tx.spend({ id: bytes32('3'), payer: 'p', keepUntil: 1 });
    });
    await rejects(t, () => put(store, tunnel('b')), 'STORE_FULL');
  });

  test(`${name}: transactions run one at a time, and none after close`, async (t) => {
    const store = await small(t);
    const { promise, resolve } = Promise.withResolvers<void>();
    const first = store.transaction(async (tx) => {
      await promise;
      await tx.put(tunnel('a'));
    });
    const second = get(store, 'a');
    resolve();
    await first;
    t.like(await second, { mode: 'dvpn' });
    await store.close();
    await rejects(t, () => get(store, 'a'), 'STORE_CLOSED');
  });
}
