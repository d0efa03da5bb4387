import test from 'ava';
import { createLiveDisplay, formatSummary } from '../../../src/load/report/terminal.ts';
import type { LoadInterval, LoadPlanFacts } from '../../../src/load/result.ts';
import {
  closedLoop,
  hostile,
  interval,
  long,
  mixed,
  nothingCompleted,
  oneInterval,
  overloaded,
  PLAN,
  result,
} from './sample-results.ts';

const REDRAW = '\r\u001b[K';

function display(plan: LoadPlanFacts = PLAN, stream: { isTTY?: boolean; columns?: number } = { isTTY: true }) {
  let text = '';
  const made = createLiveDisplay({ ...stream, write: (chunk) => (text += chunk) }, plan);
  return {
    made,
    written: () => text,
    /** What stands on the screen. */
    screen: () => text.split('\n').map((line) => line.split(REDRAW).at(-1) ?? ''),
  };
}

function shown(intervals: readonly LoadInterval[], plan = PLAN, columns = 80): readonly string[] {
  const { made, screen } = display(plan, { isTTY: true, columns });
  for (const one of intervals) made.update(one);
  made.close();
  return screen();
}

test('the live display is silent where there is no terminal', (t) => {
  for (const stream of [{}, { isTTY: false }]) {
    const { made, written } = display(PLAN, stream);
    for (const one of result().intervals) made.update(one);
    made.close();
    t.is(written(), '');
  }
});

test('a second shows phase, offered, done, failed, latencies, sessions and cores under their names', (t) => {
  const plan = { ...PLAN, durationSeconds: 20 };
  const one: LoadInterval = {
    second: 17,
    phase: 'measured',
    offered: 2_010,
    operations: [{ name: 'handshake', completed: 1_985, failed: 3, p50: 1.234, p99: 12.3, max: 123 }],
    connections: 9,
    sessions: 12_345,
    generatorCores: 0.5,
  };
  const [heading, line] = shown([one], plan);
  t.regex(heading ?? '', /time +phase +offered\/s +done\/s +failed +p50 ms +p99 ms +max ms +sessions +cores$/);
  t.regex(line ?? '', /^ +17 s measured +2,010 +1,985 +3 +1\.23 +12\.3 +123 +12,345 +0\.500$/);
});

test('a second is redrawn in place until its line stays', (t) => {
  const { made, written, screen } = display({ ...PLAN, durationSeconds: 65 });
  const [first, second, third] = result().intervals;
  made.update(first!);
  t.is(written().split('\n').length, 2, 'heading and an open line');
  made.update(second!);
  made.update(third!);
  t.deepEqual(
    screen().map((line) => line.trim().split(' ')[0]),
    ['time', '1', '2'],
  );
  made.close();
});

test('about forty lines stay of a run, however long it is', (t) => {
  for (const run of [overloaded(), long()]) {
    const lines = shown(run.intervals, run.plan).length;
    t.true(lines >= 20 && lines <= 45, `${lines} lines`);
  }
});

test('a line of several seconds tells mean rates, all failures and the worst latency', (t) => {
  const second = (at: number, completed: number, failed: number, p99: number): LoadInterval => ({
    ...interval({ second: at, offered: 100, capacity: 100 }),
    phase: 'measured',
    operations: [{ name: 'handshake', completed, failed, p50: 1, p99, max: p99 }],
  });
  const lines = shown([second(20, 50, 4, 900), second(21, 150, 0, 2)], { ...PLAN, durationSeconds: 60 });
  t.regex(lines[1] ?? '', /^ +21 s measured +100 +100 +4 +1\.00 +900 +900 /);
});

test('a phase ends with a line that stays', (t) => {
  const phases = shown(overloaded().intervals).map((line) => line.trim().split(/ +/)[2]);
  t.deepEqual([...new Set(phases.slice(1, -1))], ['ramp', 'warm-up', 'measured']);
});

test('no line is wider than the terminal, and the time is always there', (t) => {
  for (const columns of [12, 30, 50, 79, 80, 120, 200]) {
    for (const line of shown(overloaded().intervals, PLAN, columns))
      t.true(line.length < columns, `${columns}: ${line}`);
    t.regex(shown(overloaded().intervals, PLAN, columns)[0] ?? '', /time/);
  }
});

