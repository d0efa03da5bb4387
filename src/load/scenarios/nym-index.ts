/** The scenarios of the Nym network's protocol, by the operation that each is about. */
import type { NYM_OPERATIONS } from '../plan.ts';
import { NYM_HANDSHAKE } from './nym-handshake.ts';
import { NYM_INITIAL } from './nym-initial.ts';
import type { NymScenarioKind } from './nym-scenario.ts';

export const NYM_SCENARIOS: Readonly<Record<(typeof NYM_OPERATIONS)[number], NymScenarioKind>> = {
  handshake: NYM_HANDSHAKE,
  initial: NYM_INITIAL,
};
