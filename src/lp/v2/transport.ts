/**
 * One session's keys, counters and replay window (lp2.md §2, §4.3): seals and opens packets, for either role. All of it
 * but two numbers lies in 256 bytes that the owner allocates, so that idle sessions can share slabs.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import type { DropReason } from '../drop-reason.ts';
import { writeLe16 } from '../wire/bytes.ts';
import {
  CONTENT_OFFSET,
  COUNTER_LIMIT,
  counterOf,
  HEADER_LENGTH,
  MAX_CONTENT_LENGTH,
  MIN_PACKET_LENGTH,
  TRAILER_LENGTH,
  TYPE,
  typeOf,
  VERSION_2,
  versionOf,
  writeHeader,
} from '../wire/packet.ts';
import { checkCounter, markCounter, WINDOW_BYTES } from '../wire/replay-window.ts';
import type { SessionSecrets } from './key-schedule.ts';

const KEY_LENGTH = 32;
const SEND_KEY = 0;
const RECEIVE_KEY = 32;
const CHAIN = 64;
const PEER = 96;
const WINDOW = 128;
export const TRANSPORT_BYTES = WINDOW + WINDOW_BYTES;

/** TRANSPORT_BYTES of somebody's memory, from `offset` on. */
export interface TransportPlace {
  readonly memory: Uint8Array;
  readonly offset: number;
}

/** A place of its own, for whoever has few sessions. */
export function ownPlace(): TransportPlace {
  return { memory: new Uint8Array(TRANSPORT_BYTES), offset: 0 };
}

export type Role = 'initiator' | 'responder';

/** §2: types that are allowed when sealed, as a bitmap by type number. */
const SEALED_TYPES = [
  TYPE.encryptedData,
  TYPE.ack,
  TYPE.subsessionRequest,
  TYPE.subsessionKk1,
  TYPE.subsessionKk2,
  TYPE.subsessionReady,
  TYPE.subsessionAbort,
  TYPE.close,
].reduce((bits, type) => bits | (1 << type), 0);

/**
 * Nonce (`00000000 ‖ LE64 counter`), associated data (the header) and key of the packet at hand, copied byte by byte: a view
 * into packet or slab would cost more than the copy. Sealing and opening never interleave; the key is wiped afterwards.
 */
const NONCE = new Uint8Array(12);
const HEADER = new Uint8Array(HEADER_LENGTH);
const KEY = new Uint8Array(KEY_LENGTH);

export class Transport {
  /** `index | 0`: as a small integer it costs no heap number. */
  private readonly signedIndex: number;
  private readonly memory: Uint8Array;
  private readonly offset: number;
  private sendCounter: number;
  private nextCounter = 0;
  private replyDue: boolean;

  /**
   * The place is zero. `firstCounter` is 1 where counter 0 is kept for the reply to H3
   * (`sealReplyToH3`). Copies the secrets; the caller wipes its own.
   */
  constructor(
    index: number,
    place: TransportPlace,
    role: Role,
    secrets: SessionSecrets,
    peerStatic: Uint8Array,
    firstCounter: 0 | 1,
  ) {
    this.signedIndex = index | 0;
    this.memory = place.memory;
    this.offset = place.offset;
    this.sendCounter = firstCounter;
    this.replyDue = firstCounter === 1;
    const initiator = role === 'initiator';
    this.put(SEND_KEY, initiator ? secrets.initiatorToResponder : secrets.responderToInitiator);
    this.put(RECEIVE_KEY, initiator ? secrets.responderToInitiator : secrets.initiatorToResponder);
    this.put(CHAIN, secrets.chain);
    this.put(PEER, peerStatic);
  }

  /** The chain for the next rekey; wiped at demotion. */
  get chain(): Uint8Array {
    return this.part(CHAIN);
  }

  /** The peer's X25519 static key: its identity. */
  get peerStatic(): Uint8Array {
    return this.part(PEER);
  }

  /** How many packets were sealed. */
  get sealed(): number {
    return this.sendCounter;
  }

  /** Lowest counter above all that were received. */
  get received(): number {
    return this.nextCounter;
  }

  wipeChain(): void {
    this.part(CHAIN).fill(0);
  }

