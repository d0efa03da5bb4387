/**
 * The client's side of a protocol version as its drivers see it: a handshake, and the session family that it makes. Each
 * version implements these; nothing outside its folder asks which one runs. Everything here is sans-IO: packets and time
 * in, packets and events out.
 *
 * Requests and answers are LP2's application frames (lp2.md §5) in every version: a version with other bodies on the wire
 * translates at its edge, and answers what it cannot say with a Failure of its own.
 */
import type { KemName } from './crypto/provider.ts';
import type { DropReason } from './drop-reason.ts';
import type { Now } from './time.ts';
import type { KemAnnouncement, KemKeyRefusal } from './v2/kem-key.ts';
import type { Framing } from './wire/framing.ts';

/** A KEM key that was checked before, and is checked again when it is used: plain bytes. `notAfter`: unix seconds. */
export type KnownKemKey = Pick<KemAnnouncement, 'kem' | 'body' | 'signature' | 'notAfter'>;

/** Status of a ForwardResponse that a version makes up itself: the entry gave no answer. Never on the wire. */
export const FORWARD_UNANSWERED = 255;

export type HandshakeFailure =
  | { readonly reason: 'timeout' | 'collision' | 'suite_not_offered' | 'gateway_key' | 'version' | 'busy' }
  | { readonly reason: 'clock'; readonly gatewayUnixMs: number }
  | { readonly reason: 'kem_key'; readonly refusal: KemKeyRefusal };

export type HandshakeDropReason = DropReason | KemKeyRefusal | 'session_id' | 'not_offered';

export type HandshakeStep<Session extends ClientSession = ClientSession> =
  | { readonly kind: 'wait' }
  | { readonly kind: 'drop'; readonly reason: HandshakeDropReason }
  /** One reply is expected to each. */
  | { readonly kind: 'send'; readonly packets: readonly Uint8Array[] }
  /** The gateway has the session; `received` is what the packet that shows it brought. */
  | { readonly kind: 'established'; readonly session: Session; readonly received: ClientReceived }
  | { readonly kind: 'failed'; readonly failure: HandshakeFailure };

export interface ClientHandshake {
  /** The KEM key that is known by now, for the next attempt and the cache; a version without KEM keys has none. */
  readonly kemKey: KnownKemKey | undefined;
  /** The version transfers KEM keys, so a handshake without one begins with the step `key`. */
  readonly usesKemKeys: boolean;
  /** The gateway has shown that it holds its identity: the last message of the handshake is under way. */
  readonly authenticated: boolean;
  start(now: Now): HandshakeStep;
  /** The packet's bytes may be overwritten. */
  receive(packet: Uint8Array, now: Now): HandshakeStep;
  /**
   * The peer has ended the connection, and no (further) answer to what was sent last will come. `wait` where only a new
   * attempt can go on.
   */
  unanswered(now: Now): HandshakeStep;
  /** Repeats, and ends what is over. */
  tick(now: Now): HandshakeStep;
  nextTickMs(): number;
  /** Ends the attempt and wipes what is not the session's. Safe to call twice. */
  abandon(): void;
}

export type ClientReceived =
  | { readonly kind: 'drop'; readonly reason: DropReason }
  /** An application frame: an answer. The bytes may be the packet's own. */
  | { readonly kind: 'frame'; readonly bytes: Uint8Array }
  /** Opened; it asks for nothing. */
  | { readonly kind: 'opened' }
  | { readonly kind: 'rekeyAsked' }
  /**
   * The packets are to be sent: what comes next of the exchange of this request, or with id 0 a reply to the gateway's own
   * rekeying. So many replies are expected.
   */
  | {
      readonly kind: 'send';
      readonly packets: readonly Uint8Array[];
      readonly requestId: number;
      readonly replies: number;
    }
  /** The packets are to be sent (Ready); so many replies to them are expected. */
  | { readonly kind: 'rekeyed'; readonly packets: readonly Uint8Array[]; readonly replies: number }
  | { readonly kind: 'aborted' }
  | { readonly kind: 'closed' };

export type SealedFrame =
  /** To be sent in this order and at once; one reply is expected to the last one. */
  | { readonly kind: 'packets'; readonly packets: readonly Uint8Array[] }
  /** The version carries one exchange at a time, and another one is under way: ask again when it is settled. */
  | { readonly kind: 'later' }
  /** Answered on this side: the version cannot carry the request. An application frame. */
  | { readonly kind: 'answered'; readonly frame: Uint8Array }
  /** The session has ended or cannot seal any more. */
  | { readonly kind: 'spent' };

export type StartedRekey =
  | { readonly kind: 'packet'; readonly packet: Uint8Array }
  | { readonly kind: 'refused'; readonly reason: 'too_soon' | 'kem_not_offered' };

/** A session and all that it was rekeyed to. */
export interface ClientSession {
  /** Whether a packet with this index may be one of the family's. */
  owns(index: number): boolean;
  readonly rekeying: boolean;
  /** Seals a request. The frame stays the caller's. */
  sealFrame(frame: Uint8Array, now: Now): SealedFrame;
  /**
   * Nobody waits for the answer to this request any more, on this connection or at all. True: an answer that comes late
   * could be taken for another one's, so the connection must not be used further. Id 0, which no request has, stands for
   * what was sent for a rekeying.
   */
  abandonRequest(requestId: number): boolean;
  /**
   * The connection of a request ended without an answer: what that means, as an application frame, if it means any. With id
   * 0 (see above) a rekeying may end by this.
   */
  unanswered(requestId: number): Uint8Array | undefined;
  receive(packet: Uint8Array, now: Now): ClientReceived;
  /** `kem`: with a fresh ML-KEM exchange; undefined leaves it to the version. */
  startRekey(kem: boolean | undefined, now: Now): StartedRekey;
  /** Packets that are to be repeated. */
  tick(now: Now): Uint8Array[];
  /** Monotonic time of the next `tick`; infinite when nothing is due. */
  nextTickMs(): number;
  /** Ends and wipes the family: the packet that tells the gateway, where the version has one. */
  close(): Uint8Array | undefined;
  wipe(): void;
}

/** What a version can do; drivers ask this and never the version. */
export interface VersionTraits {
  /** The first request may ride in the handshake up to this length; 0: it cannot. */
  readonly maxEarlyFrameLength: number;
  /** Kinds of application frames that a client may send. */
  readonly requestKinds: readonly number[];
  /** Registrations can be asked for again, read, topped up and released, not only made. */
  readonly managesRegistrations: boolean;
  /** A handshake message or a request that comes twice is executed once, so what may have been lost is sent again. */
  readonly toleratesRepeats: boolean;
  readonly framing: Framing;
  /** A connection carries one packet each way unless both sides agreed on more; its end is how a gateway says no. */
  readonly onePacketPerConnection: boolean;
  readonly kemSuites: readonly KemName[];
}
