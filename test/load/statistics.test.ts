/** What a thread counts, and how the counts of several become one result. */
import test from 'ava';
import { failure } from '../../src/load/failure.ts';
import { Latencies } from '../../src/load/latencies.ts';
import { mergeReports, SecondMerger } from '../../src/load/merge.ts';
import type { ThreadReport } from '../../src/load/messages.ts';
import { Recorder, type SecondCounts } from '../../src/load/statistics.ts';
import { forSeeds, must, runs } from '../support/property.ts';

/** A ramp of one second, a warm-up of one, three measured. */
const SPANS = { rampMs: 1_000, measuredFromMs: 2_000, endMs: 5_000 };
const REFUSED = failure('ECONNREFUSED', 'nobody listens');

function recorder() {
  const seconds: SecondCounts[] = [];
  return { seconds, recorder: new Recorder(SPANS, (counts) => seconds.push(counts)) };
}

function report(counts: ThreadReport['counts'], measuredMs = 3_000): ThreadReport {
  return { counts, measuredMs, busyShare: 0, cpuShare: 0, loopDelayP99Ms: 0, waitedForSessions: 0, waitedForTokens: 0 };
}

test('an operation belongs to the measured time by when it was meant to be sent', (t) => {
  const { recorder: counts } = recorder();
  const complete = (intendedMs: number, nowMs: number) => {
    counts.started('echo', intendedMs, intendedMs, true);
    counts.completed('echo', intendedMs, nowMs);
  };
  complete(1_900, 2_100);
  complete(2_000, 2_050);
  complete(4_990, 5_400);
  counts.end(5_000);
  const { operations } = mergeReports([report(counts.result())]);
  t.like(operations[0], { name: 'echo', started: 2, completed: 2, failed: 0 });
  t.is(operations[0]?.latencyMs?.max, 410.111);
  // By when it came: the first and the second one.
  t.is(operations[0]?.completedPerSecond, 2 / 3);
});

test('latency counts from the intended time, so that a stall of the sender shows in it', (t) => {
  const { recorder: counts } = recorder();
  counts.started('handshake', 2_500, 2_800, true);
  counts.completed('handshake', 2_500, 2_801);
  const merged = mergeReports([report(counts.result())]);
  t.is(Math.round(merged.operations[0]?.latencyMs?.p50 ?? 0), 301);
  t.is(Math.round(merged.sendDelayMs?.p99 ?? 0), 300);
});

test('every second is told once and in order, also those in which nothing happened', (t) => {
  const { recorder: counts, seconds } = recorder();
  counts.started('echo', 100, 100, true);
  counts.completed('echo', 100, 150);
  counts.failed('echo', 3_100, 3_200, REFUSED);
  counts.end(5_001);
  t.deepEqual(
    seconds.map(({ second, operations }) => [second, operations[0]?.completed ?? 0, operations[0]?.failed ?? 0]),
    [
      [0, 1, 0],
      [1, 0, 0],
      [2, 0, 0],
      [3, 0, 1],
      [4, 0, 0],
    ],
  );
});

test('a run that is ended early has its last second, as far as it went', (t) => {
  const { recorder: counts, seconds } = recorder();
  counts.completed('echo', 2_100, 2_200);
  counts.end(2_300);
  t.is(seconds.length, 3);
  t.is(counts.endMs, 2_300);
  counts.completed('echo', 2_250, 2_400);
  t.like(mergeReports([report(counts.result(), 300)]).operations[0], { completed: 2, completedPerSecond: 1 / 0.3 });
});

test('what was not there before the run is among the errors, whatever the time', (t) => {
  const { recorder: counts } = recorder();
  counts.failedBefore('handshake', REFUSED);
  t.like(mergeReports([report(counts.result())]).operations[0], {
    started: 1,
    failed: 1,
    errors: [{ code: 'ECONNREFUSED', count: 1, example: 'nobody listens' }],
  });
});

test('a second is merged when all threads have told of it, with its phase and the sum of its parts', (t) => {
  const merger = new SecondMerger(2, SPANS, true);
  const latencies = (ms: number) => {
    const one = Latencies.empty();
    one.record(ms);
    return one.encode();
  };
  const part = (second: number, ms: number) => ({
    kind: 'second' as const,
    counts: {
      second,
      offered: 3,
      operations: [{ name: 'echo' as const, completed: 1, failed: 2, latencies: latencies(ms) }],
    },
    connections: 4,
    sessions: 5,
  });
  t.is(merger.add(part(0, 1)), undefined);
  t.is(merger.add(part(1, 1)), undefined);
  const first = merger.add(part(0, 9));
  t.like(first, { second: 0, phase: 'ramp', offered: 6, connections: 8, sessions: 10 });
  t.like(first?.operations[0], { name: 'echo', completed: 2, failed: 4, p50: 1, max: 9.007 });
  t.is(merger.add(part(1, 1))?.phase, 'warm-up');
});

test('merging the parts of several threads gives what one thread would have counted', (t) => {
  forSeeds(runs(10, 1_000), (prng) => {
    const whole = recorder().recorder;
    const parts = Array.from({ length: 1 + prng.below(4) }, () => recorder().recorder);
    for (let nowMs = 0; nowMs < 5_000; nowMs += 1 + prng.below(60)) {
      const name = prng.pick(['echo', 'handshake'] as const);
      const intendedMs = nowMs - prng.below(40);
      const reason = prng.chance(0.2) ? failure(`E${prng.below(3)}`, 'x') : undefined;
      for (const each of [whole, prng.pick(parts)]) {
        each.started(name, intendedMs, nowMs, true);
        if (reason === undefined) each.completed(name, intendedMs, nowMs);
        else each.failed(name, intendedMs, nowMs, reason);
      }
    }
    const merged = mergeReports(parts.map((part) => report(part.result())));
    const expected = mergeReports([report(whole.result())]);
    must(JSON.stringify(merged) === JSON.stringify(expected), 'they differ');
  });
  t.pass();
});

test('kinds of errors are bounded; what is beyond counts as OTHER', (t) => {
  const { recorder: counts } = recorder();
  for (let n = 0; n < 500; n++) counts.failed('echo', 2_500, 2_500, failure(`E${n}`, 'x'));
  const errors = mergeReports([report(counts.result())]).operations[0]?.errors ?? [];
  t.true(errors.length <= 65);
  t.is(errors[0]?.code, 'OTHER');
  t.is(
    errors.reduce((sum, { count }) => sum + count, 0),
    500,
  );
});
