/**
 * Why an operation failed at a node of the Nym network: a code with the step in it, such as KKT_CLOSED, and words. A node
 * gives no reasons and closes the connection, so the step tells most (nym.md §13); where it has answered that step
 * before, its keys are right, and then it is a limit or the load. What the system says of connecting keeps the system's code.
 */
import type { LewesError } from '../client/errors.ts';
import { type AwaitedAnswer, enrolmentError, handshakeError, troubleError } from '../client/nym/explain.ts';
import type { NymDropReason } from '../lp/nym/drop-reason.ts';
import type { NymHandshakeFailure } from '../lp/nym/initiator.ts';
import { NYM_FAILURE_TEXT } from '../lp/nym/registration.ts';
import { type Failure, failure, timedOut } from './failure.ts';
import type { NymLoadStep, NymPeer } from './nym-peer.ts';
import type { NymWire } from './nym-wire.ts';

/** An end is an end, whether the node's system had unread bytes or not (nym.md §10). */
const RESETS: readonly string[] = ['ECONNRESET', 'EPIPE'];

/** What is to be done stands first: a terminal shows no more than a line. */
const CLOSED: Readonly<Record<NymLoadStep, string>> = {
  kkt: 'a limit of the node for this source address (raise it, or give more --sources), a limit of all, or its load: it closed the connection at the key request, though it has answered others',
  psq: 'a limit of the node (sessions of this source address, or of all) or its load: it closed the connection at the key agreement, though it has agreed with others',
  initial:
    'the node closed the connection instead of answering Initial, though it has answered others: it is overloaded, or has ended the session',
};

const WHAT: Readonly<Record<NymLoadStep, string>> = {
  kkt: 'no answer to the key request',
  psq: 'no answer to the key agreement',
  initial: 'no answer to Initial',
};

export interface NymLoss {
  readonly failure: Failure;
  /** The node ended the connection. */
  readonly unanswered: boolean;
  readonly wire: NymWire;
  /** What was awaited had been sent before its time. */
  readonly pipelined: boolean;
}

const NOT_PIPELINED =
  '; or it takes one message at a time, and forgets what comes with another (then leave --pipelined out)';

/** The connection has ended by itself. */
export function nymLost(peer: NymPeer, step: NymLoadStep, loss: NymLoss): Failure {
  const { failure: reason, unanswered, wire, pipelined } = loss;
  if (!wire.connected) return reason;
  if (unanswered || RESETS.includes(reason.code)) {
    const { code, example } = closed(peer, step, wire.codec.midMessage);
    return failure(code, pipelined ? example + NOT_PIPELINED : example);
  }
  if (reason.code === 'CONNECTION_LOST') return nymBroken(peer, step, 'broken_framing');
  return reason;
}

function closed(peer: NymPeer, step: NymLoadStep, foreign: boolean): Failure {
  if (!foreign && peer.answered.has(step)) return failure(codeOf(step, 'closed'), CLOSED[step]);
  return explained(troubleError(awaited(peer, step), { kind: 'closed', foreign }));
}

export function nymTimedOut(step: NymLoadStep | 'connect', timeoutMs: number): Failure {
  const { example } = timedOut(step === 'connect' ? 'no connection' : WHAT[step], timeoutMs);
  return failure(codeOf(step, 'timed_out'), example);
}

export function nymHandshakeFailure(peer: NymPeer, reason: NymHandshakeFailure): Failure {
  return explained(handshakeError(awaited(peer, reason.stage), reason));
}

/** An answer that is none. */
export function nymBroken(peer: NymPeer, step: NymLoadStep, reason: NymDropReason): Failure {
  return explained(troubleError(awaited(peer, step), { kind: 'refused', reason }));
}

const KNOWN_TEXTS: Readonly<Record<string, string>> = {
  [NYM_FAILURE_TEXT.noDvpn]: 'no_dvpn',
  [NYM_FAILURE_TEXT.notInProgress]: 'not_in_progress',
  [NYM_FAILURE_TEXT.tryLater]: 'try_later',
};

/** The node's own text is the only thing that tells refusals apart (nym.md §8.5). */
export function initialRefused(text: string): Failure {
  const reason = text === NYM_FAILURE_TEXT.timestamp ? 'clock' : 'refused';
  const { message } = enrolmentError('direct', { step: 'initial', reason, text }, undefined);
  return failure(codeOf('initial', KNOWN_TEXTS[text] ?? reason), message);
}

export function initialMalformed(): Failure {
  return explained(enrolmentError('direct', { step: 'initial', reason: 'malformed', text: '' }, undefined));
}

function awaited({ source }: NymPeer, step: NymLoadStep): AwaitedAnswer {
  return { hop: 'direct', step, source };
}

function explained({ step, reason, message }: LewesError): Failure {
  return failure(codeOf(step, reason), message);
}

function codeOf(step: string, reason: string): string {
  return `${step}_${reason}`.toUpperCase();
}
