/** When a mailbox has nothing left that could bring a new index, and who is told: hold-back waits for it. */
import test from 'ava';
import { Mailbox } from '../../src/gateway/mailbox.ts';
import { BATCH, Bench, LIMITS, range, turn } from './mailbox-bench.ts';

test('the lane is settled at once when nothing is in it or under way, and that is told after the call', async (t) => {
  const bench = new Bench();
  const told: string[] = [];
  bench.handshake(1);
  t.true(bench.mailbox.settled, 'what only waits in the other lane does not count');
  bench.mailbox.whenSettled(() => told.push('settled'));
  t.deepEqual(told, []);
  await Promise.resolve();
  t.deepEqual(told, ['settled']);
});

test('whoever waits is told when the batch under way and those queued before are read, and not for later ones', async (t) => {
  const bench = new Bench();
  const told: string[] = [];
  bench.transport(0);
  await turn();
  t.false(bench.mailbox.settled);
  bench.mailbox.whenSettled(() => told.push(`first, ${bench.results} read`));
  for (const n of range(0, BATCH + 1)) bench.transport(n);
  bench.mailbox.whenSettled(() => told.push(`second, ${bench.results} read`));
  await bench.finish();
  t.deepEqual(told, ['first, 1 read']);
  for (const n of range(0, 2 * BATCH)) bench.transport(n);
  await bench.finish();
  t.is(told.length, 1);
  await bench.finish();
  t.deepEqual(told, ['first, 1 read', 'second, 3 read']);
  t.false(bench.mailbox.settled);
});

test('who was told offers behind what the batch brought in answers, and it leaves with the next batch', async (t) => {
  const bench = new Bench();
  const order: string[] = [];
  bench.transport(0);
  await turn();
  bench.onDone = () => {
    order.push('answer');
    bench.mailbox.answer(7, 3, Uint8Array.of(1));
  };
  bench.mailbox.whenSettled(() => {
    order.push('packet');
    bench.transport(9);
  });
  await bench.finish();
  t.deepEqual(order, ['answer', 'packet']);
  t.deepEqual(bench.batches[1], { packets: [9], others: ['answer 7'] });
});

test('a batch of handshakes under way is waited for as well', async (t) => {
  const bench = new Bench();
  bench.handshake(1);
  await turn();
  let told = 0;
  bench.mailbox.whenSettled(() => told++);
  await Promise.resolve();
  t.is(told, 0);
  await bench.finish();
  t.is(told, 1);
});

test('closing tells whoever waits for the lane to settle; a closed or unopened mailbox is settled', async (t) => {
  const bench = new Bench();
  bench.transport(1);
  await turn();
  let told = 0;
  bench.mailbox.whenSettled(() => told++);
  bench.mailbox.close();
  t.is(told, 1);
  bench.mailbox.whenSettled(() => told++);
  await Promise.resolve();
  t.is(told, 2);
  const unopened = new Mailbox(LIMITS, {
    now: () => ({ monotonicMs: 0, unixMs: 0 }),
    crowded: () => false,
    gone: () => false,
    after: () => t.fail('no wait'),
    run: () => Promise.reject(new Error('not opened')),
    done: () => undefined,
    failed: () => undefined,
  });
  unopened.tick();
  t.true(unopened.settled);
});
