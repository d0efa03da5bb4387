/** Admission alone: token buckets against a model, places that come back exactly, sources that are forgotten (§4.5). */
import test from 'ava';
import fc from 'fast-check';
import { Admission, type AdmissionLimits, type Source } from '../../src/gateway/admission.ts';

const LIMITS: AdmissionLimits = {
  handshakesPerSecond: 5,
  burst: 20,
  recordsPerSource: 470,
  sessionsPerSource: 10,
  quotesPerSource: 16,
  connectionsPerSource: 3,
  sessions: 1_000,
  listed: [
    {
      cidr: '192.0.2.0/24',
      handshakesPerSecond: 50,
      burst: 200,
      sessions: 40,
      quotes: 64,
      records: 4_700,
      connections: 30,
    },
    { cidr: '2001:db8::/32', handshakesPerSecond: 1, burst: 1, sessions: 1, quotes: 1, records: 1, connections: 1 },
  ],
};
const SHARDS = 3;

function admission(limits: Partial<AdmissionLimits> = {}): Admission {
  return new Admission({ ...LIMITS, ...limits }, SHARDS);
}

function source(a: Admission, address: string, nowMs = 0): Source {
  const found = a.connect(address, nowMs);
  if (found === undefined) throw new Error('refused');
  return found;
}

test('a bucket gives its burst at once, then its rate, and never more than its burst', (t) => {
  const s = source(admission(), '10.0.0.1');
  const taken = (nowMs: number) => {
    let n = 0;
    while (s.takeToken(nowMs)) n++;
    return n;
  };
  t.is(taken(0), 20);
  t.is(taken(199), 0);
  t.is(taken(1_000), 5);
  t.is(taken(3_600_000), 20);
});

test('a token that comes back can be taken again, and a full bucket holds no more', (t) => {
  const s = source(admission(), '10.0.0.1');
  s.returnToken();
  for (let i = 0; i < 20; i++) t.true(s.takeToken(0));
  t.false(s.takeToken(0));
  s.returnToken();
  t.true(s.takeToken(0));
  t.false(s.takeToken(0));
});

test('a source without a token is told when it has one, one second at least', (t) => {
  const s = source(admission({ handshakesPerSecond: 0.25, burst: 2 }), '10.0.0.1');
  t.is(s.retryAfter(), 1);
  s.takeToken(0);
  s.takeToken(0);
  t.is(s.retryAfter(), 4);
  s.takeToken(2_000);
  t.is(s.retryAfter(), 2);
});

test('a source is a newcomer until a handshake of it was handled, and again when that is long ago', (t) => {
  const s = source(admission(), '10.0.0.1');
  t.true(s.newcomer(0));
  s.worked(15, 0);
  t.true(s.newcomer(0), 'a hello alone');
  s.worked(300, 0);
  t.false(s.newcomer(0));
  t.false(s.newcomer(7_000));
  t.true(s.newcomer(8_000));
  for (let ms = 8_000; ms < 60_000; ms += 100) s.worked(300, ms);
  t.false(s.newcomer(90_000), 'who comes again and again is none for longer');
  t.true(s.newcomer(120_000));
});

/** In 1/1000 tokens, so that the model is exact. */
class BucketModel {
  private milli: number;
  private atMs = 0;
  private readonly rate: number;
  private readonly burst: number;

  constructor(rate: number, burst: number) {
    this.rate = rate;
    this.burst = burst;
    this.milli = burst * 1_000;
  }

  take(nowMs: number): boolean {
    this.milli = Math.min(this.burst * 1_000, this.milli + (nowMs - this.atMs) * this.rate);
    this.atMs = nowMs;
    if (this.milli < 1_000) return false;
    this.milli -= 1_000;
    return true;
  }

  giveBack(): void {
    this.milli = Math.min(this.burst * 1_000, this.milli + 1_000);
  }
}

