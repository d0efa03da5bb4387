/**
 * `Noise_KKpsk0_25519_ChaChaPoly_SHA256` (lp2.md §6, lp1.md §6.4): the handshake of a subsession. Pre-messages are the initiator's and
 * the responder's static key of the first handshake.
 */
import { protocolHash, SymmetricState } from '../crypto/noise.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { concat } from '../wire/bytes.ts';
import { DH_LENGTH, mixDh, mixEphemeral, mixFirstDh, TAG_LENGTH } from './tokens.ts';

const PROTOCOL = protocolHash('Noise_KKpsk0_25519_ChaChaPoly_SHA256');

export interface KkKeys {
  /** Own X25519 static secret; stays the caller's. */
  readonly staticSecret: Uint8Array;
  readonly initiatorStatic: Uint8Array;
  readonly responderStatic: Uint8Array;
}

export interface KkResult {
  readonly payload: Uint8Array;
  /** The caller wipes it. */
  readonly chainingKey: Uint8Array;
  readonly handshakeHash: Uint8Array;
}

function begin(crypto: CryptoProvider, prologue: Uint8Array, keys: KkKeys, psk: Uint8Array): SymmetricState {
  const symmetric = SymmetricState.initialize(crypto, PROTOCOL);
  symmetric.mixHash(prologue);
  symmetric.mixHash(keys.initiatorStatic);
  symmetric.mixHash(keys.responderStatic);
  symmetric.mixKeyAndHash(psk);
  return symmetric;
}

export class KkInitiator {
  private readonly crypto: CryptoProvider;
  private readonly keys: KkKeys;
  private readonly ephemeralSecret: Uint8Array;
  private readonly symmetric: SymmetricState;

  /** Takes over `ephemeralSecret`. */
  constructor(
    crypto: CryptoProvider,
    prologue: Uint8Array,
    keys: KkKeys,
    psk: Uint8Array,
    ephemeralSecret: Uint8Array,
  ) {
    this.crypto = crypto;
    this.keys = keys;
    this.ephemeralSecret = ephemeralSecret;
    this.symmetric = begin(crypto, prologue, keys, psk);
  }

  /** → psk, e, es, ss */
  writeMessage1(payload: Uint8Array): Uint8Array | undefined {
    const { crypto, symmetric, keys } = this;
    const e = crypto.x25519PublicKey(this.ephemeralSecret);
    mixEphemeral(symmetric, e);
    if (!mixFirstDh(crypto, symmetric, this.ephemeralSecret, keys.responderStatic)) return undefined;
    if (!mixDh(crypto, symmetric, keys.staticSecret, keys.responderStatic)) return undefined;
    return concat(e, symmetric.encryptAndHash(payload));
  }

  /** ← e, ee, se. Read on a copy. */
  readMessage2(message: Uint8Array): KkResult | undefined {
    if (message.length < DH_LENGTH + TAG_LENGTH) return undefined;
    const { crypto } = this;
    const copy = this.symmetric.clone();
    const re = message.slice(0, DH_LENGTH);
    mixEphemeral(copy, re);
    const mixed = mixFirstDh(crypto, copy, this.ephemeralSecret, re) && mixDh(crypto, copy, this.keys.staticSecret, re);
    const payload = mixed ? copy.decryptAndHash(message.subarray(DH_LENGTH)) : undefined;
    if (payload === undefined) {
      copy.wipe();
      return undefined;
    }
    copy.k.fill(0);
    return { payload, chainingKey: copy.ck, handshakeHash: copy.h };
  }

  wipe(): void {
    this.symmetric.wipe();
    this.ephemeralSecret.fill(0);
  }
}

export class KkResponder {
  private readonly crypto: CryptoProvider;
  private readonly keys: KkKeys;
  private readonly symmetric: SymmetricState;
  private initiatorEphemeral: Uint8Array | undefined;

  constructor(crypto: CryptoProvider, prologue: Uint8Array, keys: KkKeys, psk: Uint8Array) {
    this.crypto = crypto;
    this.keys = keys;
    this.symmetric = begin(crypto, prologue, keys, psk);
  }

  /** → psk, e, es, ss */
  readMessage1(message: Uint8Array): Uint8Array | undefined {
    if (message.length < DH_LENGTH + TAG_LENGTH) return undefined;
    const { crypto, symmetric, keys } = this;
    const re = message.slice(0, DH_LENGTH);
    mixEphemeral(symmetric, re);
    if (!mixFirstDh(crypto, symmetric, keys.staticSecret, re)) return undefined;
    if (!mixDh(crypto, symmetric, keys.staticSecret, keys.initiatorStatic)) return undefined;
    this.initiatorEphemeral = re;
    return symmetric.decryptAndHash(message.subarray(DH_LENGTH));
  }

  /** ← e, ee, se. Wipes `ephemeralSecret`. */
  writeMessage2(ephemeralSecret: Uint8Array, payload: Uint8Array): (KkResult & { message: Uint8Array }) | undefined {
    const { crypto, symmetric } = this;
    const re = this.initiatorEphemeral;
    if (re === undefined) return undefined;
    const e = crypto.x25519PublicKey(ephemeralSecret);
    mixEphemeral(symmetric, e);
    const mixed =
      mixFirstDh(crypto, symmetric, ephemeralSecret, re) &&
      mixDh(crypto, symmetric, ephemeralSecret, this.keys.initiatorStatic);
    ephemeralSecret.fill(0);
    if (!mixed) return undefined;
    const message = concat(e, symmetric.encryptAndHash(payload));
    return { message, payload, chainingKey: symmetric.ck.slice(), handshakeHash: symmetric.h.slice() };
  }

  wipe(): void {
    this.symmetric.wipe();
  }
}
