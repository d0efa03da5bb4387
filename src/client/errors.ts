/**
 * What can go wrong with a client, as one class with closed unions to switch on. Every message says what is wrong and
 * what to do about it; nothing in it is secret, and nothing is a peer's own text except a Failure's, cut and cleaned.
 */

/** Which gateway an error or a step belongs to: the only one, or the first or second of two. */
export type Hop = 'direct' | 'entry' | 'exit';

/** What was being done. `key` is the transfer of the KEM key, which only a first contact needs. */
export type Step = 'connect' | 'key' | 'handshake' | 'registration' | 'forward' | 'rekey' | 'request' | NymStep;

/** Steps that only Nym's protocol has. */
export type NymStep = 'announcement' | 'kkt' | 'psq' | 'initial' | 'credential' | 'finalise';

export type LewesErrorCode =
  /** An option or argument is wrong; nothing was sent. */
  | 'invalid_option'
  /** The caller's AbortSignal; its reason is the `cause`. */
  | 'aborted'
  /** The client is closed: by `close()`, by the gateway, or after a session that was lost. */
  | 'closed'
  /** No TCP connection; `reason` is the system's code, such as ECONNREFUSED. */
  | 'connect_failed'
  /** The connection ended, and what was under way cannot be repeated safely; `reason` `no_answer`: instead of an answer. */
  | 'connection_lost'
  /** No answer in time. */
  | 'timeout'
  | 'collision'
  /** The gateway offers none of the KEM suites that `kem` allows. */
  | 'suite_not_offered'
  /** The identity is no key that a handshake can be made with. */
  | 'gateway_key'
  /** The gateway does not speak this protocol version. */
  | 'version'
  | 'busy'
  /** The clocks of client and gateway are too far apart. */
  | 'clock'
  /** The gateway's KEM key was refused; `reason` says by which check (`signature`, `pin`, `validity`, …). */
  | 'kem_key'
  /** Two requests in a row were not answered: the gateway does not know the session any more. */
  | 'session_lost'
  /** A bound of this client was reached: `reason` is `in_flight` or `write_buffer`. */
  | 'too_much'
  /** The gateway answered with a Failure; `reason` is `malformed`, `request_id_reused`, `not_offered` or `try_later`. */
  | 'refused'
  /** The entry could not reach the exit; `reason` is the status of its answer, such as `not_allowed`. */
  | 'forward_failed'
  /** No token to pay with, or none that may be spent here: `reason` is a TokenError's code, `challenge`, `wrong_challenge`, … */
  | 'payment_failed'
  /** The answer is not what the protocol says. */
  | 'malformed_answer'
  /** The gateway put the rekeying off, the last one is too recent, or the version has no ML-KEM exchange (`reason`). */
  | 'rekey_refused'
  /** Nym: what a node announces is not there, not signed, or of no use; `reason` says which. Nothing was dialled. */
  | 'announcement'
  /** Nym: the address is private or local, and that was not allowed. */
  | 'address'
  /** Nym: a credential was sent, and nobody said what became of it; it may be spent. Register again with the same keys. */
  | 'outcome_unknown'
  /** A mistake of this library; the `cause` is worth a report. */
  | 'internal';

export interface LewesErrorFields {
  readonly code: LewesErrorCode;
  readonly hop: Hop;
  readonly step: Step;
  readonly reason?: string;
  readonly message: string;
  readonly cause?: unknown;
}

export class LewesError extends Error {
  override readonly name = 'LewesError';
  readonly code: LewesErrorCode;
  readonly hop: Hop;
  readonly step: Step;
  /** A finer word than `code`, for logs and tests; the same as `code` where there is none. */
  readonly reason: string;

  constructor(fields: LewesErrorFields) {
    super(`${where(fields.hop)}${fields.message}`, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = fields.code;
    this.hop = fields.hop;
    this.step = fields.step;
    this.reason = fields.reason ?? fields.code;
  }
}

function where(hop: Hop): string {
  return hop === 'direct' ? '' : `${hop} gateway: `;
}

export function invalidOption(message: string, hop: Hop = 'direct', cause?: unknown): LewesError {
  return new LewesError({ code: 'invalid_option', hop, step: 'connect', message, cause });
}

export function aborted(hop: Hop, step: Step, signal: AbortSignal): LewesError {
  return new LewesError({ code: 'aborted', hop, step, message: `aborted during ${step}`, cause: signal.reason });
}
