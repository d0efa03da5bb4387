/** What the generator says of itself. */
import test from 'ava';
import { bottlenecksOf, type GeneratorFacts } from '../../src/load/bottlenecks.ts';

const FINE: GeneratorFacts = {
  threads: 1,
  machineCores: 4,
  busyShare: 0.6,
  cpuShare: 0.58,
  loopDelayP99Ms: 1,
  sendDelayMs: { p50: 0.05, p99: 1 },
  latencyMs: { p50: 2, p99: 10 },
  errors: [{ code: 'BUSY', count: 100, example: '' }],
  sessions: { open: 16, wanted: 16 },
  waitedForSessions: 0,
  waitedForTokens: 0,
};

const CASES: readonly { readonly name: string; readonly facts: Partial<GeneratorFacts>; readonly says?: RegExp }[] = [
  { name: 'nothing is wrong', facts: {} },
  { name: 'a thread is at its limit', facts: { busyShare: 0.95, cpuShare: 0.93 }, says: /busy 95 %.*--threads/ },
  {
    name: 'all cores have a thread at its limit',
    facts: { busyShare: 0.95, cpuShare: 0.93, threads: 4 },
    says: /busy 95 %.*more cores/,
  },
  { name: 'a busy thread gets no core', facts: { busyShare: 0.8, cpuShare: 0.3 }, says: /only 30 % of a core/ },
  { name: 'an idle thread needs none', facts: { busyShare: 0.1, cpuShare: 0.02 } },
  {
    name: 'sends are late while the target is quick',
    facts: { sendDelayMs: { p50: 0.1, p99: 8 } },
    says: /8.00 ms or more after/,
  },
  {
    name: 'sends are late, but the target is slower by far',
    facts: { sendDelayMs: { p50: 0.1, p99: 8 }, latencyMs: { p50: 100, p99: 500 } },
  },
  {
    name: 'the median is mostly lateness',
    facts: { sendDelayMs: { p50: 0.4, p99: 1 }, latencyMs: { p50: 0.6, p99: 10 } },
    says: /half of the operations/,
  },
  {
    name: 'operations were not begun',
    facts: { errors: [{ code: 'OVERLOADED_GENERATOR', count: 7, example: '' }] },
    says: /^7 operations were not begun/,
  },
  {
    name: 'ports ran out',
    facts: { errors: [{ code: 'EADDRNOTAVAIL', count: 3, example: '' }] },
    says: /free ports.*--sources/,
  },
  { name: 'sessions are missing', facts: { sessions: { open: 4, wanted: 16 } }, says: /only 4 of 16 sessions/ },
  { name: 'no session at all: there was no run', facts: { sessions: { open: 0, wanted: 16 } } },
  { name: 'sessions were all taken', facts: { waitedForSessions: 9 }, says: /^9 operations waited.*--sessions/ },
  { name: 'tokens came late', facts: { waitedForTokens: 5 }, says: /5 registrations waited/ },
];

for (const { name, facts, says } of CASES) {
  test(`${name}: ${says === undefined ? 'no bottleneck' : 'it says so'}`, (t) => {
    const told = bottlenecksOf({ ...FINE, ...facts });
    if (says === undefined) t.deepEqual(told, []);
    else {
      t.is(told.length, 1);
      t.regex(told[0] ?? '', says);
    }
  });
}
