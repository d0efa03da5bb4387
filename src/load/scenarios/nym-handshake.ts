/** *handshake* with a node of the Nym network: a new connection, KKT, PSQ, and its end. Message 2 is the node's proof. */
import { openNymSession } from '../nym-opening.ts';
import { meet, type NymScenarioKind } from './nym-scenario.ts';

export const NYM_HANDSHAKE: NymScenarioKind = ({ world, peer }) => ({
  prepare: () => meet({ world, peer }),
  start: (operation) =>
    openNymSession(world, {
      peer,
      deadlineMs: operation.deadlineMs,
      opened: (session) => {
        operation.done();
        session.close();
      },
      failed: (failure) => operation.fail(failure),
    }),
});
