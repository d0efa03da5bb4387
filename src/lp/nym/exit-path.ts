/**
 * The way to an exit through an established session with its entry (nym.md §9.5): each message of the exit's handshake or
 * session becomes the content of one forward, and each answer of the entry the exit's next message. The exit's session is
 * an ordinary one, with keys, index, counters and nonces of its own.
 */
import type { NymClientSession, SentRequest } from './client-session.ts';
import { encodeNymForward, maxForwardedBytes, type NymForwardTarget } from './forward.ts';
import type { NymOutgoing } from './initiator.ts';

export class NymExitPath {
  private readonly entry: NymClientSession;
  readonly target: NymForwardTarget;

  constructor(entry: NymClientSession, target: NymForwardTarget) {
    this.entry = entry;
    this.target = target;
  }

  /** For the exit's handshake. The answer that comes under this id is the exit's message itself, whole. */
  forwardMessage({ bytes, replyLength }: NymOutgoing): SentRequest {
    if (bytes.length > maxForwardedBytes(this.target.family)) return { kind: 'refuse', reason: 'too_long' };
    return this.entry.send('forward', encodeNymForward({ target: this.target, replyLength, bytes }));
  }

  /** A packet as the exit's session sealed it, with its length before it; the answer is a packet without (§9.2). */
  forwardPacket(wire: Uint8Array): SentRequest {
    return this.forwardMessage({ bytes: wire, replyLength: 0 });
  }
}
