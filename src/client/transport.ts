/**
 * How packets reach a gateway: over a TCP connection, over one for each packet, or inside another session's Forwards. A
 * transport promises nothing about answers; handshake and session match them by index and request id.
 */
import type { LewesError } from './errors.ts';

/** The lane of what is no request: handshakes and rekeying. Requests use their id, which is never 0. */
export const CONTROL_LANE = 0;

export interface Exchange {
  /**
   * Packets that are expected in answer: one to each of the last so many packets of the exchange. A stream does not need to
   * know; what carries packets one by one does.
   */
  readonly replies: number;
  /** What it belongs to: a repeat is left out while that lane still waits for its answer, where the way loses nothing. */
  readonly lane: number;
  readonly repeat: boolean;
  /** The gateway takes the same packets twice without harm, so a lost connection need not end this. */
  readonly idempotent: boolean;
  /** Called when the packets, or the first of them, are on their way. */
  readonly sent?: () => void;
}

export interface TransportFailure {
  readonly error: LewesError;
  /** Whether a new transport may fare better. */
  readonly retry: boolean;
  /** What was sent may have arrived: its connection was ended by the peer without an answer, which may be one, too. */
  readonly unanswered: boolean;
}

export interface TransportHandlers {
  /** A whole packet, perhaps hostile. The bytes are valid during the call only, and may be overwritten. */
  packet(packet: Uint8Array): void;
  /** No (more) answers to one exchange will come; the transport lives on. */
  exchangeFailed(lane: number, failure: TransportFailure): void;
  /** The last call; not made after `close` or `destroy`. */
  closed(failure: TransportFailure): void;
}

export interface Transport {
  attach(handlers: TransportHandlers): void;
  /** On a stream, what is sent within one turn leaves in one write. */
  send(packets: readonly Uint8Array[], exchange: Exchange): void;
  /** Bytes that were sent and have not left. */
  readonly backlog: number;
  /** Flushes, then ends. Resolves when it is gone, within a second or so. */
  close(): Promise<void>;
  /** At once. */
  destroy(): void;
}

export interface Dialer {
  /** Rejects with a LewesError; with the signal's reason when aborted. */
  dial(signal: AbortSignal): Promise<Transport>;
  /** What a transport is still waiting for by itself: the gateway in front of this one. */
  blame(): LewesError | undefined;
  readonly nested: boolean;
  /** The gateway's IP address (4 or 16 bytes) that was dialled last; empty where it is not known. */
  readonly gatewayIp: Uint8Array;
}
