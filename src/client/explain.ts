/**
 * From what the protocol's cores report to errors that a person can act on. `retry` says whether a fresh attempt may
 * succeed: a refusal that the next attempt would meet again is final.
 */
import type { ProtocolVersion } from '../lp/client-handshake.ts';
import { FORWARD_UNANSWERED, type HandshakeFailure } from '../lp/client-session.ts';
import type { KemKeyRefusal } from '../lp/v2/kem-key.ts';
import { FAILURE_CODE, type Failure, FORWARD_STATUS } from '../lp/wire/application-frame.ts';
import { type Hop, LewesError, type LewesErrorCode, type Step } from './errors.ts';

const NO_ANSWER: Readonly<Record<'key' | 'handshake', string>> = {
  key: 'no answer to the hello: it is no Lewes gateway that listens there, or packets are lost; check the address',
  handshake:
    'no answer to the handshake: wrong identity key (a gateway drops in silence what it cannot read), or packets are lost; compare the identity with what the operator publishes',
};

const KEM_REFUSAL: Readonly<Record<KemKeyRefusal, string>> = {
  signature: 'the KEM key is not signed by this identity: the identity is wrong, or another gateway answers there',
  validity: 'the KEM key is not valid now by the clock of this machine; set the clock',
  too_long_validity: 'the KEM key claims to be valid for more than 8 days, which no gateway may; tell its operator',
  pin: 'the KEM key is none of those that kemKeyHashes names; get the present hashes from an authentic source',
  modulus_check: 'the KEM key is invalid, though it is signed; tell the operator of the gateway',
  malformed: 'the KEM key is malformed, though it is signed; tell the operator of the gateway',
};

const VERSION_REFUSED: Readonly<Record<ProtocolVersion, string>> = {
  1: 'the gateway does not speak version 1 of the protocol (LP1 has to be enabled there with gateway.min_protocol_version = 1); use version 2',
  2: 'the gateway does not speak version 2 of the protocol; check the address, or update one side',
};

/** `version`: that which was tried. */
export function handshakeError(
  failure: HandshakeFailure,
  hop: Hop,
  step: 'key' | 'handshake',
  version: ProtocolVersion,
): LewesError {
  const fail = (code: LewesErrorCode, message: string, reason: string = code) =>
    new LewesError({ code, hop, step, reason, message });
  switch (failure.reason) {
    case 'timeout':
      return fail('timeout', NO_ANSWER[step]);
    case 'collision':
      return fail('collision', 'the gateway says that the handshake index is taken, again and again; try later');
    case 'suite_not_offered':
      return fail('suite_not_offered', 'the gateway offers none of the allowed KEM suites; allow another with "kem"');
    case 'gateway_key':
      return fail('gateway_key', 'no handshake can be made with this identity key; check it');
    case 'version':
      return fail('version', VERSION_REFUSED[version]);
    case 'busy':
      return fail('busy', 'the gateway is busy or this address has reached its limit; try later');
    case 'clock':
      return fail('clock', `the gateway's clock says ${when(failure.gatewayUnixMs)}; set the clock of this machine`);
    case 'kem_key':
      return new LewesError({
        code: 'kem_key',
        hop,
        step: 'key',
        reason: failure.refusal,
        message: KEM_REFUSAL[failure.refusal],
      });
  }
}

/** Collision and lost packets pass; a gateway that refuses suite, version, clock or key refuses again. */
export function mayRetry(failure: HandshakeFailure): boolean {
  return failure.reason === 'timeout' || failure.reason === 'collision' || failure.reason === 'busy';
}

function when(unixMs: number): string {
  // A forged time may lie beyond what a Date can hold.
  return unixMs <= 8.64e15 ? new Date(unixMs).toISOString() : 'a time beyond the calendar';
}

const FAILURE_REASON: Readonly<Record<number, string>> = {
  [FAILURE_CODE.malformed]: 'malformed',
  [FAILURE_CODE.requestIdReused]: 'request_id_reused',
  [FAILURE_CODE.notOffered]: 'not_offered',
  [FAILURE_CODE.tryLater]: 'try_later',
};

