/**
 * An exit that is reached through its entry's session (nym.md §9.5): every message of its handshake and every packet of its
 * session is a forward. What goes wrong on the way ends the entry's connection, so an exit's link lives no longer than that.
 */
import type { NymClientSession } from '../../lp/nym/client-session.ts';
import { NymExitPath } from '../../lp/nym/exit-path.ts';
import type { NymForwardTarget } from '../../lp/nym/forward.ts';
import type { NymOutgoing } from '../../lp/nym/initiator.ts';
import type { DirectLink } from './direct-link.ts';
import { type AnswerStep, type AwaitedAnswer, troubleError } from './explain.ts';
import { type HopLink, walkHandshake } from './hop-link.ts';
import { forwardTargetOf, type NymNodeData } from './node-data.ts';
import type { NymRun } from './run.ts';

/** Two forwards, each with a limit of its own: the reference has no limit of the whole (§15 N10). */
const HANDSHAKE_FORWARDS = 2;

export class ExitLink implements HopLink {
  readonly hop = 'exit';
  readonly node: NymNodeData;
  readonly #run: NymRun;
  readonly #entry: DirectLink;
  readonly #target: NymForwardTarget;
  #session: NymClientSession | undefined;

  constructor(run: NymRun, entry: DirectLink, node: NymNodeData) {
    this.#run = run;
    this.#entry = entry;
    this.node = node;
    this.#target = forwardTargetOf(node);
  }

  get endpointIp(): Uint8Array {
    return this.#target.ip;
  }

  async handshake(kemKey: Uint8Array | undefined): Promise<void> {
    const { node, hop } = this;
    const timeoutMs = HANDSHAKE_FORWARDS * this.#run.timeouts.forwardMs;
    const carry = (step: AnswerStep, message: NymOutgoing) => this.#forward(step, message);
    this.#session = await walkHandshake({ run: this.#run, hop, node, kemKey, timeoutMs, carry });
  }

  async ask(step: 'initial' | 'finalise', body: Uint8Array): Promise<Uint8Array> {
    const session = this.#session;
    if (session === undefined) throw new Error('assertion: requests follow the handshake');
    const sent = session.send('registration', body);
    if (sent.kind === 'refuse') throw troubleError(this.#awaited(step), { kind: 'refused', reason: 'over' });
    const packet = await this.#forward(step, { bytes: sent.wire, replyLength: 0 });
    const received = session.receive(packet);
    if (received.kind === 'answer') return received.content.slice();
    throw troubleError(this.#awaited(step), { kind: 'refused', reason: received.reason });
  }

  wipe(): void {
    this.#session?.wipe();
  }

  #forward(step: AnswerStep, message: NymOutgoing): Promise<Uint8Array> {
    const seal = (session: NymClientSession) => new NymExitPath(session, this.#target).forwardMessage(message);
    return this.#entry.request(seal, this.#awaited(step), this.#run.timeouts.forwardMs);
  }

  #awaited(step: AnswerStep): AwaitedAnswer {
    return { hop: this.hop, step, source: this.node.source };
  }
}
