/**
 * A way to one gateway as handshakes and sessions use it: over TCP, or inside an entry's session. Invariant: after `finish`,
 * `destroy` or `lost` no handler is called.
 */
import type { Failure } from './failure.ts';

export interface WireHandlers {
  /** The bytes are valid during the call only, and may be overwritten. */
  packet(packet: Uint8Array): void;
  /**
   * Nothing (more) comes to what was sent last. `unanswered`: the peer ended the exchange without a reply, which in some
   * versions says something.
   */
  lost(failure: Failure, unanswered: boolean): void;
}

export interface Wire {
  handlers: WireHandlers;
  /** `replies`: how many packets are expected to come back. */
  send(packets: readonly Uint8Array[], replies: number): void;
  /** Sends what is last, if anything, and lets go. */
  finish(last: Uint8Array | undefined): void;
  destroy(): void;
}
