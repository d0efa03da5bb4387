/**
 * The Noise transport inside LP1's packets (lp1.md §6.3), one direction each. Its nonces are implicit: every message takes
 * the next one. The reference therefore dies of one lost, repeated or reordered packet (§10-C 20); this receiver does not.
 *
 * A sender takes one outer counter for every packet and one nonce for every data packet, so counter − nonce is the number
 * of other packets before (plus where the counters began): it never falls, and rises by one at each of the few control
 * packets. So the outer counter names the nonce, but for a handful of candidates. Invariant: no nonce is accepted twice,
 * whatever counter its ciphertext comes under; a message that does not open changes nothing.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import { writeLe64 } from '../wire/bytes.ts';
import { checkCounter, markCounter, WINDOW_BYTES } from '../wire/replay-window.ts';

const TAG_LENGTH = 16;
const NO_AAD = new Uint8Array(0);
const NONCE = new Uint8Array(12);
/** Control packets, lost ones included, that may lie between two data packets where data is lost, too; each costs a try. */
const MAX_DRIFT = 16;

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

  /** Takes over `key`. `firstCounter`: the outer counter that the peer's first data packet has if nothing comes before it. */
  constructor(key: Uint8Array, firstCounter: number) {
    this.key = key;
    this.headOffset = firstCounter;
  }

  /** The payload of the data packet with this outer counter, or `undefined`. */
  open(crypto: CryptoProvider, counter: number, sealed: Uint8Array): Uint8Array | undefined {
    if (sealed.length < TAG_LENGTH) return undefined;
    const payload = new Uint8Array(sealed.length - TAG_LENGTH);
    for (const n of this.candidates(counter)) {
      if (n < 0 || checkCounter(this.window, 0, this.nextNonce, n) !== 'fresh') continue;
      if (!crypto.aeadOpen(payload, sealed, NO_AAD, nonce(n), this.key)) continue;
      this.nextNonce = markCounter(this.window, 0, this.nextNonce, n);
      if (counter > this.headCounter) {
        this.headCounter = counter;
        this.headOffset = counter - n;
      }
      return payload;
    }
    return undefined;
  }

  wipe(): void {
    this.key.fill(0);
  }

  /** The likeliest first; at most 2 · MAX_DRIFT + 1, each once. */
  private candidates(counter: number): Set<number> {
    const likeliest = counter - this.headOffset;
    const found = new Set<number>([likeliest]);
    const late = counter < this.headCounter;
    // Later packets have more control packets before them, hence lower nonces than the head's offset says.
    for (let drift = 1; drift <= MAX_DRIFT; drift++) found.add(late ? likeliest + drift : likeliest - drift);
    // Where the peer's counters began is a guess until its first message, and any number of them may have gone by without
    // data: to control packets, to the session that has the same outer key. What was not lost has one of the next nonces.
    for (let ahead = 0; ahead < MAX_DRIFT; ahead++) found.add(this.nextNonce + ahead);
    return found;
  }
}
