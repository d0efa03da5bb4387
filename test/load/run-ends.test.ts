/** How a run takes the ends of its threads. */
import test from 'ava';
import type { ThreadReport } from '../../src/load/messages.ts';
import type { StartThread } from '../../src/load/thread-port.ts';
import { planOf, run } from './in-process.ts';

const TARGET = { host: '127.0.0.1', port: 1, identity: new Uint8Array(32) };
const TWO = { facts: { threads: 2, loop: { kind: 'closed', clients: 2, thinkMs: 0 } } } as const;
const REPORT: ThreadReport = {
  counts: { operations: [] },
  measuredMs: 500,
  busyShare: 0,
  cpuShare: 0,
  loopDelayP99Ms: 0,
  waitedForSessions: 0,
  waitedForTokens: 0,
};

/** Two threads: the first ends at once, with or without its report; the second has its report afterwards. */
function threads(firstReports: boolean): StartThread {
  return ({ share }, { message, ended }) => {
    setImmediate(() => message({ kind: 'ready', open: 0, wanted: 0, crypto: 'none' }));
    return {
      send: ({ kind }) => {
        if (kind !== 'go') return;
        const done = () => message({ kind: 'done', report: REPORT });
        if (share.thread === 1) {
          setImmediate(() => setImmediate(done));
          return;
        }
        if (firstReports) done();
        ended(undefined);
      },
      terminate: () => Promise.resolve(),
    };
  };
}

test('a thread that has reported may end while another one drains', async (t) => {
  const result = await run(planOf(TARGET, TWO), { startThread: threads(true) });
  t.is(result.measuredSeconds, 0.5);
});

test('a thread that ends without its report fails the run', async (t) => {
  await t.throwsAsync(run(planOf(TARGET, TWO), { startThread: threads(false) }), { message: /before its report/ });
});
