/** The scenarios by the operation that each is about. */
import type { OperationName } from '../result.ts';
import { ECHO } from './echo.ts';
import { FORWARD } from './forward.ts';
import { HANDSHAKE } from './handshake.ts';
import { REGISTER } from './register.ts';
import { REKEY } from './rekey.ts';
import type { ScenarioKind } from './scenario.ts';

export const SCENARIOS: Readonly<Record<OperationName, ScenarioKind>> = {
  handshake: HANDSHAKE,
  echo: ECHO,
  register: REGISTER,
  rekey: REKEY,
  forward: FORWARD,
};
