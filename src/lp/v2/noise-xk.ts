/**
 * `Noise_XKpsk2_25519_ChaChaPoly_SHA256` (lp2.md §4.2). One write and one read method per message; in a psk pattern
 * every `e` is also MixKey'd. A read that fails leaves the state as it was. Split is not used: the session's root comes
 * from ck and h after message 3.
 */
import { protocolHash, SymmetricState } from '../crypto/noise.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { DH_LENGTH, mixDh, mixEphemeral, mixFirstDh, TAG_LENGTH } from '../noise/tokens.ts';
import { concat } from '../wire/bytes.ts';

const PROTOCOL = protocolHash('Noise_XKpsk2_25519_ChaChaPoly_SHA256');

function begin(crypto: CryptoProvider, prologue: Uint8Array, responderStatic: Uint8Array): SymmetricState {
  const symmetric = SymmetricState.initialize(crypto, PROTOCOL);
  symmetric.mixHash(prologue);
  symmetric.mixHash(responderStatic);
  return symmetric;
}

export class XkInitiator {
  private symmetric: SymmetricState;
  private readonly crypto: CryptoProvider;
  private readonly staticSecret: Uint8Array;
  private readonly responderStatic: Uint8Array;
  private readonly ephemeralSecret: Uint8Array;
  private responderEphemeral: Uint8Array | undefined;

  /** Takes over `ephemeralSecret` and wipes it in `wipe`; `staticSecret` stays the caller's. */
  constructor(
    crypto: CryptoProvider,
    prologue: Uint8Array,
    staticSecret: Uint8Array,
    responderStatic: Uint8Array,
    ephemeralSecret: Uint8Array,
  ) {
    this.crypto = crypto;
    this.staticSecret = staticSecret;
    this.responderStatic = responderStatic;
    this.ephemeralSecret = ephemeralSecret;
    this.symmetric = begin(crypto, prologue, responderStatic);
  }

  /** → e, es. `undefined` when the responder's static key gives an all-zero result. */
  writeMessage1(payload: Uint8Array): Uint8Array | undefined {
    const e = this.crypto.x25519PublicKey(this.ephemeralSecret);
    mixEphemeral(this.symmetric, e);
    if (!mixDh(this.crypto, this.symmetric, this.ephemeralSecret, this.responderStatic)) return undefined;
    return concat(e, this.symmetric.encryptAndHash(payload));
  }

  /** ← e, ee, psk. Read on a copy: a payload that `accepts` refuses leaves the state good for another message 2. */
  readMessage2(
    message: Uint8Array,
    psk: Uint8Array,
    accepts: (payload: Uint8Array) => boolean,
  ): Uint8Array | undefined {
    if (message.length < DH_LENGTH + TAG_LENGTH) return undefined;
    const copy = this.symmetric.clone();
    const re = message.slice(0, DH_LENGTH);
    mixEphemeral(copy, re);
    if (!mixFirstDh(this.crypto, copy, this.ephemeralSecret, re)) return undefined;
    copy.mixKeyAndHash(psk);
    const payload = copy.decryptAndHash(message.subarray(DH_LENGTH));
    if (payload === undefined || !accepts(payload)) {
      copy.wipe();
      return undefined;
    }
    this.symmetric.wipe();
    this.symmetric = copy;
    this.responderEphemeral = re;
    return payload;
  }

  /** → s, se. `undefined` before message 2 was read. */
  writeMessage3(payload: Uint8Array): Uint8Array | undefined {
    if (this.responderEphemeral === undefined) return undefined;
    const s = this.symmetric.encryptAndHash(this.crypto.x25519PublicKey(this.staticSecret));
    if (!mixDh(this.crypto, this.symmetric, this.staticSecret, this.responderEphemeral)) return undefined;
    return concat(s, this.symmetric.encryptAndHash(payload));
  }

  get chainingKey(): Uint8Array {
    return this.symmetric.ck;
  }

  get handshakeHash(): Uint8Array {
    return this.symmetric.h;
  }

  wipe(): void {
    this.symmetric.wipe();
    this.ephemeralSecret.fill(0);
  }
}

export interface XkMessage3 {
  readonly initiatorStatic: Uint8Array;
  readonly payload: Uint8Array;
  readonly chainingKey: Uint8Array;
  readonly handshakeHash: Uint8Array;
}

export class XkResponder {
  private readonly symmetric: SymmetricState;
  private readonly crypto: CryptoProvider;
  private initiatorEphemeral: Uint8Array | undefined;
  private ephemeralSecret: Uint8Array | undefined;

  constructor(crypto: CryptoProvider, prologue: Uint8Array, staticPublic: Uint8Array) {
    this.crypto = crypto;
    this.symmetric = begin(crypto, prologue, staticPublic);
  }

  /** → e, es. After `undefined` this state is of no more use: wipe it. */
  readMessage1(message: Uint8Array, staticSecret: Uint8Array): Uint8Array | undefined {
    if (message.length < DH_LENGTH + TAG_LENGTH) return undefined;
    const re = message.slice(0, DH_LENGTH);
    mixEphemeral(this.symmetric, re);
    if (!mixDh(this.crypto, this.symmetric, staticSecret, re)) return undefined;
    this.initiatorEphemeral = re;
    return this.symmetric.decryptAndHash(message.subarray(DH_LENGTH));
  }

  /** ← e, ee, psk. Takes over `ephemeralSecret`. */
  writeMessage2(ephemeralSecret: Uint8Array, psk: Uint8Array, payload: Uint8Array): Uint8Array | undefined {
    const re = this.initiatorEphemeral;
    if (re === undefined) return undefined;
    this.ephemeralSecret = ephemeralSecret;
    const e = this.crypto.x25519PublicKey(ephemeralSecret);
    mixEphemeral(this.symmetric, e);
    if (!mixFirstDh(this.crypto, this.symmetric, ephemeralSecret, re)) return undefined;
    this.symmetric.mixKeyAndHash(psk);
    return concat(e, this.symmetric.encryptAndHash(payload));
  }

  /** → s, se. Read on a copy: the state stays good for another message 3. The caller wipes ck. */
  readMessage3(message: Uint8Array): XkMessage3 | undefined {
    const split = DH_LENGTH + TAG_LENGTH;
    if (this.ephemeralSecret === undefined || message.length < split + TAG_LENGTH) return undefined;
    const copy = this.symmetric.clone();
    const initiatorStatic = copy.decryptAndHash(message.subarray(0, split));
    if (initiatorStatic === undefined || !mixDh(this.crypto, copy, this.ephemeralSecret, initiatorStatic)) {
      copy.wipe();
      return undefined;
    }
    const payload = copy.decryptAndHash(message.subarray(split));
    if (payload === undefined) {
      copy.wipe();
      return undefined;
    }
    copy.k.fill(0);
    return { initiatorStatic, payload, chainingKey: copy.ck, handshakeHash: copy.h };
  }

  wipe(): void {
    this.symmetric.wipe();
    this.ephemeralSecret?.fill(0);
  }
}
