/** The lane against a plain model, with packets offered and taken at random times by few sources, and what must hold of it. */
import test from 'ava';
import fc from 'fast-check';
import { HandshakeLane } from '../../src/gateway/handshake-lane.ts';

const TURN_US = 315;
const LATE_MS = 1_000;
const ROOM_US = 250_000;
const PACKETS = 24;

interface Item {
  readonly source: number;
  readonly n: number;
  readonly costUs: number;
  readonly sinceMs: number;
}

/** Lists and filters in place of links and sums. */
class Model {
  lines: { source: number; credit: number; items: Item[] }[] = [];
  begun = false;

  get items(): Item[] {
    return this.lines.flatMap((line) => line.items);
  }

  offer(item: Item, opening: boolean, newcomer: boolean): boolean {
    const { items } = this;
    const line = this.lines.find(({ source }) => source === item.source);
    const us = (of: readonly Item[]) => of.reduce((sum, { costUs }) => sum + costUs, 0);
    const own = line?.items ?? [];
    const part = opening ? 0.75 : 1;
    const used = Math.max((items.length + 1) / PACKETS, (us(items) + item.costUs) / ROOM_US);
    const lines = this.lines.length + (line === undefined ? 1 : 0);
    const below =
      lines > 1 &&
      own.length + 1 <= Math.max(4, (part * PACKETS) / lines) &&
      us(own) + item.costUs <= Math.max(TURN_US, (part * ROOM_US) / lines);
    if (used > part && !(below && used <= part * (newcomer ? 2 : 1.5))) return false;
    if (line === undefined) this.lines.push({ source: item.source, credit: 0, items: [item] });
    else line.items.push(item);
    return true;
  }

  take(budgetUs: number, nowMs: number, gone: (source: number) => boolean): { n: number; late: boolean }[] {
    const out: { n: number; late: boolean }[] = [];
    let left = budgetUs;
    while (left > 0) {
      const [line] = this.lines;
      if (line === undefined) break;
      if (!this.begun) line.credit += TURN_US;
      this.begun = true;
      const [item] = line.items;
      const late = item !== undefined && (nowMs - item.sinceMs >= LATE_MS || gone(item.source));
      if (item === undefined || (!late && Math.min(item.costUs, TURN_US) > line.credit)) {
        this.begun = false;
        this.lines.shift();
        if (item !== undefined) this.lines.push(line);
        continue;
      }
      line.items.shift();
      if (!late) line.credit -= Math.min(item.costUs, TURN_US);
      left -= late ? 5 : item.costUs;
      out.push({ n: item.n, late });
    }
    return out;
  }
}

const SOURCES = 6;
const source = fc.integer({ min: 1, max: SOURCES });
const offer = fc.record({
  kind: fc.constant('offer' as const),
  source,
  costUs: fc.constantFrom(15, 20, 80, 300, 900),
  opening: fc.boolean(),
  newcomer: fc.boolean(),
});
const act = fc.oneof(
  { weight: 6, arbitrary: offer },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('take' as const), budgetUs: fc.integer({ min: 0, max: 4_000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 700 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('close' as const), source }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('open' as const), source }) },
);

test('whatever is offered, taken, closed and waited for, the lane does what the model does', (t) => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 120 }), (acts) => {
      const gone = new Set<number>();
      const lane = new HandshakeLane({ packets: PACKETS }, (connection) => gone.has(connection));
      const model = new Model();
      let nowMs = 0;
      let n = 0;
      for (const a of acts) {
        if (a.kind === 'time') nowMs += a.ms;
        else if (a.kind === 'close') gone.add(a.source);
        else if (a.kind === 'open') gone.delete(a.source);
        else if (a.kind === 'take') {
          const taken: { n: number; late: boolean }[] = [];
          lane.take(a.budgetUs, nowMs, (_, packet, late) =>
            taken.push({ n: (packet[0] ?? 0) + 256 * (packet[1] ?? 0), late }),
          );
          t.deepEqual(
            taken,
            model.take(a.budgetUs, nowMs, (of) => gone.has(of)),
          );
        } else {
          n++;
          const envelope = { connection: a.source, source: a.source, flags: 0, retryAfterSeconds: 0 };
          const item = { source: a.source, n, costUs: a.costUs, sinceMs: nowMs };
          const would = lane.wouldTake(a.source, a.costUs, a, 0);
          const taken = lane.offer(envelope, Uint8Array.of(n & 0xff, n >> 8), a.costUs, a, nowMs);
          t.is(taken, model.offer(item, a.opening, a.newcomer));
          t.is(would, taken);
        }
        t.is(lane.length, model.items.length);
        t.is(lane.sources, model.lines.length);
        t.is(
          lane.queuedUs,
          model.items.reduce((sum, item) => sum + item.costUs, 0),
        );
        t.true(lane.length <= 2 * PACKETS);
      }
    }),
    { numRuns: 300 },
  );
});

test('sources that always have work waiting get the same work, but for one turn', (t) => {
  const costs = fc.array(fc.constantFrom(15, 20, 80, 300), { minLength: 1, maxLength: 7 });
  fc.assert(
    fc.property(
      fc.array(costs, { minLength: 2, maxLength: 5 }),
      fc.integer({ min: 1, max: 2_000 }),
      (lines, budgetUs) => {
        const lane = new HandshakeLane({ packets: 10_000 }, () => false);
        const work = lines.map(() => 0);
        const offered = lines.map(() => 0);
        const fill = (line: number) => {
          const cost = lines[line]?.[(offered[line] ?? 0) % (lines[line]?.length ?? 1)] ?? 0;
          offered[line] = (offered[line] ?? 0) + 1;
          const envelope = { connection: line, source: line, flags: cost, retryAfterSeconds: 0 };
          t.true(lane.offer(envelope, new Uint8Array(1), cost, { opening: false, newcomer: false }, 0));
        };
        for (let line = 0; line < lines.length; line++) for (let i = 0; i < 100; i++) fill(line);
        for (let batch = 0; batch < 10; batch++) {
          const again: number[] = [];
          lane.take(budgetUs, 0, ({ source: line, flags: cost }) => {
            work[line] = (work[line] ?? 0) + cost;
            again.push(line);
          });
          for (const line of again) fill(line);
          t.true(Math.max(...work) - Math.min(...work) <= 2 * TURN_US);
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('no flood of one source keeps a handshake of another one out', (t) => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(15, 20, 80, 300), { minLength: 1, maxLength: 2_000 }), (costs) => {
      const lane = new HandshakeLane({ packets: 100 }, () => false);
      const flood = { connection: 1, source: 1, flags: 0, retryAfterSeconds: 0 };
      for (const cost of costs) lane.offer(flood, new Uint8Array(1), cost, { opening: cost === 15, newcomer: true }, 0);
      const honest = { connection: 2, source: 2, flags: 0, retryAfterSeconds: 0 };
      t.true(lane.offer(honest, new Uint8Array(1), 15, { opening: true, newcomer: false }, 0));
      t.true(lane.offer(honest, new Uint8Array(1), 300, { opening: false, newcomer: false }, 0));
    }),
    { numRuns: 200 },
  );
});