const FAILURE_MESSAGE: Readonly<Record<string, string>> = {
  malformed: 'the gateway could not read the request',
  request_id_reused: 'the gateway has seen the request id with another body',
  not_offered: 'the gateway does not offer this',
  try_later: 'the gateway cannot do this now; try later',
  unknown: 'the gateway refused the request',
};

export function failureError(failure: Failure | undefined, hop: Hop, step: Step): LewesError {
  if (failure === undefined) return malformedAnswer(hop, step, 'its Failure does not decode');
  const reason = FAILURE_REASON[failure.code] ?? 'unknown';
  const told = printable(failure.text);
  const message = `${FAILURE_MESSAGE[reason]}${told === '' ? '' : ` (it says: ${told})`}`;
  return new LewesError({ code: 'refused', hop, step, reason, message });
}

/** A peer's text may end up on a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '').slice(0, 120);
}

export function malformedAnswer(hop: Hop, step: Step, what: string): LewesError {
  const message = `the answer breaks the protocol: ${what}; tell the operator of the gateway`;
  return new LewesError({ code: 'malformed_answer', hop, step, message });
}

/** What the entry says of an exchange with an exit; `unanswered`: nothing, which is all that an LP1 entry has to say. */
export type ForwardStatusName =
  | 'ok'
  | 'not_allowed'
  | 'connect_failed'
  | 'timeout'
  | 'reply_too_large'
  | 'busy'
  | 'closed'
  | 'unanswered';

const STATUS_NAME: Readonly<Record<number, ForwardStatusName>> = {
  [FORWARD_STATUS.ok]: 'ok',
  [FORWARD_STATUS.notAllowed]: 'not_allowed',
  [FORWARD_STATUS.connectFailed]: 'connect_failed',
  [FORWARD_STATUS.timeout]: 'timeout',
  [FORWARD_STATUS.replyTooLarge]: 'reply_too_large',
  [FORWARD_STATUS.busy]: 'busy',
  [FORWARD_STATUS.closed]: 'closed',
  [FORWARD_UNANSWERED]: 'unanswered',
};

export function forwardStatusName(status: number): ForwardStatusName | undefined {
  return STATUS_NAME[status];
}

const STATUS_MESSAGE: Readonly<Record<Exclude<ForwardStatusName, 'ok'>, string>> = {
  not_allowed: 'the entry does not list this exit with this address and identity; ask its operator, or correct them',
  connect_failed: 'the entry could not connect to the exit; check the address of the exit and that it runs',
  timeout: 'the exit did not answer the entry in time',
  reply_too_large: 'the answer of the exit is too large to be passed on',
  busy: 'the entry forwards too much already; try later',
  closed: 'the exit closed the connection of the entry before it answered',
  unanswered:
    'the entry gave no answer: it does not list this exit, could not reach it, or the exit closed the connection',
};

export function forwardError(status: Exclude<ForwardStatusName, 'ok'>): LewesError {
  const message = STATUS_MESSAGE[status];
  return new LewesError({ code: 'forward_failed', hop: 'exit', step: 'forward', reason: status, message });
}

export function tooMuchError(hop: Hop, step: Step, reason: 'in_flight' | 'write_buffer'): LewesError {
  const message = `too much is under way already (${reason}); wait for answers before you ask more`;
  return new LewesError({ code: 'too_much', hop, step, reason, message });
}

export function internalError(hop: Hop, step: Step, cause: unknown): LewesError {
  const message = 'a mistake of this library ended the handshake; please report it with its cause';
  return new LewesError({ code: 'internal', hop, step, message, cause });
}

/** All attempts together took too long. */
export function delayError(hop: Hop, step: 'connect' | 'key' | 'handshake', ms: number): LewesError {
  const what = { connect: 'no connection', key: 'no answer to the hello', handshake: 'no answer to the handshake' };
  const message = `${what[step]} within ${ms} ms: the gateway is down, unreachable or overloaded, or its identity is another`;
  return new LewesError({ code: 'timeout', hop, step, message });
}
