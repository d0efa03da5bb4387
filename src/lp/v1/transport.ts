/**
 * One LP1 session's packets (lp1.md §1.3–1.6, §6.3, §7.2): outer AEAD, counters, replay window, and the Noise transport
 * inside. Opening and accepting are two steps, since the outer layer alone proves little: its key is the same in both
 * directions, so a packet may be this side's own, sent back (§10-B 7). A counter is marked when the packet was accepted,
 * hence a reflected or forged packet costs the genuine one with that counter nothing.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import type { DropReason } from '../drop-reason.ts';
import {
  COUNTER_LIMIT,
  contentOf,
  counterOf,
  MAX_CONTENT_LENGTH,
  TYPE,
  typeOf,
  VERSION_1,
  versionOf,
} from '../wire/packet.ts';
import { checkCounter, markCounter, WINDOW_BYTES } from '../wire/replay-window.ts';
import { InnerReceiver, InnerSender } from './inner-transport.ts';
import { openOuter, sealOuter } from './outer.ts';

const INNER_TAG_LENGTH = 16;
/** lp1.md §6.3, with packets that end at 65,535 bytes: 65,485. */
export const MAX_PAYLOAD_LENGTH = MAX_CONTENT_LENGTH - INNER_TAG_LENGTH;

/**
 * Counters under one outer key. Sessions of a chain can have the same key (§10-B 6), and then they share this, so that this
 * side never seals two packets under one (key, nonce).
 */
export interface KeyCounters {
  /** Of this side's next packet. */
  next: number;
  /** Above all that the peer's packets had: it goes on counting there. */
  heard: number;
}

export interface TransportOptions {
  readonly crypto: CryptoProvider;
  readonly index: number;
  /** Taken over, as are the inner keys. */
  readonly outerKey: Uint8Array;
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  readonly counters: KeyCounters;
  /** Counters below this one were the handshake's and are spent. */
  readonly firstReceived: number;
  /** What the peer's first data packet would have for counter. */
  readonly expectedFirst: number;
}

export type Opened =
  | { readonly kind: 'drop'; readonly reason: DropReason }
  | { readonly kind: 'data'; readonly payload: Uint8Array }
  /** Opened by the outer key alone, and not accepted yet: see `accept`. Data of a sender that cannot be is a drop. */
  | { readonly kind: 'control'; readonly type: number; readonly content: Uint8Array; readonly counter: number };

export class TransportV1 {
  readonly index: number;
  private readonly crypto: CryptoProvider;
  private readonly outerKey: Uint8Array;
  private readonly sender: InnerSender;
  private readonly receiver: InnerReceiver;
  private readonly counter: KeyCounters;
  private readonly window = new Uint8Array(WINDOW_BYTES);
  private nextReceived: number;
  private wiped = false;

  constructor(options: TransportOptions) {
    this.index = options.index;
    this.crypto = options.crypto;
    this.outerKey = options.outerKey;
    this.sender = new InnerSender(options.sendKey);
    this.receiver = new InnerReceiver(options.receiveKey, options.expectedFirst);
    this.counter = options.counters;
    this.nextReceived = 0;
    for (let spent = 0; spent < options.firstReceived; spent++) this.accept(spent);
  }

  /** EncryptedData; `undefined` for a payload that no packet can carry, at the end of the counters, and after `wipe`. */
  sealData(payload: Uint8Array): Uint8Array | undefined {
    if (payload.length > MAX_PAYLOAD_LENGTH || !this.seals) return undefined;
    return this.seal(TYPE.encryptedData, this.sender.seal(this.crypto, payload));
  }

  /** A control packet, which the outer layer alone protects. */
  seal(type: number, content: Uint8Array): Uint8Array | undefined {
    if (!this.seals) return undefined;
    return sealOuter(this.crypto, this.outerKey, this.index, this.counter.next++, type, content);
  }

  /** Never under a key that is zero. */
  private get seals(): boolean {
    return !this.wiped && this.counter.next < COUNTER_LIMIT;
  }

  /** The packet's bytes are overwritten. The replay check comes first, and it covers every type (§10-C 21). */
  open(packet: Uint8Array): Opened {
    const counter = counterOf(packet);
    if (counter >= COUNTER_LIMIT) return { kind: 'drop', reason: 'counter_limit' };
    const verdict = checkCounter(this.window, 0, this.nextReceived, counter);
    if (verdict !== 'fresh') return { kind: 'drop', reason: verdict };
    if (!openOuter(this.crypto, this.outerKey, packet)) return { kind: 'drop', reason: 'tag' };
    if (versionOf(packet) !== VERSION_1) return { kind: 'drop', reason: 'version' };
    const type = typeOf(packet);
    const content = contentOf(packet);
    if (type !== TYPE.encryptedData) return { kind: 'control', type, content, counter };
    const payload = this.receiver.open(this.crypto, counter, content);
    if (payload === undefined) return { kind: 'drop', reason: 'inner_tag' };
    this.accept(counter);
    return { kind: 'data', payload };
  }

  /** Marks the counter of a control packet that was acted upon. */
  accept(counter: number): void {
    this.nextReceived = markCounter(this.window, 0, this.nextReceived, counter);
    this.counter.heard = Math.max(this.counter.heard, this.nextReceived);
  }

  wipe(): void {
    this.wiped = true;
    this.outerKey.fill(0);
    this.sender.wipe();
    this.receiver.wipe();
  }
}
