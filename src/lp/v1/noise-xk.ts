/**
 * `Noise_XKpsk3_25519_ChaChaPoly_SHA256` (lp1.md §6.1): LP1's handshake, with an empty prologue and empty payloads, so
 * that every message has one length. In a psk pattern every `e` is also MixKey'd; the PSK enters with message 3. A read
 * on a copy leaves the state as it was when it fails.
 */
import { protocolHash, SymmetricState } from '../crypto/noise.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { type NoiseKeys, split } from '../noise/split.ts';
import { DH_LENGTH, mixDh, mixEphemeral, mixFirstDh, TAG_LENGTH } from '../noise/tokens.ts';
import { concat } from '../wire/bytes.ts';

const PROTOCOL = protocolHash('Noise_XKpsk3_25519_ChaChaPoly_SHA256');
const EMPTY = new Uint8Array(0);

/** Messages 1 and 2: `e` and the tag of the empty payload. */
export const XK_EPHEMERAL_MESSAGE_LENGTH = DH_LENGTH + TAG_LENGTH;
/** Message 3: the sealed static key and the tag of the empty payload. */
export const XK_STATIC_MESSAGE_LENGTH = DH_LENGTH + 2 * TAG_LENGTH;

function begin(crypto: CryptoProvider, responderStatic: Uint8Array): SymmetricState {
  const symmetric = SymmetricState.initialize(crypto, PROTOCOL);
  symmetric.mixHash(EMPTY);
  symmetric.mixHash(responderStatic);
  return symmetric;
}

export interface XkSession {
  /** The caller wipes them. */
  readonly keys: NoiseKeys;
  readonly handshakeHash: Uint8Array;
}

/** Ends a handshake: wipes the state. */
function finish(crypto: CryptoProvider, symmetric: SymmetricState): XkSession {
  const session = { keys: split(crypto, symmetric.ck), handshakeHash: symmetric.h.slice() };
  symmetric.wipe();
  return session;
}

export class XkInitiatorV1 {
  private readonly crypto: CryptoProvider;
  private readonly staticSecret: Uint8Array;
  private readonly responderStatic: Uint8Array;
  private readonly ephemeralSecret: Uint8Array;
  private symmetric: SymmetricState;
  private responderEphemeral: Uint8Array | undefined;

  /** Takes over `ephemeralSecret` and wipes it in `wipe`; `staticSecret` stays the caller's. */
  constructor(
    crypto: CryptoProvider,
    staticSecret: Uint8Array,
    responderStatic: Uint8Array,
    ephemeralSecret: Uint8Array,
  ) {
    this.crypto = crypto;
    this.staticSecret = staticSecret;
    this.responderStatic = responderStatic;
    this.ephemeralSecret = ephemeralSecret;
    this.symmetric = begin(crypto, responderStatic);
  }

  /** → e, es. Once; `undefined` when the responder's static key gives an all-zero result. */
  writeMessage1(): Uint8Array | undefined {
    const e = this.crypto.x25519PublicKey(this.ephemeralSecret);
    mixEphemeral(this.symmetric, e);
    if (!mixDh(this.crypto, this.symmetric, this.ephemeralSecret, this.responderStatic)) return undefined;
    return concat(e, this.symmetric.encryptAndHash(EMPTY));
  }

  /** ← e, ee. Read on a copy: after `false` the state is good for another message 2. */
  readMessage2(message: Uint8Array): boolean {
    if (message.length !== XK_EPHEMERAL_MESSAGE_LENGTH || this.responderEphemeral !== undefined) return false;
    const copy = this.symmetric.clone();
    const re = message.slice(0, DH_LENGTH);
    mixEphemeral(copy, re);
    const mixed = mixDh(this.crypto, copy, this.ephemeralSecret, re);
    if (!mixed || copy.decryptAndHash(message.subarray(DH_LENGTH)) === undefined) {
      copy.wipe();
      return false;
    }
    this.symmetric.wipe();
    this.symmetric = copy;
    this.responderEphemeral = re;
    return true;
  }