test('a second in which nothing was completed has no latency', (t) => {
  t.regex(shown(nothingCompleted().intervals)[1] ?? '', /ramp +\d+ +0 +\d+ +– +– +– +0 /);
});

test('operations that the scenario only needs on its way do not count as done', (t) => {
  const setUp = { name: 'handshake', completed: 64, failed: 0, p50: 1, p99: 1, max: 1 } as const;
  const { plan } = closedLoop();
  const one: LoadInterval = { ...interval({ second: 0, capacity: 1, plan }), operations: [setUp] };
  t.regex(shown([one], plan)[1] ?? '', /warm-up +0 +0 +– +– +–/);
});

test('closing twice, or updating after it, writes nothing', (t) => {
  const { made, written } = display();
  made.update(result().intervals[0]!);
  made.close();
  const before = written();
  t.true(before.endsWith('\n'));
  made.close();
  made.update(result().intervals[1]!);
  t.is(written(), before);
});

test('the summary tells a bottleneck of the generator before anything else', (t) => {
  const lines = formatSummary(overloaded()).split('\n');
  t.regex(lines[0] ?? '', /^! The generator was a bottleneck/);
  t.regex(lines[1] ?? '', /^! +- the busiest generator thread was busy 97 %/);
});

test('the summary has plan, rates, percentiles up to p99.99, errors with an example, and the generator', (t) => {
  const text = formatSummary(overloaded());
  t.regex(text, /1,620 of 1,993 handshakes offered per second were completed, 81\.3 % of the load\./);
  t.regex(text, /Load +open loop, 2,000 per second, Poisson arrivals/);
  t.regex(text, /handshake +119,923 +97,211 +22,709 +18\.9 % +1,620/);
  t.regex(text, /operation +min +p50 +p90 +p99 +p99\.9 +p99\.99 +max +mean/);
  t.regex(text, /handshake +BUSY +21,460 +17\.9 % +the gateway is busy/);
  t.regex(text, /Busiest thread +97\.0 % of the time/);
  t.regex(text, /Sent late, p99 +63\.0 ms/);
});

test('a run with nothing to complain of says so', (t) => {
  const text = formatSummary(result({ operations: [{ ...result().operations[0]!, completedPerSecond: 1_990 }] }));
  t.regex(text, /^Load test: handshake against 127\.0\.0\.1:41264\nThe target kept up with the offered load/);
  t.regex(text, /Errors\n {2}none/);
  t.regex(text, /Verdict +not the bottleneck/);
});

test('edges are told: nothing completed, an interruption, too few for a percentile, a closed loop, two hops', (t) => {
  t.regex(formatSummary(nothingCompleted()), /^! No handshake was completed/);
  t.notRegex(formatSummary(nothingCompleted()), /Latency in ms/);
  t.regex(formatSummary(oneInterval()), /^! Stopped before its time: 1 s of 60 s were measured\./);
  t.regex(formatSummary(oneInterval()), /57 completed are too few for p99, p99\.9, p99\.99; read the maximum/);
  t.regex(formatSummary(closedLoop()), /closed loop, 64 clients, no pause between operations/);
  t.notRegex(formatSummary(closedLoop()), /offered|intended/);
  t.regex(formatSummary(mixed()), / through 127\.0\.0\.2:41264\//);
  t.regex(formatSummary(mixed()), /Half of the slowest operation\s\(forward\)/);
  t.regex(formatSummary(result({ operations: [], intervals: [] })), /Not one of 0 handshakes was completed/);
});

test('foreign text is one harmless line', (t) => {
  const text = formatSummary(hostile());
  t.notRegex(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
  t.regex(text, /\\u\{1b\}\]0;owned/);
});

test('kinds of errors are listed up to a bound', (t) => {
  const errors = Array.from({ length: 50 }, (_, index) => ({ code: `E${index}`, count: 50 - index, example: 'x' }));
  const [operation] = result().operations;
  const text = formatSummary(result({ operations: [{ ...operation!, errors }] }));
  t.regex(text, /handshake +E11 +39 /);
  t.notRegex(text, /E12 /);
  t.regex(text, /38 more kinds +741 /);
});
