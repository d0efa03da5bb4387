/**
 * The client's end of an established session (nym.md §7, §12): requests out, and answers in the order of their requests.
 * A node writes one frame for each request and none of its own accord; whatever else comes ends the session, for there is
 * no other way to be in step again.
 */
import { Redacted } from '../crypto/secret.ts';
import type { NymChannel } from './channel.ts';
import type { NymDropReason } from './drop-reason.ts';
import { FRAME_KIND } from './frame.ts';

/** Requests without an answer so far; a client of two hops has at most four under way. */
const MAX_WAITING = 16;

export type NymRequestKind = 'registration' | 'forward';

export type SentRequest =
  /** For one write, in this order; `id` comes back with the answer. */
  | { readonly kind: 'packet'; readonly id: number; readonly wire: Uint8Array }
  | { readonly kind: 'refuse'; readonly reason: 'over' | 'too_many' | 'too_long' };

export type NymReceived =
  /** The content of the answer: views into the packet. */
  | { readonly kind: 'answer'; readonly id: number; readonly request: NymRequestKind; readonly content: Uint8Array }
  /** The session is over: close the connection. */
  | { readonly kind: 'failed'; readonly reason: NymDropReason };

interface Waiting {
  readonly id: number;
  readonly request: NymRequestKind;
}

export class NymClientSession extends Redacted {
  private readonly channel: NymChannel;
  private readonly waiting: Waiting[] = [];
  private lastId = 0;
  private over = false;

  /** Takes the channel over. */
  constructor(channel: NymChannel) {
    super();
    this.channel = channel;
  }

  get index(): number {
    return this.channel.index;
  }

  /** Requests that have no answer yet. */
  get outstanding(): number {
    return this.waiting.length;
  }

  send(request: NymRequestKind, content: Uint8Array): SentRequest {
    if (this.over) return { kind: 'refuse', reason: 'over' };
    if (this.waiting.length >= MAX_WAITING) return { kind: 'refuse', reason: 'too_many' };
    const wire = this.channel.seal(FRAME_KIND[request], content);
    if (wire === undefined) return { kind: 'refuse', reason: 'too_long' };
    this.lastId++;
    this.waiting.push({ id: this.lastId, request });
    return { kind: 'packet', id: this.lastId, wire };
  }

  /** A packet without its length; it is opened in place. */
  receive(packet: Uint8Array): NymReceived {
    if (this.over) return { kind: 'failed', reason: 'over' };
    const opened = this.channel.open(packet);
    if (opened.kind === 'refuse') return this.fail(opened.reason);
    const waiting = this.waiting.shift();
    if (waiting === undefined || FRAME_KIND[waiting.request] !== opened.frame.kind) return this.fail('unexpected');
    return { kind: 'answer', ...waiting, content: opened.frame.content };
  }

  /** Nothing can be sent or opened any more. */
  wipe(): void {
    this.over = true;
    this.channel.wipe();
  }

  private fail(reason: NymDropReason): NymReceived {
    this.wipe();
    return { kind: 'failed', reason };
  }
}
