/**
 * What a client does at a node, whichever way it is reached: the handshake, then registration bodies with an answer each.
 * Here: the walk of the sans-IO initiator over anything that carries messages; DirectLink and ExitLink are the two ways.
 */
import type { NymClientSession } from '../../lp/nym/client-session.ts';
import { type NymStep as HandshakeStep, NymInitiator, type NymOutgoing } from '../../lp/nym/initiator.ts';
import { MESSAGE_2_LENGTH } from '../../lp/nym/psq-message.ts';
import type { Clock } from '../../system/clock.ts';
import type { Hop } from '../errors.ts';
import { internalError } from '../explain.ts';
import { type AnswerStep, type AwaitedAnswer, handshakeError } from './explain.ts';
import type { NymNodeData } from './node-data.ts';
import type { NymRun } from './run.ts';

export interface HopLink {
  readonly hop: Hop;
  readonly node: NymNodeData;
  /** The node's IP address, 4 or 16 bytes: its tunnel's as well (§8.5). */
  readonly endpointIp: Uint8Array;
  /** Rejects with LewesError; then the link is of no more use. `kemKey`: sends both messages at once. */
  handshake(kemKey: Uint8Array | undefined): Promise<void>;
  /** One body, and the content that answers it, copied. `sent`: it has left. Rejects with LewesError, likewise. */
  ask(step: 'initial' | 'finalise', body: Uint8Array): Promise<Uint8Array>;
}

/** Carries one message of a handshake, and resolves to its answer, copied. Never to be left unhandled. */
export type CarryMessage = (step: 'kkt' | 'psq', message: NymOutgoing) => Promise<Uint8Array>;

export interface HandshakeWalk {
  readonly run: NymRun;
  readonly hop: Hop;
  readonly node: NymNodeData;
  readonly kemKey: Uint8Array | undefined;
  readonly timeoutMs: number;
  readonly carry: CarryMessage;
}

export async function walkHandshake(walk: HandshakeWalk): Promise<NymClientSession> {
  const { run, hop, node, kemKey, timeoutMs } = walk;
  const initiator = new NymInitiator({
    crypto: run.crypto,
    random: run.random,
    node: node.lpKey,
    kemDigest: node.kemDigest,
    hop: hop === 'exit' ? 'exit' : 'entry',
    kemKey,
    timeoutMs,
  });
  try {
    const session = await new Walk(walk, initiator).toTheEnd();
    if (initiator.kemKey !== undefined) run.kemKeyCache?.set(node.lpKey, initiator.kemKey);
    return session;
  } finally {
    initiator.abandon();
  }
}

class Walk {
  readonly #walk: HandshakeWalk;
  readonly #initiator: NymInitiator;
  readonly #answers: Promise<Uint8Array>[] = [];
  readonly #clock: Clock;
  #lastMs: number;

  constructor(walk: HandshakeWalk, initiator: NymInitiator) {
    this.#walk = walk;
    this.#initiator = initiator;
    this.#clock = walk.run.clock;
    this.#lastMs = this.#clock.now().monotonicMs;
  }

  async toTheEnd(): Promise<NymClientSession> {
    let awaited: AnswerStep = 'kkt';
    let step = this.#initiator.start(this.#clock.now());
    for (;;) {
      this.#send(step);
      const answer = this.#answers.shift();
      if (answer === undefined) throw internalError(this.#walk.hop, awaited, 'a handshake awaits nothing');
      const bytes = await answer;
      step = this.#initiator.receive(bytes, this.#clock.now());
      if (step.kind === 'failed') throw handshakeError(this.#awaited(step.failure.stage), step.failure);
      this.#done(awaited);
      if (step.kind === 'established') return step.session;
      awaited = 'psq';
    }
  }

  #send(step: HandshakeStep): void {
    if (step.kind === 'failed') throw handshakeError(this.#awaited(step.failure.stage), step.failure);
    if (step.kind !== 'send') return;
    for (const message of step.messages) {
      const answer = this.#walk.carry(message.replyLength > MESSAGE_2_LENGTH ? 'kkt' : 'psq', message);
      // The one before it may fail first.
      answer.catch(() => {});
      this.#answers.push(answer);
    }
  }

  #done(step: AnswerStep): void {
    const { monotonicMs } = this.#clock.now();
    this.#walk.run.stepDone(this.#walk.hop, step, monotonicMs - this.#lastMs);
    this.#lastMs = monotonicMs;
  }

  #awaited(step: AnswerStep): AwaitedAnswer {
    const { hop, node } = this.#walk;
    return { hop, step, source: node.source };
  }
}
