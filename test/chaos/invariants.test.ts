/** What the chaos runner takes for a violation. */
import test from 'ava';
import {
  ClientRecord,
  isExpected,
  isExpectedToSay,
  MemoryBound,
  notEmpty,
  overBudget,
  Violations,
} from '../../scripts/chaos/invariants.ts';
import { giveOrder, isOrderWaiting, makeOrders, takeOrder } from '../../scripts/chaos/orders.ts';
import { faultLine, summaryTable } from '../../scripts/chaos/report.ts';
import { jump, makeClockMemory, sharedClock } from '../../scripts/chaos/shared-clock.ts';

const BUDGET = { attempts: 2, seconds: 1 };

test('a client has recovered by the first answer to what began after the fault', (t) => {
  const client = new ClientRecord('c');
  client.succeeded(90, 150);
  t.is(client.recoveredAfter(100), undefined);
  client.succeeded(101, 180);
  client.succeeded(190, 200);
  t.is(client.recoveredAfter(100), 80);
  t.is(overBudget(client, 100, 5_000, BUDGET), undefined);
});

test('a client that needs more time, or more attempts, is beyond its budget', (t) => {
  const client = new ClientRecord('c');
  t.is(overBudget(client, 100, 1_100, BUDGET), undefined);
  t.regex(overBudget(client, 100, 1_101, BUDGET)!, /c has not recovered: 0 attempts in 1\.0 s/);
  for (const ms of [50, 110, 120]) client.failed(ms, 'no answer');
  t.is(overBudget(client, 100, 130, BUDGET), undefined);
  client.failed(130, 'no answer');
  t.regex(overBudget(client, 100, 140, BUDGET)!, /3 attempts in 0\.0 s, last error: no answer/);
});

test('a client is affected by an error and by a session that was lost', (t) => {
  const client = new ClientRecord('c');
  t.false(client.wasDisturbedSince(0));
  client.disturbed(5);
  t.deepEqual([client.wasDisturbedSince(5), client.wasDisturbedSince(6)], [true, false]);
  client.failed(8, 'x');
  t.true(client.wasDisturbedSince(6));
});

test('an error in the log is expected of the faults that explain it, and of no others', (t) => {
  const lost = { level: 'error', msg: 'shard lost; a fresh one starts' };
  t.true(isExpected(lost, ['tcp-cut', 'shard-exit']));
  t.false(isExpected(lost, ['registrar-exit']));
  t.false(isExpected({ ...lost, level: 'fatal' }, ['shard-exit']));
  t.true(isExpected({ level: 'warn', msg: 'anything' }, []));
  t.false(isExpectedToSay('Write error: No space left on device', []));
  t.true(isExpectedToSay('Write error: No space left on device position 1', ['store-full']));
});

test('tables that are not empty are named', (t) => {
  t.deepEqual(notEmpty({ sessions: 0, records: 3, forwards: 0, quotes: -1 }), ['records: 3', 'quotes: -1']);
});

test('memory is bound by what it was when warm', (t) => {
  const memory = new MemoryBound(2, 10);
  t.true(memory.note(1_000));
  memory.setBase(100);
  t.deepEqual([memory.boundBytes, memory.note(210), memory.note(211), memory.maxBytes], [210, true, false, 1_000]);
});

test('the first violation counts, with what came before it', async (t) => {
  const violations = new Violations();
  for (let n = 0; n < 20; n++) violations.event(`event ${n}`);
  violations.tell('one');
  violations.tell('two');
  t.deepEqual([violations.first, await violations.found, violations.history.length], ['one', 'one', 12]);
  t.is(violations.history.at(-1), 'event 19');
});

test('an order is obeyed once, after as many batches as it says', (t) => {
  const memory = makeOrders();
  t.is(takeOrder(memory), undefined);
  giveOrder(memory, { kind: 'stall', when: 'after', skip: 3, ms: 9 });
  t.deepEqual([takeOrder(memory), takeOrder(memory), takeOrder(memory)], [undefined, undefined, undefined]);
  t.true(isOrderWaiting(memory));
  t.deepEqual(takeOrder(memory), { kind: 'stall', when: 'after', skip: 0, ms: 9 });
  t.deepEqual([takeOrder(memory), isOrderWaiting(memory)], [undefined, false]);
});

test('the clock of all threads jumps together, and its monotonic half only ahead', (t) => {
  const memory = makeClockMemory();
  const clock = sharedClock(memory);
  const before = clock.now();
  jump(memory, { monotonicMs: 10_000_000, unixMs: -20_000_000 });
  const after = clock.now();
  t.true(after.monotonicMs >= before.monotonicMs + 10_000_000);
  t.true(after.unixMs < before.unixMs - 19_000_000);
  t.throws(() => jump(memory, { monotonicMs: -1, unixMs: 0 }), { instanceOf: RangeError });
});

test('the summary has a line for each kind of fault, those laid over included', (t) => {
  const result = { note: 'done', affected: 2, recoveries: [10, 30, 20], slowest: 'c', memoryMiB: 5 };
  const text = summaryTable([
    { ...result, faults: ['shard-exit', 'tcp-cut'] },
    { ...result, faults: ['tcp-cut'] },
  ]);
  t.deepEqual(
    text
      .split('\n')
      .slice(1)
      .map((line) => line.split(/\s{2,}/)),
    [
      ['shard-exit', '1', '2', '20 ms', '30 ms'],
      ['tcp-cut', '2', '4', '20 ms', '30 ms'],
    ],
  );
  t.regex(
    faultLine(1.25, { ...result, faults: ['tcp-cut'] }),
    /1\.3 s .*tcp-cut .*done; 2 of 3 clients.*max 30 ms \(c\)/,
  );
});
