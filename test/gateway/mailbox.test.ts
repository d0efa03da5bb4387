/** The mailbox alone: lanes, bounds, batches. The host is the test's; a turn of the loop is awaited, never time. */
import test from 'ava';
import fc from 'fast-check';
import { HANDSHAKE_COST_US, Mailbox } from '../../src/gateway/mailbox.ts';
import {
  BATCH,
  type Batch,
  Bench,
  decode,
  envelope,
  FOLLOWING,
  GATHERED_MS,
  LIMITS,
  numbered,
  range,
  turn,
} from './mailbox-bench.ts';

const BUDGET_US = 3_000;
const RECORD_HEAD = 14;

test('what one turn of the loop offers leaves as one batch, transport first, each lane in its order', async (t) => {
  const bench = new Bench();
  bench.handshake(100);
  bench.transport(1);
  bench.handshake(101);
  bench.transport(2);
  t.is(bench.batches.length, 0);
  await turn();
  t.deepEqual(bench.batches, [{ packets: [1, 2, 100, 101], others: [] }]);
});

test('one batch is in flight; what gathers meanwhile is the next one', async (t) => {
  const bench = new Bench();
  bench.transport(1);
  await turn();
  bench.transport(2);
  await turn();
  bench.transport(3);
  await turn();
  t.is(bench.batches.length, 1);
  t.false(bench.mailbox.idle);
  await bench.finish();
  t.deepEqual(bench.batches[1]?.packets, [2, 3]);
  await bench.finish();
  t.is(bench.results, 2);
  t.true(bench.mailbox.idle);
});

test('with two batches under way the second leaves at the end of the turn, and what gathers then waits for the first', async (t) => {
  const bench = new Bench({ batches: 2 });
  for (const n of [1, 2, 3]) {
    bench.transport(n);
    await turn();
  }
  t.deepEqual(
    bench.batches.map(({ packets }) => packets),
    [[1], [2]],
  );
  await bench.finish();
  t.deepEqual(bench.batches[2]?.packets, [3]);
  await bench.finish();
  await bench.finish();
  t.deepEqual([bench.results, bench.mailbox.idle], [3, true]);
});

test('while the shard works a few handshakes wait for it, and enough of them leave behind its batch', async (t) => {
  const bench = new Bench({ batches: 2 });
  bench.transport(0);
  await turn();
  for (const n of range(1, 5)) bench.handshake(n, 15);
  await bench.turn();
  t.is(bench.batches.length, 1);
  for (const n of range(5, 17)) bench.handshake(n, 15);
  await turn();
  t.deepEqual(bench.batches[1]?.packets, range(1, 17));
});

test('a packet is copied when it is offered', async (t) => {
  const bench = new Bench();
  const packet = numbered(7);
  bench.mailbox.offerHandshake(envelope(), packet, 1, FOLLOWING);
  packet.fill(9);
  await turn();
  t.deepEqual(bench.batches[0]?.packets, [7]);
});

test('with many connections a handshake waits for company, a live session does not, and with few nobody does', async (t) => {
  const bench = new Bench();
  bench.handshake(1);
  await turn();
  await bench.finish();
  bench.handshake(2);
  await turn();
  t.deepEqual(bench.batches[1]?.packets, [2]);
  await bench.finish();
  bench.crowded = true;
  bench.handshake(3);
  await turn();
  t.is(bench.batches.length, 2);
  bench.timers.advance(GATHERED_MS);
  t.deepEqual(bench.batches[2]?.packets, [3]);
  await bench.finish();
  bench.handshake(4);
  bench.transport(5);
  await turn();
  t.deepEqual(bench.batches[3]?.packets, [5, 4]);
});

test('handshakes that gathered during a batch wait for company only while they are few', async (t) => {
  const bench = new Bench();
  bench.crowded = true;
  bench.transport(0);
  await turn();
  bench.handshake(1);
  await bench.finish();
  t.is(bench.batches.length, 1);
  bench.timers.advance(GATHERED_MS);
  t.deepEqual(bench.batches[1]?.packets, [1]);
  for (const n of range(2, 40)) bench.handshake(n);
  await bench.finish();
  t.is(bench.batches.length, 3);
});

