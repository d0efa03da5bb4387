/** The lane of handshakes alone: bounds, turns, lateness, what refused clients are told. Time is an argument. */
import test from 'ava';
import { HandshakeLane, type Standing } from '../../src/gateway/handshake-lane.ts';
import { LaneBench, PLAIN } from './handshake-lane-bench.ts';

const H1_US = 300;
const HELLO_US = 15;
const OPENING: Standing = { opening: true, newcomer: false };
const NEWCOMER: Standing = { opening: false, newcomer: true };

test('packets of one source leave in their order, copied when they were offered', (t) => {
  const lane = new HandshakeLane({ packets: 10 }, () => false);
  const packet = Uint8Array.of(1);
  const envelope = { connection: 1, source: 1, flags: 5, retryAfterSeconds: 2 };
  t.true(lane.offer(envelope, packet, HELLO_US, PLAIN, 0));
  packet[0] = 2;
  t.true(lane.offer(envelope, packet, H1_US, PLAIN, 0));
  const taken: [object, number, boolean][] = [];
  const work = lane.take(1_000, 0, (got, bytes, late) => taken.push([got, bytes[0] ?? 0, late]));
  t.deepEqual(taken, [
    [envelope, 1, false],
    [envelope, 2, false],
  ]);
  t.is(work, HELLO_US + H1_US);
  t.deepEqual([lane.length, lane.queuedUs, lane.sources], [0, 0, 0]);
});

test('a take ends with the packet that uses up its budget, and the next one goes on there', (t) => {
  const bench = new LaneBench(100);
  for (let n = 0; n < 5; n++) bench.offer(1, n, H1_US);
  t.deepEqual(bench.take(700), [0, 1, 2]);
  t.deepEqual(bench.take(1), [3]);
  t.deepEqual(bench.take(0), []);
  t.deepEqual(bench.take(1), [4]);
});

test('sources take turns of a handshake each: many hellos of one weigh as much as one H1 of another', (t) => {
  const bench = new LaneBench(1_000);
  for (let n = 0; n < 100; n++) bench.offer(1, n, HELLO_US);
  for (let n = 100; n < 105; n++) bench.offer(2, n, H1_US);
  const first = bench.take(4 * 315);
  t.is(first.filter((n) => n < 100).length, 42 + 2, 'two turns and the rest of the budget');
  t.deepEqual(
    first.filter((n) => n >= 100),
    [100, 101],
  );
});

test('a newcomer behind a queue of another source waits for one turn, not for the queue', (t) => {
  const bench = new LaneBench(1_000);
  for (let n = 0; n < 500; n++) bench.offer(1, n, H1_US);
  bench.offer(2, 900, HELLO_US);
  bench.offer(2, 901, H1_US);
  t.deepEqual(bench.take(1_000), [0, 900, 901, 1, 2]);
});

test('a source alone may use the whole ordinary room, and is then refused', (t) => {
  const bench = new LaneBench(100);
  for (let n = 0; n < 100; n++) t.true(bench.offer(1, n, HELLO_US));
  t.false(bench.offer(1, 100, HELLO_US));
  t.is(bench.lane.length, 100);
});

test('where one source fills the lane, another gets its share, and loses nothing of it to the first', (t) => {
  const bench = new LaneBench(100);
  for (let n = 0; n < 100; n++) bench.offer(1, n, HELLO_US);
  for (let n = 100; n < 150; n++) t.true(bench.offer(2, n, HELLO_US));
  t.false(bench.offer(2, 150, HELLO_US), 'its share is half');
  t.false(bench.offer(1, 150, HELLO_US));
  t.is(bench.lane.length, 150);
});

test('where many sources fill the lane, there is still room for those of whom nothing was handled lately', (t) => {
  const bench = new LaneBench(100);
  let source = 1;
  while (bench.offer(source, source, HELLO_US)) source++;
  t.is(bench.lane.length, 150);
  for (let i = 0; i < 50; i++) t.true(bench.offer(1_000 + i, 0, HELLO_US, NEWCOMER));
  t.false(bench.offer(2_000, 0, HELLO_US, NEWCOMER), 'the bound');
  t.is(bench.lane.length, 200);
});

test('hellos leave room for the H1 that they bring', (t) => {
  const bench = new LaneBench(100);
  let hellos = 0;
  while (bench.offer(1, hellos, HELLO_US, OPENING)) hellos++;
  t.is(hellos, 75);
  t.true(bench.offer(1, 0, H1_US));
});

test('the lane holds a quarter of a second of work, whatever the number of packets', (t) => {
  const bench = new LaneBench(1_000_000);
  let taken = 0;
  while (bench.offer(1, 0, H1_US)) taken++;
  t.is(taken, Math.floor(250_000 / H1_US));
});

test('a shard that turns out slower is given less to hold, and clients a later time', (t) => {
  const bench = new LaneBench(1_000_000);
  const fill = () => {
    while (bench.offer(1, 0, H1_US));
  };
  fill();
  t.is(bench.lane.retryAfterSeconds(0), 1);
  for (let batch = 0; batch < 60; batch++) {
    bench.take(4_000);
    bench.lane.done(4_200, 42);
  }
  t.true(Math.abs(bench.lane.speed - 0.1) < 0.001);
  bench.take(1e9);
  fill();
  t.true(Math.abs(bench.lane.queuedUs - 25_000) < 600);
});

test('batches that took all there was say nothing of the speed', (t) => {
  const bench = new LaneBench(100);
  bench.offer(1, 0, HELLO_US);
  bench.take(4_000);
  bench.lane.done(HELLO_US, 5);
  t.is(bench.lane.speed, 1);
});

test('what has waited for a second is handed back undone, for its client has asked again', (t) => {
  const bench = new LaneBench(100);
  bench.offer(1, 1, H1_US, PLAIN, 0);
  bench.offer(1, 2, H1_US, PLAIN, 1);
  t.deepEqual(bench.take(4_000, 1_000), [2]);
  t.deepEqual(bench.late, [1]);
});

test('what a closed connection sent is handed back undone and takes nothing of the budget of others', (t) => {
  const bench = new LaneBench(100);
  for (let n = 0; n < 50; n++) bench.offer(1, n, H1_US);
  bench.gone.add(1);
  bench.offer(2, 50, H1_US);
  t.deepEqual(bench.take(H1_US), [50]);
  t.is(bench.late.length, 50);
  t.is(bench.lane.length, 0);
});

test('clients that are refused are told to come back one after the other, after 8 s at most', (t) => {
  const bench = new LaneBench(10_000);
  while (bench.offer(1, 0, H1_US));
  const told = Array.from({ length: 40_000 }, () => bench.lane.retryAfterSeconds(0));
  t.is(told[0], 1);
  t.deepEqual([...new Set(told)], [1, 2, 3, 4, 5, 6, 7, 8]);
  const first = told.filter((seconds) => seconds === 2).length;
  t.true(Math.abs(first - 1e6 / 315) < 2, `${first} in one second`);
  t.is(bench.lane.retryAfterSeconds(60_000), 1, 'a minute later nobody has a place before');
});

test('clearing forgets everything, and the lane works on', (t) => {
  const bench = new LaneBench(100);
  for (let n = 0; n < 10; n++) bench.offer(n, n, H1_US);
  bench.take(1);
  t.is(bench.lane.clear(), 9);
  t.deepEqual(bench.take(4_000), []);
  t.true(bench.offer(3, 77, H1_US));
  t.deepEqual(bench.take(4_000), [77]);
});
