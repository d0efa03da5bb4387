/**
 * Why an operation failed, as a value with a code to count by and an example in words. Codes are those of the client library
 * in capitals, refined where a gateway gives a reason, and those of the system (ECONNREFUSED). The set is closed but for
 * the system's, so that counts stay few.
 */
import { handshakeError } from '../client/explain.ts';
import type { ProtocolVersion } from '../lp/client-handshake.ts';
import type { HandshakeFailure } from '../lp/client-session.ts';
import { FAILURE_CODE, type Failure as FailureBody } from '../lp/wire/application-frame.ts';

export interface Failure {
  readonly code: string;
  readonly example: string;
  /** Where the gateway said when to come again. */
  readonly retryAfterS?: number;
}

/** The generator could not begin what the plan asked for. */
export const OVERLOADED_GENERATOR = 'OVERLOADED_GENERATOR';

/** Of this machine, not of the gateway: it lacks ports, file descriptors or memory. */
export const OWN_SYSTEM_CODES: readonly string[] = [
  'EADDRNOTAVAIL',
  'EADDRINUSE',
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
];

/** What the gateway sent is printable, short and on one line. */
const MAX_TEXT = 160;

export function failure(code: string, example: string): Failure {
  return { code, example };
}

export function timedOut(doing: string, timeoutMs: number): Failure {
  return failure('TIMED_OUT', `${doing} within ${timeoutMs / 1_000} s`);
}

export function busy(retryAfterS: number): Failure {
  const example = `the gateway is busy or this address has reached its limit: come again after ${retryAfterS} s`;
  return { code: 'BUSY', example, retryAfterS };
}

export function connectionLost(example: string): Failure {
  return failure('CONNECTION_LOST', example);
}

export function systemFailure(error: NodeJS.ErrnoException): Failure {
  return failure(error.code ?? 'CONNECTION_LOST', error.message);
}

export function handshakeFailure(reason: HandshakeFailure, version: ProtocolVersion, entry: boolean): Failure {
  const error = handshakeError(reason, entry ? 'entry' : 'direct', 'handshake', version);
  return failure(reason.reason === 'timeout' ? 'TIMED_OUT' : error.code.toUpperCase(), error.message);
}

const REFUSALS: Readonly<Record<number, string>> = {
  [FAILURE_CODE.malformed]: 'MALFORMED',
  [FAILURE_CODE.requestIdReused]: 'REQUEST_ID_REUSED',
  [FAILURE_CODE.notOffered]: 'NOT_OFFERED',
  [FAILURE_CODE.tryLater]: 'TRY_LATER',
};

/** A Failure frame; undefined where it does not decode. */
export function refusal(body: FailureBody | undefined): Failure {
  if (body === undefined) return malformed('its Failure does not decode');
  return failure(`REFUSED_${REFUSALS[body.code] ?? 'UNKNOWN'}`, `the gateway says: ${cleaned(body.text)}`);
}

export function malformed(what: string): Failure {
  return failure('MALFORMED_ANSWER', `the answer breaks the protocol: ${what}`);
}

export function cleaned(text: string): string {
  return text.replaceAll(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '').slice(0, MAX_TEXT);
}