test('a batch takes handshake work until its budget is spent', async (t) => {
  const bench = new Bench();
  for (const n of range(0, 40)) bench.handshake(n);
  await turn();
  const first = Math.ceil(BUDGET_US / HANDSHAKE_COST_US.h1);
  t.deepEqual(bench.batches[0]?.packets, range(0, first));
  t.is(bench.mailbox.queuedHandshakes, 40 - first);
  bench.transport(1_000);
  await bench.finish();
  t.deepEqual(bench.batches[1]?.packets, [1_000, ...range(first, 2 * first)]);
});

test('a batch takes 1,024 records of the transport lane at most', async (t) => {
  const bench = new Bench();
  for (const n of range(0, BATCH + 5)) bench.transport(n);
  await turn();
  t.deepEqual(bench.batches[0]?.packets, range(0, BATCH));
  await bench.finish();
  t.deepEqual(bench.batches[1]?.packets, range(BATCH, BATCH + 5));
});

test('a full handshake lane takes no more, a full transport lane says so and takes the packet', async (t) => {
  const bench = new Bench({ queuedHandshakes: 2, queuedPackets: 3 });
  t.deepEqual([bench.handshake(100), bench.handshake(101), bench.handshake(102)], [true, true, false]);
  t.deepEqual(
    [bench.transport(1), bench.transport(2), bench.transport(3), bench.transport(4)],
    [true, true, false, false],
  );
  await turn();
  t.deepEqual(bench.batches[0]?.packets, [1, 2, 3, 4, 100, 101]);
});

test('whoever waits for room is told once, when the lane is half empty', async (t) => {
  const bench = new Bench({ queuedPackets: 2 * BATCH });
  bench.transport(0);
  await turn();
  for (const n of range(1, 2 * BATCH + 1)) bench.transport(n);
  let told = 0;
  bench.mailbox.whenRoom(() => told++);
  t.is(told, 0);
  await bench.finish();
  t.deepEqual([bench.mailbox.queuedPackets, told], [BATCH, 1]);
  await bench.finish();
  t.is(told, 1);
});

test('the transport lane is bounded by bytes as well', (t) => {
  const bench = new Bench({ queuedBytes: 3 * (1_000 + RECORD_HEAD) });
  t.deepEqual([bench.transport(1, 1_000), bench.transport(2, 1_000), bench.transport(3, 1_000)], [true, true, false]);
});

test('handshakes that leave make no room in the bytes of the transport lane', async (t) => {
  const bench = new Bench({ queuedBytes: 2 * BATCH * (2 + RECORD_HEAD) });
  bench.transport(0);
  await turn();
  for (const n of range(0, 2 * BATCH - 1)) bench.transport(n);
  // Small in cost, so that all of them leave with the next batch.
  for (const n of range(0, 100)) bench.mailbox.offerHandshake(envelope(), numbered(n, 1_000), 1, FOLLOWING);
  await bench.finish();
  t.is(bench.mailbox.queuedPackets, BATCH - 1);
  const offered = range(0, BATCH + 1).map((n) => bench.transport(n));
  t.deepEqual([offered.indexOf(false), bench.mailbox.queuedPackets], [BATCH, 2 * BATCH]);
});

test('one tick is waiting at most, and it leaves although the lane never empties', async (t) => {
  const bench = new Bench();
  const fill = () => {
    while (bench.mailbox.queuedPackets < 2 * BATCH) bench.transport(1);
  };
  let ticks = 0;
  for (let round = 0; round < 12; round++) {
    fill();
    bench.mailbox.tick();
    bench.mailbox.tick();
    await (bench.inFlight ? bench.finish() : turn());
    ticks += bench.batches.at(-1)!.others.length;
  }
  t.true(ticks >= 3 && ticks <= 6, `${ticks} ticks in 12 batches`);
});

test('nothing leaves before the mailbox is opened, and then all of it', async (t) => {
  const sent: Batch[] = [];
  const mailbox = new Mailbox(LIMITS, {
    now: () => ({ monotonicMs: 0, unixMs: 0 }),
    crowded: () => false,
    gone: () => false,
    after: () => t.fail('no wait'),
    run: async (batch) => {
      sent.push(decode(batch));
      return new Uint8Array(8);
    },
    done: () => undefined,
    failed: (reason) => t.fail(String(reason)),
  });
  mailbox.offerTransport(envelope(), numbered(1));
  mailbox.tick();
  mailbox.kemKey(new Uint8Array(4));
  mailbox.reserve(0xffff_ffff);
  mailbox.unreserve(0x8000_0000);
  mailbox.answer(5, 0, new Uint8Array(1));
  await turn();
  t.is(sent.length, 0);
  mailbox.open();
  t.deepEqual(sent, [
    { packets: [1], others: ['tick', 'kemKey', 'reserve 4294967295', 'unreserve 2147483648', 'answer 5'] },
  ]);
});