  /** → s, se, psk. Once; `undefined` before message 2 was read. */
  writeMessage3(psk: Uint8Array): (XkSession & { readonly message: Uint8Array }) | undefined {
    const re = this.responderEphemeral;
    if (re === undefined) return undefined;
    this.responderEphemeral = undefined;
    const s = this.symmetric.encryptAndHash(this.crypto.x25519PublicKey(this.staticSecret));
    if (!mixFirstDh(this.crypto, this.symmetric, this.staticSecret, re)) return undefined;
    this.symmetric.mixKeyAndHash(psk);
    const message = concat(s, this.symmetric.encryptAndHash(EMPTY));
    return { message, ...finish(this.crypto, this.symmetric) };
  }

  wipe(): void {
    this.symmetric.wipe();
    this.ephemeralSecret.fill(0);
  }
}

export class XkResponderV1 {
  private readonly crypto: CryptoProvider;
  private readonly symmetric: SymmetricState;
  private initiatorEphemeral: Uint8Array | undefined;
  private ephemeralSecret: Uint8Array | undefined;

  constructor(crypto: CryptoProvider, staticPublic: Uint8Array) {
    this.crypto = crypto;
    this.symmetric = begin(crypto, staticPublic);
  }

  /** → e, es. After `false` this state is of no more use: wipe it. */
  readMessage1(message: Uint8Array, staticSecret: Uint8Array): boolean {
    if (message.length !== XK_EPHEMERAL_MESSAGE_LENGTH || this.initiatorEphemeral !== undefined) return false;
    const re = message.slice(0, DH_LENGTH);
    mixEphemeral(this.symmetric, re);
    if (!mixDh(this.crypto, this.symmetric, staticSecret, re)) return false;
    if (this.symmetric.decryptAndHash(message.subarray(DH_LENGTH)) === undefined) return false;
    this.initiatorEphemeral = re;
    return true;
  }

  /** ← e, ee. Once; takes over `ephemeralSecret` and wipes it in `wipe`. */
  writeMessage2(ephemeralSecret: Uint8Array): Uint8Array | undefined {
    const re = this.initiatorEphemeral;
    if (re === undefined || this.ephemeralSecret !== undefined) {
      ephemeralSecret.fill(0);
      return undefined;
    }
    this.ephemeralSecret = ephemeralSecret;
    const e = this.crypto.x25519PublicKey(ephemeralSecret);
    mixEphemeral(this.symmetric, e);
    if (!mixDh(this.crypto, this.symmetric, ephemeralSecret, re)) return undefined;
    return concat(e, this.symmetric.encryptAndHash(EMPTY));
  }

  /**
   * → s, se, psk. Read on a copy: the state stays good for another message 3. Noise proves that the peer holds
   * `initiatorStatic`; that it is the key of the ClientHello is for the caller to compare.
   */
  readMessage3(
    message: Uint8Array,
    psk: Uint8Array,
  ): (XkSession & { readonly initiatorStatic: Uint8Array }) | undefined {
    if (this.ephemeralSecret === undefined || message.length !== XK_STATIC_MESSAGE_LENGTH) return undefined;
    const copy = this.symmetric.clone();
    const tagAt = DH_LENGTH + TAG_LENGTH;
    const initiatorStatic = copy.decryptAndHash(message.subarray(0, tagAt));
    if (initiatorStatic === undefined || !mixFirstDh(this.crypto, copy, this.ephemeralSecret, initiatorStatic)) {
      copy.wipe();
      return undefined;
    }
    copy.mixKeyAndHash(psk);
    if (copy.decryptAndHash(message.subarray(tagAt)) === undefined) {
      copy.wipe();
      return undefined;
    }
    return { initiatorStatic, ...finish(this.crypto, copy) };
  }

  wipe(): void {
    this.symmetric.wipe();
    this.ephemeralSecret?.fill(0);
  }
}
