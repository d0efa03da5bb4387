/** What the registrar tells the operator, as lines of the log. */
import { assertNever } from '../lp/drop-reason.ts';
import type { Logger } from '../ops/log.ts';
import type { RegistrarEvent } from '../registration/registrar-messages.ts';

export function logRegistrarEvent(log: Logger, event: RegistrarEvent): void {
  switch (event.kind) {
    case 'alarm': {
      const { part, code, message } = event.alarm;
      log.error({ part, code, reason: message }, 'registrations have to wait: the registrar cannot use a part of it');
      break;
    }
    case 'recovered':
      log.info({ part: event.part }, 'the registrar can use it again');
      break;
    case 'fault':
      log.error({ during: event.during, ...event.error }, 'registrar fault');
      break;
    case 'keysRefused':
      log.error({ ...event.error }, 'the issuer keys were not taken over; the earlier ones stay in force');
      break;
    case 'note':
      log.info({ part: event.part }, event.text);
      break;
    default:
      assertNever(event);
  }
}