test('closing counts what waits and what is under way, wakes who waits, and takes nothing afterwards', async (t) => {
  const bench = new Bench();
  bench.transport(1);
  bench.handshake(2);
  await turn();
  bench.transport(3);
  bench.handshake(4);
  let told = 0;
  bench.mailbox.whenRoom(() => told++);
  t.is(bench.mailbox.close(), 4);
  t.is(told, 1);
  t.false(bench.handshake(5));
  bench.transport(6);
  bench.mailbox.tick();
  await bench.finish();
  t.deepEqual([bench.results, bench.batches.length], [0, 1]);
});

test('a batch that fails is told once, and its packets count as lost', async (t) => {
  const bench = new Bench();
  bench.transport(1);
  await turn();
  bench.transport(2);
  const reason = new Error('no more');
  await bench.fail(reason);
  t.deepEqual([bench.failures, bench.results], [[reason], 0]);
  t.is(bench.mailbox.close(), 2);
});

test('a handshake that is refused is told to come back after one second at least, later when more is queued', (t) => {
  const bench = new Bench({ queuedHandshakes: 20_000 });
  t.is(bench.mailbox.retryAfter(), 1);
  for (const n of range(0, 10_000)) bench.handshake(n);
  // Who asks is given a place behind those who asked before.
  const told = range(0, 5_000).map(() => bench.mailbox.retryAfter());
  t.deepEqual([told[0], told[4_999]], [1, 2]);
});

type Step = { kind: 'transport' } | { kind: 'handshake'; costUs: number } | { kind: 'tick' | 'turn' | 'finish' };

const handshakeStep = fc.constantFrom(15, 300, 2_500).map((costUs): Step => ({ kind: 'handshake', costUs }));
const plainStep = fc.constantFrom<Step['kind'][]>('transport', 'transport', 'transport', 'tick', 'turn', 'finish');
const steps = fc.array(
  fc.oneof(
    handshakeStep,
    plainStep.map((kind) => ({ kind }) as Step),
  ),
  { maxLength: 120 },
);

/** What a batch is: all transport packets, then handshakes while the budget lasts. */
class Model {
  transport: number[] = [];
  handshakes: { n: number; costUs: number }[] = [];
  ticks = 0;
  readonly batches: Batch[] = [];

  leave(): void {
    const packets = this.transport;
    let budget = BUDGET_US;
    while (budget > 0 && this.handshakes.length > 0) {
      const { n, costUs } = this.handshakes.shift()!;
      packets.push(n);
      budget -= costUs;
    }
    const others = this.ticks > 0 ? ['tick'] : [];
    if (packets.length + others.length > 0) this.batches.push({ packets, others });
    this.transport = [];
    this.ticks = 0;
  }
}

test('whatever is offered and finished in whatever order, batches are those of the model', async (t) => {
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const bench = new Bench({ queuedHandshakes: 20, queuedPackets: 20 });
      const model = new Model();
      let n = 0;
      for (const step of [...sequence, ...Array<Step>(24).fill({ kind: 'finish' })]) {
        n++;
        if (step.kind === 'transport') {
          model.transport.push(n);
          if (bench.transport(n) !== model.transport.length < 20) return false;
        } else if (step.kind === 'handshake') {
          const room = model.handshakes.length < 20;
          if (room) model.handshakes.push({ n, costUs: step.costUs });
          if (bench.handshake(n, step.costUs) !== room) return false;
        } else if (step.kind === 'tick') {
          model.ticks++;
          bench.mailbox.tick();
        } else if (step.kind === 'turn' || !bench.inFlight) {
          if (!bench.inFlight) model.leave();
          await bench.turn();
        } else {
          model.leave();
          await bench.finish();
        }
      }
      t.deepEqual(bench.batches, model.batches);
      return bench.mailbox.idle;
    }),
    { numRuns: 200 },
  );
});