test('whatever is taken and given back and when, the bucket does what the model does', (t) => {
  // Powers of two keep the bucket's fractions exact as well.
  const rate = fc.constantFrom(1, 2, 4, 8);
  const step = fc.record({ afterMs: fc.constantFrom(0, 125, 250, 1_000, 64_000), giveBack: fc.boolean() });
  fc.assert(
    fc.property(rate, fc.integer({ min: 1, max: 8 }), fc.array(step), (rate, burst, steps) => {
      const s = source(admission({ handshakesPerSecond: rate, burst }), '10.0.0.1');
      const model = new BucketModel(rate, burst);
      let nowMs = 0;
      return steps.every(({ afterMs, giveBack }) => {
        nowMs += afterMs;
        const taken = s.takeToken(nowMs);
        if (taken !== model.take(nowMs)) return false;
        if (giveBack && taken) {
          s.returnToken();
          model.giveBack();
        }
        return true;
      });
    }),
  );
  t.pass();
});

test('places are given up to the bounds of the source and of the node, and come back one by one', (t) => {
  const a = admission({ sessions: 12, recordsPerSource: 2 });
  const one = source(a, '10.0.0.1');
  const two = source(a, '10.0.0.2');
  for (let i = 0; i < 10; i++) t.true(a.reserveSession(one, i % SHARDS));
  t.false(a.reserveSession(one, 0), 'the source is full');
  t.true(a.reserveSession(two, 0));
  t.true(a.reserveSession(two, 1));
  t.false(a.reserveSession(two, 2), 'the node is full');
  a.release('session', one.id, 0);
  t.is(a.sessions, 11);
  t.true(a.reserveSession(two, 2));
  t.true(a.reserveRecord(one, 0));
  t.true(a.reserveRecord(one, 1));
  t.false(a.reserveRecord(one, 2));
  a.release('record', one.id, 1);
  t.true(a.reserveRecord(one, 2));
  t.is(a.sessions, 12);
});

test('what was not taken cannot be given back, and an unknown source gives nothing back', (t) => {
  const a = admission();
  const s = source(a, '10.0.0.1');
  a.reserveSession(s, 0);
  a.release('session', s.id, 1);
  a.release('record', s.id, 0);
  a.release('session', 999, 0);
  a.returnToken(999);
  t.is(a.sessions, 1);
  a.release('session', s.id, 0);
  a.release('session', s.id, 0);
  t.is(a.sessions, 0);
});

test('a lost shard gives back all its places and none of another', (t) => {
  const a = admission();
  const sources = ['10.0.0.1', '10.0.0.2', '192.0.2.1'].map((address) => source(a, address));
  for (const s of sources) {
    for (const shard of [0, 0, 1]) a.reserveSession(s, shard);
    a.reserveRecord(s, 0);
  }
  a.releaseShard(0);
  t.is(a.sessions, 3);
  t.true(sources.every((s) => s.places('session') === 1 && s.places('record') === 0));
  a.release('session', sources[0]!.id, 0);
  t.is(a.sessions, 3, 'a release of the lost shard that comes late changes nothing');
});

type Op =
  | { op: 'reserve' | 'release'; kind: 'record' | 'session'; who: number; shard: number }
  | { op: 'lose'; shard: number };

