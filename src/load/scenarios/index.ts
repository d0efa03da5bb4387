/** The scenarios of LP1 and LP2, by the operation that each is about. */
import type { LEWES_OPERATIONS } from '../plan.ts';
import { ECHO } from './echo.ts';
import { FORWARD } from './forward.ts';
import { HANDSHAKE } from './handshake.ts';
import { REGISTER } from './register.ts';
import { REKEY } from './rekey.ts';
import type { ScenarioKind } from './scenario.ts';

export const SCENARIOS: Readonly<Record<(typeof LEWES_OPERATIONS)[number], ScenarioKind>> = {
  handshake: HANDSHAKE,
  echo: ECHO,
  register: REGISTER,
  rekey: REKEY,
  forward: FORWARD,
};
