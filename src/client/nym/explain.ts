/**
 * What a failure at a Nym node most likely means (nym.md §13), in words that say what to do. A node gives no reasons: it
 * closes the connection, so the step at which it does, and where the node's data came from, are all that tells causes apart.
 */
import type { NymDropReason } from '../../lp/nym/drop-reason.ts';
import type { NymHandshakeFailure } from '../../lp/nym/initiator.ts';
import { NYM_FAILURE_TEXT } from '../../lp/nym/registration.ts';
import { type Hop, LewesError, type LewesErrorCode } from '../errors.ts';
import type { EnrolmentFailure } from './enrolment.ts';
import type { NymNodeSource } from './node-data.ts';

export type AnswerStep = 'kkt' | 'psq' | 'initial' | 'finalise';

/** Why no usable answer came. */
export type LinkTrouble =
  /** `foreign`: after bytes that are no whole answer. */
  | { readonly kind: 'closed'; readonly foreign: boolean; readonly cause?: unknown }
  | { readonly kind: 'timeout'; readonly ms: number }
  | { readonly kind: 'refused'; readonly reason: NymDropReason };

/** Whose answer was awaited. */
export interface AwaitedAnswer {
  readonly hop: Hop;
  readonly step: AnswerStep;
  readonly source: NymNodeSource;
}

const STALE: Readonly<Record<NymNodeSource, string>> = {
  given: "the LP key is not this node's; compare it with what the node announces now",
  stored:
    "the announcement is stale (the node has got new keys since) or is another node's; fetch it anew from the node and compare",
  fetched:
    'another program than the announced node has this port, or the node has got new keys without announcing them; compare address and port, ask its operator',
};

const CLOSED: Readonly<Record<Exclude<AnswerStep, 'kkt'>, string>> = {
  psq: 'it took the key request and refused the key agreement: node and client disagree about the protocol, or its KEM key changed in this moment; nodes never say which; try once more',
  initial:
    "it refused the first packet of the session: node and client disagree about the packet format, or the node has dropped the session; try once more, then report it with the node's version",
  finalise: 'it went away while it had the credential',
};

/** The connection, or an answer that is none. */
export function troubleError(awaited: AwaitedAnswer, trouble: LinkTrouble): LewesError {
  const { hop, step } = awaited;
  const fail = (code: LewesErrorCode, reason: string, message: string, cause?: unknown) =>
    new LewesError({ code, hop, step, reason, message, cause });
  switch (trouble.kind) {
    case 'timeout':
      return fail('timeout', 'timeout', `${noAnswer(awaited)} within ${trouble.ms / 1_000} s: ${late(awaited)}`);
    case 'refused':
      return fail('malformed_answer', trouble.reason, refusedAnswer(awaited, trouble.reason));
    case 'closed': {
      const code = hop === 'exit' ? 'forward_failed' : 'connection_lost';
      return fail(code, trouble.foreign ? 'foreign' : 'closed', closed(awaited, trouble.foreign), trouble.cause);
    }
  }
}

function closed({ hop, step, source }: AwaitedAnswer, foreign: boolean): string {
  if (hop === 'exit') {
    return `the entry closed the connection during the forward (${step}): it may not or cannot connect to the exit (address, port, its list of allowed exits), or the exit ended the connection (${STALE[source]}); probe the exit by itself to tell which`;
  }
  if (foreign)
    return 'what listens there answered with something else and closed: it is no LP listener of a nym-node; check the port';
  if (step !== 'kkt') return `the node closed the connection instead of answering (${step}): ${CLOSED[step]}`;
  return `the port is open, but the node closed the connection at the key request: most likely ${STALE[source]}. A node with all its connections in use, or one of a later protocol version, does the same`;
}

function noAnswer({ hop, step }: AwaitedAnswer): string {
  return hop === 'exit' ? `no answer of the exit through the entry (${step})` : `no answer (${step})`;
}

function late({ hop, step }: AwaitedAnswer): string {
  if (hop === 'exit')
    return 'entry or exit is overloaded or too far away, or the exit is no LP listener; probe each by itself';
  if (step === 'kkt')
    return 'something accepts connections there and says nothing: it is no LP listener of a nym-node, or it is overloaded';
  return 'the node is overloaded or hangs; try later';
}

function refusedAnswer({ step }: AwaitedAnswer, reason: NymDropReason): string {
  if (step === 'kkt')
    return `what listens there is no LP listener of this node, or something is in between: the key transfer does not open (${reason})`;
  return `the answer breaks the protocol (${step}: ${reason}); something is in between, or the node is faulty: tell its operator`;
}

/** What the core found wrong in a message of the handshake. `closed` and `timeout` are the link's to tell. */
export function handshakeError(awaited: AwaitedAnswer, { reason }: NymHandshakeFailure): LewesError {
  const { hop, step, source } = awaited;
  const fail = (code: LewesErrorCode, message: string) => new LewesError({ code, hop, step, reason, message });
  switch (reason) {
    case 'node_key':
      return fail('gateway_key', 'no key agreement can be made with this LP key; it is none, check it');
    case 'digest':
      return fail(
        'kem_key',
        source === 'given'
          ? 'the node has another ML-KEM key than the KEM digest says, while its LP key is right; compare the digest with what the node announces now'
          : 'the node has another ML-KEM key than it announced: the announcement is stale; fetch it anew. Do not go on with this one',
      );
    case 'kem_key':
      return fail('kem_key', "the node's ML-KEM key is invalid, though it is the announced one; tell its operator");
    case 'closed':
      return troubleError(awaited, { kind: 'closed', foreign: false });
    case 'timeout':
      return fail('timeout', `${noAnswer(awaited)} in time: ${late(awaited)}`);
    default:
      return troubleError(awaited, { kind: 'refused', reason });
  }
}

const TEXTS: Readonly<Record<string, string>> = {
  [NYM_FAILURE_TEXT.noDvpn]: 'the node gives no tunnels: it runs without WireGuard',
  [NYM_FAILURE_TEXT.notInProgress]: 'the node has forgotten the registration; try again',
  [NYM_FAILURE_TEXT.tryLater]: 'the node cannot do this now; try later',
};

export function enrolmentError(
  hop: Hop,
  { step, reason, text }: EnrolmentFailure,
  hintS: number | undefined,
): LewesError {
  const fail = (code: LewesErrorCode, message: string) => new LewesError({ code, hop, step, reason, message });
  switch (reason) {
    case 'malformed':
      return fail(
        'malformed_answer',
        'the answer to the registration breaks the protocol; tell the operator of the node',
      );
    case 'clock': {
      const said = hintS === undefined ? '' : `; its HTTP answer was dated ${offset(hintS)} this machine's`;
      return fail(
        'clock',
        `the clocks of node and client are more than 30 s apart${said}: set the clock of this machine`,
      );
    }
    case 'unpaid':
      return fail('refused', 'the node wants a credential again and again, though it was sent one; tell its operator');
    case 'refused':
      return fail('refused', TEXTS[text] ?? `the node refused the registration (it says: ${printable(text)})`);
  }
}

/** `90 s ahead of`, `20 s behind`. */
function offset(seconds: number): string {
  return `${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'}`;
}

/** A peer's text may end up on a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '').slice(0, 160);
}

export function unknownOutcome(hop: Hop, cause: unknown): LewesError {
  const message =
    'a credential was sent, and no answer came, also when it was asked again: it may be spent. Register again with the same WireGuard key and preshared key; if it was paid, the node says so without a credential';
  return new LewesError({ code: 'outcome_unknown', hop, step: 'finalise', message, cause });
}
