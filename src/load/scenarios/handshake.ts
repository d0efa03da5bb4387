/** *handshake*: a new connection, a whole handshake, its early frame answered, Close. */
import { greet, greeted } from './greeting.ts';
import type { ScenarioKind } from './scenario.ts';

export const HANDSHAKE: ScenarioKind = {
  create: ({ world, target, payload }) => ({
    prepare: () => greeted(world, { peer: target, payload }),
    start: (operation) =>
      greet(world, {
        peer: target,
        payload,
        deadlineMs: operation.deadlineMs,
        over: (failure) => (failure === undefined ? operation.done() : operation.fail(failure)),
      }),
  }),
};
