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
  MAX_PACKET_LENGTH,
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
  /** The owner's number for it. */
  readonly slot: number;
}

/** A place of its own, for whoever has few sessions. */
export function ownPlace(): TransportPlace {
  return { memory: new Uint8Array(TRANSPORT_BYTES), offset: 0, slot: 0 };
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

interface PacketViews {
  readonly packet: Uint8Array;
  readonly sealed: Uint8Array;
  readonly plaintext: Uint8Array;
}

function viewsOf(packet: Uint8Array): PacketViews {
  const { buffer, byteOffset, length } = packet;
  const start = byteOffset + HEADER_LENGTH;
  return {
    packet,
    sealed: new Uint8Array(buffer, start, length - HEADER_LENGTH),
    plaintext: new Uint8Array(buffer, start, length - HEADER_LENGTH - TRAILER_LENGTH),
  };
}

/**
 * Memory for one sealed packet after the other. Views cost more than the bytes they show, so those of the usual lengths
 * are kept: at most 2,048 sets, 700 KB.
 */
export class PacketScratch {
  private readonly memory = new Uint8Array(new ArrayBuffer(MAX_PACKET_LENGTH));
  private readonly kept = new Array<PacketViews | undefined>(2_048).fill(undefined);

  views(length: number): PacketViews {
    const views = this.kept[length];
    if (views !== undefined) return views;
    const made = viewsOf(this.memory.subarray(0, length));
    if (length < this.kept.length) this.kept[length] = made;
    return made;
  }
}

/** Header, nonce and the key that lies at `keyAt`. */
function load(packet: Uint8Array, memory: Uint8Array, keyAt: number): void {
  for (let i = 0; i < HEADER_LENGTH; i++) HEADER[i] = packet[i] ?? 0;
  for (let i = 4; i < HEADER_LENGTH; i++) NONCE[i] = packet[i] ?? 0;
  for (let i = 0; i < KEY_LENGTH; i++) KEY[i] = memory[keyAt + i] ?? 0;
}

/**
 * Opens in place under the receiving key of the session that lies at `offset`, whether it is an object or at rest: afterwards
 * type and content can be read from the packet as from an unsealed one. Nothing of the session is changed.
 */
export function openPacket(
  crypto: CryptoProvider,
  packet: Uint8Array,
  memory: Uint8Array,
  offset: number,
  nextCounter: number,
): DropReason | undefined {
  const counter = counterOf(packet);
  if (counter >= COUNTER_LIMIT) return 'counter_limit';
  const verdict = checkCounter(memory, offset + WINDOW, nextCounter, counter);
  if (verdict !== 'fresh') return verdict;
  load(packet, memory, offset + RECEIVE_KEY);
  const { plaintext, sealed } = viewsOf(packet);
  const opened = crypto.aeadOpen(plaintext, sealed, HEADER, NONCE, KEY);
  KEY.fill(0);
  return opened ? undefined : 'tag';
}

export class Transport {
  /** `index | 0`: as a small integer it costs no heap number. */
  private readonly signedIndex: number;
  readonly place: TransportPlace;
  private readonly memory: Uint8Array;
  private readonly offset: number;
  private sendCounter: number;
  private nextCounter: number;
  private replyDue = false;

  private constructor(index: number, place: TransportPlace, sendCounter: number, nextCounter: number) {
    this.signedIndex = index | 0;
    this.place = place;
    this.memory = place.memory;
    this.offset = place.offset;
    this.sendCounter = sendCounter;
    this.nextCounter = nextCounter;
  }

  /**
   * The place is zero. `firstCounter` is 1 where counter 0 is kept for the reply to H3
   * (`sealReplyToH3`). Copies the secrets; the caller wipes its own.
   */
  static make(
    index: number,
    place: TransportPlace,
    role: Role,
    secrets: SessionSecrets,
    peerStatic: Uint8Array,
    firstCounter: 0 | 1,
  ): Transport {
    const transport = new Transport(index, place, firstCounter, 0);
    transport.replyDue = firstCounter === 1;
    const initiator = role === 'initiator';
    transport.put(SEND_KEY, initiator ? secrets.initiatorToResponder : secrets.responderToInitiator);
    transport.put(RECEIVE_KEY, initiator ? secrets.responderToInitiator : secrets.initiatorToResponder);
    transport.put(CHAIN, secrets.chain);
    transport.put(PEER, peerStatic);
    return transport;
  }

  /** One that rested: its keys and window are in the place. */
  static wake(index: number, place: TransportPlace, sent: number, received: number): Transport {
    return new Transport(index, place, sent, received);
  }

  /** Another one is to be woken in its place: this one seals nothing more, for its next nonce is the other one's. */
  retire(): void {
    this.sendCounter = COUNTER_LIMIT;
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
    return this.place;
  }

  get index(): number {
    return this.signedIndex >>> 0;
  }

  /** See `openPacket`; a right tag marks the counter, also when version or type then are not. */
  open(crypto: CryptoProvider, packet: Uint8Array): DropReason | undefined {
    return openPacket(crypto, packet, this.memory, this.offset, this.nextCounter) ?? this.opened(packet);
  }

  /** `openPacket` has opened it. */
  opened(packet: Uint8Array): DropReason | undefined {
    this.nextCounter = markCounter(this.memory, this.offset + WINDOW, this.nextCounter, counterOf(packet));
    if (versionOf(packet) !== VERSION_2) return 'version';
    const type = typeOf(packet);
    return type > 15 || (SEALED_TYPES & (1 << type)) === 0 ? 'type' : undefined;
  }

  /**
   * `undefined` at 2⁴⁸ packets and for a content that no packet can carry. With `scratch` the packet lies there, until the
   * next one does.
   */
  seal(crypto: CryptoProvider, type: number, content: Uint8Array, scratch?: PacketScratch): Uint8Array | undefined {
    if (this.sendCounter >= COUNTER_LIMIT || content.length > MAX_CONTENT_LENGTH) return undefined;
    const length = MIN_PACKET_LENGTH + content.length;
    const views = scratch === undefined ? viewsOf(new Uint8Array(length)) : scratch.views(length);
    return this.sealAt(crypto, this.sendCounter++, type, content, views);
  }

  /** The one packet with counter 0 of a session that comes from a handshake; a second one would reuse its nonce. */
  sealReplyToH3(crypto: CryptoProvider, type: number, content: Uint8Array): Uint8Array {
    if (!this.replyDue) throw new Error('counter 0 was sealed before');
    this.replyDue = false;
    return this.sealAt(crypto, 0, type, content, viewsOf(new Uint8Array(MIN_PACKET_LENGTH + content.length)));
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
    { packet, sealed, plaintext }: PacketViews,
  ): Uint8Array {
    writeHeader(packet, this.signedIndex, counter);
    packet[HEADER_LENGTH] = VERSION_2;
    for (let at = HEADER_LENGTH + 1; at < HEADER_LENGTH + 4; at++) packet[at] = 0;
    writeLe16(packet, HEADER_LENGTH + 4, type);
    packet.set(content, CONTENT_OFFSET);
    load(packet, this.memory, this.offset + SEND_KEY);
    crypto.aeadSeal(sealed, plaintext, HEADER, NONCE, KEY);
    KEY.fill(0);
    return packet;
  }
}
