/**
 * A session's two directions (nym.md §6): packets sealed and opened with AES-128-GCM under nonces that only count, a
 * clear counter beside them, and an exact replay window over that counter. For either role. Packets go out with the LE32
 * length before them and come in without it.
 *
 * The nonce is implicit: it moves with every packet that opens, and a packet that does not open leaves it alone. So on a
 * stream nothing may be lost; the window only refuses what the clear counter shows to be old.
 */
import type { GcmChannel, NymCrypto } from '../crypto/nym-provider.ts';
import { Redacted } from '../crypto/secret.ts';
import { readLe32, readLe64, writeLe32, writeLe64 } from '../wire/bytes.ts';
import { checkCounter, markCounter, WINDOW_BYTES } from '../wire/replay-window.ts';
import type { NymDropReason } from './drop-reason.ts';
import {
  decodeNymFrame,
  FRAME_HEADER_LENGTH,
  type FrameKind,
  NO_ATTRIBUTES,
  type NymFrame,
  writeFrameHeader,
} from './frame.ts';
import type { NymSessionSecrets } from './key-schedule.ts';
import { isZero, vectorHeaderLength, vectorLengthAt, writeVectorHeader } from './tls-codec.ts';

export const LENGTH_PREFIX = 4;
export const OUTER_HEADER_LENGTH = 12;
const CHANNEL_LENGTH = 8;
const VECTOR_OFFSET = OUTER_HEADER_LENGTH + CHANNEL_LENGTH;
const INNER_HEADER_LENGTH = 4;
const TAG_LENGTH = 16;
const INNER_VERSION = 1;
/** A channel number, a length and a tag, and as many bytes more as the reference asks for. */
const MIN_SEALED_LENGTH = 28;

export const MAX_PACKET_LENGTH = 65_536;
export const MAX_FRAME_CONTENT = 65_476;
/**
 * Counters and nonces are numbers, so both stop well below 2⁵³. An honest sender counts from 0; the field is not
 * authenticated, and one beyond this would only close the window for all that follows (§15 B48).
 */
const COUNTER_LIMIT = 2 ** 48;

export type NymRole = 'initiator' | 'responder';
export type OpenedPacket =
  | { readonly kind: 'frame'; readonly frame: NymFrame }
  | { readonly kind: 'refuse'; readonly reason: NymDropReason };

const refuse = (reason: NymDropReason): OpenedPacket => ({ kind: 'refuse', reason });

/** Bytes on the wire of a frame with so much content, length prefix included. */
export function wireLength(contentLength: number): number {
  const inner = INNER_HEADER_LENGTH + FRAME_HEADER_LENGTH + contentLength;
  return LENGTH_PREFIX + VECTOR_OFFSET + vectorHeaderLength(inner) + inner + TAG_LENGTH;
}

/**
 * Memory for one sealed packet after the other. Making an array takes a fifth of the time of a small packet, so views of
 * the usual lengths are kept: at most 2,048 of them.
 */
export class WireScratch {
  private readonly memory = new Uint8Array(new ArrayBuffer(LENGTH_PREFIX + MAX_PACKET_LENGTH));
  private readonly kept = new Array<Uint8Array | undefined>(2_048).fill(undefined);

  /** With the bytes of an earlier packet in it. */
  bytes(length: number): Uint8Array {
    const kept = this.kept[length];
    if (kept !== undefined) return kept;
    const made = this.memory.subarray(0, length);
    if (length < this.kept.length) this.kept[length] = made;
    return made;
  }
}

export class NymChannel extends Redacted {
  readonly index: number;
  private readonly sending: GcmChannel;
  private readonly receiving: GcmChannel;
  private readonly window = new Uint8Array(WINDOW_BYTES);
  private sent = 0;
  /** Packets that opened: the nonce is one more. */
  private opened = 0;
  /** Lowest counter above all that were marked. */
  private next = 0;

