/**
 * Packets to an exit inside an entry's session (lp2.md §5): each `send` is one Forward, whose answer brings the replies. The
 * entry's session belongs to others too and goes on.
 */

import { forwardError, forwardStatusName } from '../client/explain.ts';
import { FORWARD_UNANSWERED } from '../lp/client-session.ts';
import {
  decodeForwardResponse,
  encodeForward,
  FORWARD_STATUS,
  type ForwardTarget,
  KIND,
} from '../lp/wire/application-frame.ts';
import { type Failure, failure, malformed } from './failure.ts';
import type { Answer, LiveSession } from './live-session.ts';
import type { Wire, WireHandlers } from './wire.ts';

export class ForwardWire implements Wire {
  handlers: WireHandlers;
  readonly #entry: LiveSession;
  readonly #target: ForwardTarget;
  readonly #deadlineMs: number;
  readonly #released: () => void;
  #over = false;

  /** `released`: nothing of this is on its way through the entry any more, not even what was sent last. */
  constructor(
    entry: LiveSession,
    options: { readonly target: ForwardTarget; readonly deadlineMs: number; readonly released: () => void },
    handlers: WireHandlers,
  ) {
    this.#entry = entry;
    this.#target = options.target;
    this.#deadlineMs = options.deadlineMs;
    this.#released = options.released;
    this.handlers = handlers;
  }

  send(packets: readonly Uint8Array[], replies: number): void {
    if (this.#over || packets.length === 0) return;
    this.#forward(packets, replies, (answer) => this.#answered(answer));
  }

  finish(last: Uint8Array | undefined): void {
    if (this.#over) return;
    this.#over = true;
    if (last === undefined) this.#released();
    else this.#forward([last], 0, () => this.#released());
  }

  destroy(): void {
    this.#over = true;
    this.#released();
  }

  #forward(packets: readonly Uint8Array[], replies: number, answered: (answer: Answer) => void): void {
    const body = encodeForward({ target: this.#target, replies, packets });
    this.#entry.request(KIND.forward, body, this.#deadlineMs, answered);
  }

  #answered(answer: Answer): void {
    if (this.#over) return;
    if (answer.kind === 'failed') {
      this.#lose(answer.failure, false);
      return;
    }
    const response = answer.frame.kind === KIND.forwardResponse ? decodeForwardResponse(answer.frame.body) : undefined;
    if (response === undefined) {
      this.#lose(malformed('it is no ForwardResponse'), false);
      return;
    }
    const { status, packets } = response;
    for (const packet of packets) if (!this.#over) this.handlers.packet(packet);
    // Silence of the exit is silence: whoever sent has times of its own.
    if (status === FORWARD_STATUS.ok || status === FORWARD_STATUS.timeout || this.#over) return;
    const unanswered = status === FORWARD_STATUS.closed || status === FORWARD_UNANSWERED;
    this.#lose(forwardFailure(status), unanswered);
  }

  #lose(reason: Failure, unanswered: boolean): void {
    this.#over = !unanswered;
    this.handlers.lost(reason, unanswered);
  }
}

function forwardFailure(status: number): Failure {
  const name = forwardStatusName(status);
  if (name === undefined || name === 'ok') return malformed('a ForwardResponse has a status that does not exist');
  return failure(`FORWARD_FAILED_${name.toUpperCase()}`, forwardError(name).message);
}
