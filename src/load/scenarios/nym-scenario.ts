/**
 * The scenarios of the Nym network's protocol. They go as far as it costs nothing: no credential exists here, so none can be
 * spent. What both have in common: the first handshake of a thread is not counted, since it alone learns the KEM key.
 */

import { openNymSession } from '../nym-opening.ts';
import type { NymPeer } from '../nym-peer.ts';
import type { NymWorld } from '../world.ts';
import type { Scenario } from './scenario.ts';

export interface NymScenarioContext {
  readonly world: NymWorld;
  readonly peer: NymPeer;
}

export type NymScenarioKind = (context: NymScenarioContext) => Scenario;

/** Its failure shows later. */
export function meet({ world, peer }: NymScenarioContext): Promise<void> {
  if (peer.kemKey !== undefined) return Promise.resolve();
  return new Promise((resolve) =>
    openNymSession(world, {
      peer,
      deadlineMs: world.now().monotonicMs + world.timeoutMs,
      opened: (session) => {
        session.close();
        resolve();
      },
      failed: () => resolve(),
    }),
  );
}