test('whatever is reserved, released and lost, the sums are those of the model', (t) => {
  const shard = fc.nat(SHARDS - 1);
  const place = fc.record<Op & { op: 'reserve' | 'release' }>({
    op: fc.constantFrom('reserve', 'reserve', 'release'),
    kind: fc.constantFrom('record', 'session'),
    who: fc.nat(2),
    shard,
  });
  const ops = fc.array(
    fc.oneof(
      { weight: 12, arbitrary: place },
      { weight: 1, arbitrary: shard.map((n): Op => ({ op: 'lose', shard: n })) },
    ),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(ops, (sequence) => {
      const a = admission({ sessions: 15, recordsPerSource: 4, sessionsPerSource: 8 });
      const sources = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((address) => source(a, address));
      let model: { kind: string; who: number; shard: number }[] = [];
      const count = (kind: string, who?: number) =>
        model.filter((place) => place.kind === kind && (who === undefined || place.who === who)).length;
      for (const step of sequence) {
        if (step.op === 'lose') {
          a.releaseShard(step.shard);
          model = model.filter((place) => place.shard !== step.shard);
          continue;
        }
        const { kind, who } = step;
        const s = sources[who]!;
        if (step.op === 'reserve') {
          const may = kind === 'record' ? count(kind, who) < 4 : count('session') < 15 && count('session', who) < 8;
          const did = kind === 'record' ? a.reserveRecord(s, step.shard) : a.reserveSession(s, step.shard);
          if (did !== may) return false;
          if (may) model.push({ kind, who, shard: step.shard });
        } else {
          a.release(kind, s.id, step.shard);
          const at = model.findIndex((place) => place.kind === kind && place.who === who && place.shard === step.shard);
          if (at >= 0) model.splice(at, 1);
        }
      }
      const sums = sources.every(
        (s, who) => s.places('record') === count('record', who) && s.places('session') === count('session', who),
      );
      return sums && a.sessions === count('session');
    }),
  );
  t.pass();
});

test('connections of one source are bounded, and a listed network has its own bounds as one source', (t) => {
  const a = admission();
  const one = [1, 2, 3, 4].map(() => a.connect('10.0.0.1', 0));
  t.deepEqual(
    one.map((s) => s !== undefined),
    [true, true, true, false],
  );
  const listed = Array.from({ length: 31 }, (_, i) => a.connect(`192.0.2.${i}`, 0));
  t.is(new Set(listed.slice(0, 30)).size, 1);
  t.is(listed[30], undefined);
  t.deepEqual(listed[0]?.limits, { rate: 50, burst: 200, records: 4_700, sessions: 40, quotes: 64, connections: 30 });
  t.is(a.sources, 2);
});

test('an IPv4-mapped address is its IPv4 address, and an IPv6 /64 is one source', (t) => {
  const a = admission();
  t.is(source(a, '10.0.0.1'), source(a, '::ffff:10.0.0.1'));
  t.is(source(a, '192.0.2.7'), source(a, '::ffff:c000:0208'));
  t.is(source(a, 'fd00:1:2:3::1'), source(a, 'fd00:1:2:3:ffff::2'));
  t.not(source(a, 'fd00:1:2:3::1'), source(a, 'fd00:1:2:4::1'));
  t.is(source(a, '2001:db8:1::1').limits.burst, 1);
});

test('a source is forgotten when it holds nothing and its bucket is full, and not before', (t) => {
  const a = admission();
  const s = source(a, '10.0.0.1');
  const sweepAt = (nowMs: number) => {
    // Twice: a sweep may end in the middle of the table.
    a.sweep(nowMs, 100);
    a.sweep(nowMs, 100);
    return a.sources;
  };
  t.is(sweepAt(0), 1, 'a connection is open');
  s.connections--;
  s.takeToken(0);
  t.is(sweepAt(199), 1, 'the bucket is not full');
  a.reserveSession(s, 0);
  t.is(sweepAt(60_000), 1, 'a session is there');
  a.release('session', s.id, 0);
  a.reserveRecord(s, 2);
  t.is(sweepAt(60_000), 1, 'a record is there');
  a.release('record', s.id, 2);
  t.is(sweepAt(60_000), 0);
  t.is(a.source(s.id), undefined);
  t.not(source(a, '10.0.0.1', 60_000).id, s.id);
});

test('a sweep looks at no more sources than its budget, and comes to all of them', (t) => {
  const a = admission();
  for (let i = 0; i < 100; i++) source(a, `10.0.1.${i}`).connections--;
  a.sweep(0, 30);
  t.is(a.sources, 70);
  for (let i = 0; i < 4; i++) a.sweep(0, 30);
  t.is(a.sources, 0);
});
