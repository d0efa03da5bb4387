/** *echo*: one frame there and back on a kept session; in an open loop several may be on their way on one session. */
import { KIND } from '../../lp/wire/application-frame.ts';
import { echoFailure } from './greeting.ts';
import { poolOf, type ScenarioKind } from './scenario.ts';

export const ECHO: ScenarioKind = {
  pool: 'target',
  create: (context) => {
    const { world, payload } = context;
    const pool = poolOf(context);
    return {
      start: (operation) =>
        pool.acquire(operation.client, world.traits.onePacketPerConnection, operation, ({ session, release }) =>
          session.request(KIND.opaque, payload, operation.deadlineMs, (answer) => {
            release();
            const failure = echoFailure(answer, payload);
            if (failure === undefined) operation.done();
            else operation.fail(failure);
          }),
        ),
    };
  },
};
