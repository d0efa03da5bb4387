/**
 * The Noise transport inside LP1's packets (lp1.md §6.3), one direction each. Its nonces are implicit: every message takes
 * the next one. The reference therefore dies of one lost, repeated or reordered packet (§10-C 20); this receiver does not.
 *
 * A sender takes one outer counter for every packet and one nonce for every data packet, so counter − nonce is the number
 * of other packets before (plus where the counters began): it never falls, and rises by one at each of the few control
 * packets. So the outer counter names the nonce, but for a handful of candidates. Invariant: no nonce is accepted twice,
 * whatever counter its ciphertext comes under; a message that does not open changes nothing but what is spent on the next
 * one. It may be this side's own, sent back (outer.ts), as often as somebody likes: it is tried once.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import { sameBytes, writeLe64 } from '../wire/bytes.ts';
import { checkCounter, markCounter, WINDOW_BYTES } from '../wire/replay-window.ts';

const TAG_LENGTH = 16;
const NO_AAD = new Uint8Array(0);
const NONCE = new Uint8Array(12);
/** Control packets, lost ones included, that may lie between two data packets where data is lost, too; each costs a try. */
const MAX_DRIFT = 16;
/** The likeliest nonce, and after it those that a packet has when no data was lost, and when some was. */
const CANDIDATES = 1 + MAX_DRIFT + MAX_DRIFT;
/** Of each packet, whatever did not open before it: enough unless control packets and lost data meet. */
const FREE_TRIES = 2;
/**
 * For tries beyond those, in short openings: about half a millisecond. It bounds what a peer costs that seals ever new
 * packets which do not open; what opens spends nothing and earns some back.
 */
const MAX_CREDIT = 256;
const CREDIT_OF_GOOD = 4;
/** What a longer opening takes as much again for. */
const LONG_OPENING = 4_096;
/**
 * Packets that are remembered for not having opened, one for a counter, so that to repeat them spends nothing. A side seals
 * one packet under each counter, so of its own there are only so many to send back as the peer's lost ones left counters free.
 */
const MAX_FAILED = 32;
/** Their last bytes stand for them: nobody but the peer could make two that share the tag there. */
const TAIL_LENGTH = 64;
const NONE = -1;

function nonce(n: number): Uint8Array {
  writeLe64(NONCE, 4, n);
  return NONCE;
}

export class InnerSender {
  private readonly key: Uint8Array;
  private n = 0;

  /** Takes over `key`. */
  constructor(key: Uint8Array) {
    this.key = key;
  }

  /** Ciphertext ‖ tag. */
  seal(crypto: CryptoProvider, payload: Uint8Array): Uint8Array {
    const sealed = new Uint8Array(payload.length + TAG_LENGTH);
    crypto.aeadSeal(sealed, payload, NO_AAD, nonce(this.n++), this.key);
    return sealed;
  }

  wipe(): void {
    this.key.fill(0);
  }
}

export class InnerReceiver {
  private readonly key: Uint8Array;
  private readonly window = new Uint8Array(WINDOW_BYTES);
  private nextNonce = 0;
  /** Of the message with the highest counter so far: its counter, and counter − nonce. */
  private headCounter = -1;
  private headOffset: number;
  private credit = MAX_CREDIT;
  /** Tails by counter, the oldest first; absent until there is one. */
  private failed: Map<number, Uint8Array> | undefined;

  /** Takes over `key`. `firstCounter`: the outer counter that the peer's first data packet has if nothing comes before it. */
  constructor(key: Uint8Array, firstCounter: number) {
    this.key = key;
    this.headOffset = firstCounter;
  }

  /** The payload of the data packet with this outer counter, or `undefined`. */
  open(crypto: CryptoProvider, counter: number, sealed: Uint8Array): Uint8Array | undefined {
    if (sealed.length < TAG_LENGTH || this.hasFailed(counter, sealed)) return undefined;
    const payload = new Uint8Array(sealed.length - TAG_LENGTH);
    const cost = 1 + Math.floor(sealed.length / LONG_OPENING);
    let tries = 0;
    let { credit } = this;
    for (let i = 0; i < CANDIDATES; i++) {
      const n = this.candidate(i, counter);
      if (!this.isPossible(n, counter)) continue;
      if (++tries > FREE_TRIES) credit -= cost;
      if (credit < 0) {
        this.credit = 0;
        return undefined;
      }
      if (!crypto.aeadOpen(payload, sealed, NO_AAD, nonce(n), this.key)) continue;
      this.accept(counter, n, cost);
      return payload;
    }
    this.credit = credit;
    if (tries > 0) this.remember(counter, sealed);
    return undefined;
  }

  wipe(): void {
    this.key.fill(0);
    this.failed = undefined;
  }

  private accept(counter: number, n: number, cost: number): void {
    this.nextNonce = markCounter(this.window, 0, this.nextNonce, n);
    this.credit = Math.min(MAX_CREDIT, this.credit + CREDIT_OF_GOOD * cost);
    if (counter <= this.headCounter) return;
    this.headCounter = counter;
    this.headOffset = counter - n;
  }

  /** The likeliest first; each once, but for those that are not possible. */
  private candidate(i: number, counter: number): number {
    const likeliest = counter - this.headOffset;
    if (i === 0) return likeliest;
    // Where the peer's counters began is a guess until its first message, and any number of them may have gone by without
    // data: to control packets, to the session that has the same outer key. What was not lost has one of the next nonces.
    const ahead = this.nextNonce + i - 1;
    if (i <= MAX_DRIFT) return ahead === likeliest ? NONE : ahead;
    // Later packets have more control packets before them, hence lower nonces than the head's offset says.
    const drift = i - MAX_DRIFT;
    if (counter < this.headCounter) return likeliest + drift;
    const behind = likeliest - drift;
    return behind >= this.nextNonce && behind < this.nextNonce + MAX_DRIFT ? NONE : behind;
  }

  /** Not accepted yet, and counter − nonce falls nowhere between this packet and the head. */
  private isPossible(n: number, counter: number): boolean {
    if (n < 0 || checkCounter(this.window, 0, this.nextNonce, n) !== 'fresh') return false;
    if (this.headCounter < 0) return true;
    return counter > this.headCounter
      ? n >= this.nextNonce && n <= counter - this.headOffset
      : n < this.headCounter - this.headOffset;
  }

  private hasFailed(counter: number, sealed: Uint8Array): boolean {
    const tail = this.failed?.get(counter);
    return tail !== undefined && sameBytes(tail, sealed.subarray(-TAIL_LENGTH));
  }

  private remember(counter: number, sealed: Uint8Array): void {
    this.failed ??= new Map();
    this.failed.delete(counter);
    this.failed.set(counter, sealed.slice(-TAIL_LENGTH));
    if (this.failed.size <= MAX_FAILED) return;
    for (const oldest of this.failed.keys()) {
      this.failed.delete(oldest);
      return;
    }
  }
}
