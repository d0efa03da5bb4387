/**
 * The Noise handshake of an LP1 subsession (lp1.md §3.5, §6.4): KKpsk0 with an empty prologue and empty payloads, and a PSK
 * that depends on the subsession's number alone. The number is never on the wire, so after a lost packet the two sides may
 * count differently; whoever answers tries its neighbours (§10-C 23).
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import { KkInitiator, type KkKeys, KkResponder, type KkResult } from '../noise/kk.ts';
import { type NoiseKeys, split } from '../noise/split.ts';
import { readLe64, writeLe64 } from '../wire/bytes.ts';
import { outerKey, subsessionPsk } from './key-schedule.ts';

const EMPTY = new Uint8Array(0);
const KK_LENGTH = 48;
const KK_CONTENT_LENGTH = 8 + KK_LENGTH;
/** Tried around the expected number, the likeliest first: one rekeying that was lost or given up moves it by one. */
const NEIGHBOURS = [0, -1, 1, -2, 2, -3, 3] as const;
/** Reading a KK1 costs four DH: so many at once, and one more every 10 s. */
const KK1_BURST = 8;
const KK1_INTERVAL_MS = 10_000;

export interface SubsessionKeys {
  readonly number: number;
  readonly noise: NoiseKeys;
  readonly outerKey: Uint8Array;
}

export interface AnsweredKk1 extends SubsessionKeys {
  readonly kk2Content: Uint8Array;
}

/** §2.5: `LE64 48 ‖ Noise message`. */
function encodeKk(message: Uint8Array): Uint8Array {
  const content = new Uint8Array(KK_CONTENT_LENGTH);
  writeLe64(content, 0, KK_LENGTH);
  content.set(message, 8);
  return content;
}

export function decodeKk(content: Uint8Array): Uint8Array | undefined {
  if (content.length !== KK_CONTENT_LENGTH || readLe64(content, 0) !== KK_LENGTH) return undefined;
  return content.subarray(8);
}

/** Takes over `ephemeral`. `undefined` where the peer's static key gives an all-zero result. */
export function startKk(
  crypto: CryptoProvider,
  keys: KkKeys,
  psq: Uint8Array,
  number: number,
  ephemeral: Uint8Array,
): { readonly noise: KkInitiator; readonly content: Uint8Array } | undefined {
  const psk = subsessionPsk(crypto, psq, number);
  const noise = new KkInitiator(crypto, EMPTY, keys, psk, ephemeral);
  psk.fill(0);
  const message = noise.writeMessage1(EMPTY);
  if (message !== undefined) return { noise, content: encodeKk(message) };
  noise.wipe();
  return undefined;
}

/** Reads KK1 under the expected number or one near it, and answers. Nothing has changed where it gives `undefined`. */
export function answerKk(
  crypto: CryptoProvider,
  keys: KkKeys,
  psq: Uint8Array,
  expected: number,
  content: Uint8Array,
  drawEphemeral: () => Uint8Array,
): AnsweredKk1 | undefined {
  const message = decodeKk(content);
  if (message === undefined) return undefined;
  const remembering = rememberDh(crypto);
  try {
    for (const neighbour of NEIGHBOURS) {
      const number = expected + neighbour;
      if (number < 0) continue;
      const answered = answerUnder(remembering.crypto, keys, psq, number, message, drawEphemeral);
      if (answered !== undefined) return answered;
    }
    return undefined;
  } finally {
    remembering.forget();
  }
}

function answerUnder(
  crypto: CryptoProvider,
  keys: KkKeys,
  psq: Uint8Array,
  number: number,
  message: Uint8Array,
  drawEphemeral: () => Uint8Array,
): AnsweredKk1 | undefined {
  const psk = subsessionPsk(crypto, psq, number);
  const noise = new KkResponder(crypto, EMPTY, keys, psk);
  psk.fill(0);
  const payload = noise.readMessage1(message);
  const written = payload?.length === 0 ? noise.writeMessage2(drawEphemeral(), EMPTY) : undefined;
  noise.wipe();
  if (written === undefined) return undefined;
  return { ...subsessionKeys(crypto, psq, number, written), kk2Content: encodeKk(written.message) };
}

/** From a finished KK handshake. Wipes its chaining key. */
export function subsessionKeys(
  crypto: CryptoProvider,
  psq: Uint8Array,
  number: number,
  result: KkResult,
): SubsessionKeys {
  const noise = split(crypto, result.chainingKey);
  result.chainingKey.fill(0);
  const psk = subsessionPsk(crypto, psq, number);
  const outer = outerKey(crypto, psk);
  psk.fill(0);
  return { number, noise, outerKey: outer };
}

export function wipeSubsession(keys: SubsessionKeys): void {
  keys.noise.initiatorToResponder.fill(0);
  keys.noise.responderToInitiator.fill(0);
  keys.outerKey.fill(0);
}

/** How many KK1s of one peer are read. */
export class Kk1Budget {
  private tokens = KK1_BURST;
  private refilledMs: number;

  constructor(nowMs: number) {
    this.refilledMs = nowMs;
  }

  take(nowMs: number): boolean {
    const gained = Math.floor((nowMs - this.refilledMs) / KK1_INTERVAL_MS);
    if (gained > 0) {
      this.tokens = Math.min(KK1_BURST, this.tokens + gained);
      this.refilledMs += gained * KK1_INTERVAL_MS;
    }
    if (this.tokens === 0) return false;
    this.tokens--;
    return true;
  }
}

/** The same two DH results serve every number that is tried, so seven tries cost hardly more than one. */
function rememberDh(crypto: CryptoProvider): { readonly crypto: CryptoProvider; forget(): void } {
  const known: { secret: Uint8Array; publicKey: Uint8Array; shared: Uint8Array | undefined }[] = [];
  const x25519 = (secret: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined => {
    const found = known.find((dh) => crypto.equal(dh.secret, secret) && crypto.equal(dh.publicKey, publicKey));
    if (found !== undefined) return found.shared?.slice();
    const shared = crypto.x25519(secret, publicKey);
    known.push({ secret: secret.slice(), publicKey: publicKey.slice(), shared: shared?.slice() });
    return shared;
  };
  return {
    crypto: { ...crypto, x25519 },
    forget: () => {
      for (const { secret, shared } of known) {
        secret.fill(0);
        shared?.fill(0);
      }
      known.length = 0;
    },
  };
}