  /** Copies the keys; the caller wipes its own. */
  constructor(crypto: NymCrypto, role: NymRole, secrets: NymSessionSecrets) {
    super();
    const { index, initiatorToResponder, responderToInitiator } = secrets;
    this.index = index;
    this.sending = crypto.channel(role === 'initiator' ? initiatorToResponder : responderToInitiator);
    this.receiving = crypto.channel(role === 'initiator' ? responderToInitiator : initiatorToResponder);
  }

  /**
   * With the length before it. `undefined` for a content that no packet can carry, and when the counter is used up. With
   * `scratch` the packet lies there, until the next one does.
   */
  seal(
    kind: FrameKind,
    content: Uint8Array,
    attributes: Uint8Array = NO_ATTRIBUTES,
    scratch?: WireScratch,
  ): Uint8Array | undefined {
    if (content.length > MAX_FRAME_CONTENT || this.sent >= COUNTER_LIMIT) return undefined;
    const innerLength = INNER_HEADER_LENGTH + FRAME_HEADER_LENGTH + content.length;
    const length = wireLength(content.length);
    const wire = scratch === undefined ? new Uint8Array(length) : scratch.bytes(length);
    writeLe32(wire, 0, wire.length - LENGTH_PREFIX);
    writeLe32(wire, LENGTH_PREFIX, this.index);
    writeLe64(wire, LENGTH_PREFIX + 4, this.sent);
    for (let i = 0; i < CHANNEL_LENGTH; i++) wire[LENGTH_PREFIX + OUTER_HEADER_LENGTH + i] = 0;
    const inner = writeVectorHeader(wire, LENGTH_PREFIX + VECTOR_OFFSET, innerLength);
    wire[inner] = INNER_VERSION;
    for (let i = 1; i < INNER_HEADER_LENGTH; i++) wire[inner + i] = 0;
    writeFrameHeader(wire, inner + INNER_HEADER_LENGTH, kind, attributes);
    wire.set(content, inner + INNER_HEADER_LENGTH + FRAME_HEADER_LENGTH);
    this.sent++;
    this.sending.seal(this.sent, wire, inner, innerLength);
    return wire;
  }

  /** In the order of §6.4. Opens in place: the frame is views into the packet. */
  open(packet: Uint8Array): OpenedPacket {
    if (packet.length < OUTER_HEADER_LENGTH || packet.length > MAX_PACKET_LENGTH) return refuse('length');
    if (readLe32(packet, 0) !== this.index) return refuse('unknown_index');
    const counter = readLe64(packet, 4);
    if (counter >= COUNTER_LIMIT) return refuse('counter_limit');
    const verdict = checkCounter(this.window, 0, this.next, counter);
    if (verdict !== 'fresh') return refuse(verdict);
    if (packet.length < OUTER_HEADER_LENGTH + MIN_SEALED_LENGTH) return refuse('length');
    if (!isZero(packet, OUTER_HEADER_LENGTH, CHANNEL_LENGTH)) return refuse('channel');
    const length = vectorLengthAt(packet, VECTOR_OFFSET);
    if (length === undefined) return refuse('length');
    const inner = VECTOR_OFFSET + vectorHeaderLength(length);
    if (inner + length + TAG_LENGTH !== packet.length) return refuse('length');
    if (!this.receiving.open(this.opened + 1, packet, inner, length)) return refuse('tag');
    this.opened++;
    return this.read(packet, inner, inner + length, counter);
  }

  wipe(): void {
    this.sending.wipe();
    this.receiving.wipe();
    this.sent = COUNTER_LIMIT;
  }

  /** What is authentic but says nothing that is understood has moved the nonce, and does not mark its counter. */
  private read(packet: Uint8Array, inner: number, end: number, counter: number): OpenedPacket {
    if (inner + INNER_HEADER_LENGTH > end) return refuse('content');
    if (packet[inner] !== INNER_VERSION) return refuse('version');
    const frame = decodeNymFrame(packet, inner + INNER_HEADER_LENGTH, end);
    if (frame === undefined) return refuse('frame_kind');
    this.next = markCounter(this.window, 0, this.next, counter);
    return { kind: 'frame', frame };
  }
}