  wipe(): void {
    this.memory.fill(0, this.offset, this.offset + TRANSPORT_BYTES);
  }

  /** Gives the place back to its owner: wiped, and this transport is of no more use. */
  releasePlace(): TransportPlace {
    this.wipe();
    return { memory: this.memory, offset: this.offset };
  }

  get index(): number {
    return this.signedIndex >>> 0;
  }

  /**
   * Opens in place: afterwards type and content can be read from the packet as from an unsealed one. The counter is
   * marked as soon as the tag is right, also when version or type then are not.
   */
  open(crypto: CryptoProvider, packet: Uint8Array): DropReason | undefined {
    const counter = counterOf(packet);
    if (counter >= COUNTER_LIMIT) return 'counter_limit';
    const verdict = checkCounter(this.memory, this.offset + WINDOW, this.nextCounter, counter);
    if (verdict !== 'fresh') return verdict;
    this.load(packet, RECEIVE_KEY);
    const plaintext = packet.subarray(HEADER_LENGTH, packet.length - TRAILER_LENGTH);
    const opened = crypto.aeadOpen(plaintext, packet.subarray(HEADER_LENGTH), HEADER, NONCE, KEY);
    KEY.fill(0);
    if (!opened) return 'tag';
    this.nextCounter = markCounter(this.memory, this.offset + WINDOW, this.nextCounter, counter);
    if (versionOf(packet) !== VERSION_2) return 'version';
    const type = typeOf(packet);
    return type > 15 || (SEALED_TYPES & (1 << type)) === 0 ? 'type' : undefined;
  }

  /**
   * `undefined` at 2⁴⁸ packets and for a content that no packet can carry. With `memory` (MAX_PACKET_LENGTH bytes) the
   * packet lies there, until the next one does.
   */
  seal(crypto: CryptoProvider, type: number, content: Uint8Array, memory?: Uint8Array): Uint8Array | undefined {
    if (this.sendCounter >= COUNTER_LIMIT || content.length > MAX_CONTENT_LENGTH) return undefined;
    const length = MIN_PACKET_LENGTH + content.length;
    const packet = memory === undefined ? new Uint8Array(length) : memory.subarray(0, length);
    return this.sealAt(crypto, this.sendCounter++, type, content, packet);
  }

  /** The one packet with counter 0 of a session that comes from a handshake; a second one would reuse its nonce. */
  sealReplyToH3(crypto: CryptoProvider, type: number, content: Uint8Array): Uint8Array {
    if (!this.replyDue) throw new Error('counter 0 was sealed before');
    this.replyDue = false;
    return this.sealAt(crypto, 0, type, content, new Uint8Array(MIN_PACKET_LENGTH + content.length));
  }

  private load(packet: Uint8Array, keyAt: number): void {
    for (let i = 0; i < HEADER_LENGTH; i++) HEADER[i] = packet[i] ?? 0;
    for (let i = 4; i < HEADER_LENGTH; i++) NONCE[i] = packet[i] ?? 0;
    const start = this.offset + keyAt;
    for (let i = 0; i < KEY_LENGTH; i++) KEY[i] = this.memory[start + i] ?? 0;
  }

  private part(at: number): Uint8Array {
    const start = this.offset + at;
    return this.memory.subarray(start, start + KEY_LENGTH);
  }

  private put(at: number, key: Uint8Array): void {
    this.memory.set(key, this.offset + at);
  }

  private sealAt(
    crypto: CryptoProvider,
    counter: number,
    type: number,
    content: Uint8Array,
    packet: Uint8Array,
  ): Uint8Array {
    writeHeader(packet, this.signedIndex, counter);
    packet[HEADER_LENGTH] = VERSION_2;
    packet.fill(0, HEADER_LENGTH + 1, HEADER_LENGTH + 4);
    writeLe16(packet, HEADER_LENGTH + 4, type);
    packet.set(content, CONTENT_OFFSET);
    this.load(packet, SEND_KEY);
    const plaintext = packet.subarray(HEADER_LENGTH, packet.length - TRAILER_LENGTH);
    crypto.aeadSeal(packet.subarray(HEADER_LENGTH), plaintext, HEADER, NONCE, KEY);
    KEY.fill(0);
    return packet;
  }
}
