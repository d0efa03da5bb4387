/**
 * *rekey*: the KK exchange on a kept session, completed when the new session is there (lp2.md §6). A gateway reads a KK1 of
 * a family once in REKEY_INTERVAL_MS and puts off any other, so a session rests in between, and a load of n per second needs
 * 10 n sessions.
 */
import { poolOf, type ScenarioKind } from './scenario.ts';

/** lp2.md §6 rule 2 (d). From the answer on, which comes after the reading; LP1's gateway is no stricter. */
export const REKEY_INTERVAL_MS = 10_000;

export const REKEY: ScenarioKind = {
  pool: 'target',
  create: (context) => {
    const pool = poolOf(context);
    return {
      // Else all clients would rekey at once, and then none for 10 s.
      prepare: () => {
        if (context.loop === 'closed') pool.stagger(REKEY_INTERVAL_MS);
        return Promise.resolve();
      },
      isReady: (client) => pool.isFree(client),
      start: (operation) =>
        pool.acquire(operation.client, true, operation, ({ session, release }) =>
          session.rekey(operation.deadlineMs, {
            done: (failure) => (failure === undefined ? operation.complete() : operation.failed(failure)),
            settled: () => {
              release(REKEY_INTERVAL_MS);
              operation.finish();
            },
          }),
        ),
    };
  },
};
