/**
 * A client that speaks LP1 as it likes: every field of every message can be another one, and whatever is to be signed or
 * sealed is. Written from lp1.md and the primitives, not from the initiator under test.
 */
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import { outerKey, sessionPsk } from '../../src/lp/v1/key-schedule.ts';
import { XkInitiatorV1, type XkSession } from '../../src/lp/v1/noise-xk.ts';
import { openOuter } from '../../src/lp/v1/outer.ts';
import { psqKeySchedule } from '../../src/lp/v1/psq.ts';
import type { TransportV1 } from '../../src/lp/v1/transport.ts';
import { concat, writeBe16, writeLe16, writeLe32 } from '../../src/lp/wire/bytes.ts';
import { encodeSalt } from '../../src/lp/wire/message.ts';
import { contentOf, counterOf, encodeUnsealed, TYPE, VERSION_1 } from '../../src/lp/wire/packet.ts';
import { CLIENT, GATEWAY } from '../lp/v1/people.ts';
import { crypto, type Ground } from './lp1-shard.ts';

const EMPTY = new Uint8Array(0);
const TAG = Uint8Array.of(0);

export interface HostileOptions {
  readonly index?: number;
  /** What the ClientHello says. */
  readonly helloEd25519?: Uint8Array;
  readonly helloX25519?: Uint8Array;
  /** Signs KKT and PSQ. */
  readonly signer?: Uint8Array;
  /** X25519 secret of the static-static exchange and of Noise. */
  readonly staticSecret?: Uint8Array;
  readonly noiseSecret?: Uint8Array;
  readonly saltOffsetS?: number;
}

export interface PsqForgery {
  readonly seconds?: bigint;
  readonly milliseconds?: number;
  readonly ttlMs?: bigint;
  /** The key that the message names; the signer's by default. */
  readonly credential?: Uint8Array;
  /** Instead of all of the above. */
  readonly plaintext?: Uint8Array;
}

export class HostileClient {
  readonly index: number;
  outer: Uint8Array = EMPTY;
  private readonly ground: Ground;
  private readonly options: HostileOptions;
  private readonly salt: Uint8Array;
  private readonly noise: XkInitiatorV1;
  private readonly noiseMessage: Uint8Array;
  private psk: Uint8Array = EMPTY;

  constructor(ground: Ground, options: HostileOptions = {}) {
    const { harness, prng } = ground;
    this.ground = ground;
    this.options = options;
    this.index = options.index ?? 1 + prng.below(0x7fff_fffe);
    const seconds = Math.floor(harness.unixMs / 1_000) + (options.saltOffsetS ?? 0);
    this.salt = encodeSalt(seconds, prng.bytes(24));
    const noiseSecret = options.noiseSecret ?? options.staticSecret ?? CLIENT.secret;
    this.noise = new XkInitiatorV1(crypto, noiseSecret, GATEWAY.x25519, prng.bytes(32));
    this.noiseMessage = this.noise.writeMessage1()!;
  }

  hello(): Uint8Array {
    const { helloEd25519 = CLIENT.ed25519, helloX25519 = CLIENT.x25519 } = this.options;
    const index = new Uint8Array(4);
    writeLe32(index, 0, this.index);
    const content = concat(index, helloX25519, helloEd25519, this.salt);
    return encodeUnsealed(0, 0, TYPE.clientHello, content, VERSION_1);
  }

  /** With any context; signed where it is not anonymous. */
  kkt(context: readonly number[] = [0x10, 0x00, 0xff, 0, 0, 0, 0], body: Uint8Array = EMPTY): Uint8Array {
    const message = concat(Uint8Array.from(context), body, this.ground.prng.bytes(16));
    const anonymous = ((context[1] ?? 0) & 3) === 2;
    const content = anonymous ? message : concat(message, crypto.ed25519Sign(this.signer, message));
    return encodeUnsealed(this.index, 0, TYPE.kktRequest, content, VERSION_1);
  }

  h1(forgery: PsqForgery = {}): Uint8Array {
    return h1Packet(this.index, this.psqPart(forgery), this.noiseMessage);
  }

  /** Opens a Handshake 2 and reads the Noise message behind the handle. */
  readH2(packet: Uint8Array): boolean {
    const copy = packet.slice();
    if (!openOuter(crypto, this.outer, copy)) return false;
    return this.noise.readMessage2(contentOf(copy).subarray(32));
  }

  /** Noise message 3, sealed by the outer key. */
  h3(changes: { readonly version?: number; readonly type?: number } = {}): { packet: Uint8Array; finished: XkSession } {
    const finished = this.noise.writeMessage3(this.psk)!;
    const { version = VERSION_1, type = TYPE.handshake } = changes;
    return {
      packet: sealV1(crypto, this.outer, { index: this.index, counter: 2, version, type }, finished.message),
      finished,
    };
  }

  private get signer(): Uint8Array {
    return this.options.signer ?? CLIENT.seed;
  }

  private psqPart(forgery: PsqForgery): Uint8Array {
    const ephemeral = this.ground.prng.bytes(32);
    const ctTls = concat(TAG, crypto.x25519PublicKey(ephemeral));
    const ssTls = concat(TAG, crypto.x25519(ephemeral, GATEWAY.x25519)!);
    const keys = psqKeySchedule(crypto, ssTls, concat(TAG, GATEWAY.x25519), ctTls, this.index);
    const ecdh = crypto.x25519(this.options.staticSecret ?? CLIENT.secret, GATEWAY.x25519)!;
    this.psk = sessionPsk(crypto, ecdh, keys.registeredPsk, this.salt);
    this.outer = outerKey(crypto, this.psk);
    const enc = concat(ctTls, keys.mac);
    const plaintext = forgery.plaintext ?? this.psqPlaintext(enc, forgery);
    const sealed = new Uint8Array(plaintext.length + 16);
    crypto.aeadSeal(sealed, plaintext, EMPTY, keys.initiatorIv, keys.initiatorKey);
    const tag = sealed.subarray(plaintext.length);
    return concat(enc, tag, tlsLength(plaintext.length), sealed.subarray(0, plaintext.length));
  }

  private psqPlaintext(enc: Uint8Array, forgery: PsqForgery): Uint8Array {
    const unixMs = this.ground.harness.unixMs;
    const time = Buffer.alloc(28);
    time.writeBigUInt64BE(forgery.seconds ?? BigInt(Math.floor(unixMs / 1_000)), 0);
    time.writeUInt32BE(forgery.milliseconds ?? unixMs % 1_000, 8);
    time.writeBigUInt64BE(forgery.ttlMs ?? 3_600_000n, 20);
    const credential = forgery.credential ?? crypto.ed25519PublicKey(this.signer);
    return concat(time, crypto.ed25519Sign(this.signer, enc), credential);
  }
}

/** §5.1: one byte below 64, else two. */
function tlsLength(length: number): Uint8Array {
  if (length < 64) return Uint8Array.of(length);
  const out = new Uint8Array(2);
  writeBe16(out, 0, 0x4000 | length);
  return out;
}

function h1Packet(index: number, psqPart: Uint8Array, noiseMessage: Uint8Array): Uint8Array {
  const length = new Uint8Array(2);
  writeLe16(length, 0, psqPart.length);
  return encodeUnsealed(index, 1, TYPE.handshake, concat(length, psqPart, noiseMessage), VERSION_1);
}

/** A Handshake 1 of somebody else's with a Noise message of one's own behind its PSQ part: needs no secret at all. */
export function splicedH1(ground: Ground, h1: Uint8Array): Uint8Array {
  const noise = new XkInitiatorV1(crypto, ground.prng.bytes(32), GATEWAY.x25519, ground.prng.bytes(32));
  const packet = h1.slice();
  packet.set(noise.writeMessage1()!, packet.length - 16 - 48);
  return packet;
}

export interface SealedHeader {
  readonly index: number;
  readonly counter: number;
  readonly version: number;
  readonly type: number;
}

/** Sealed under an outer key, whatever version, type and content. */
export function sealV1(
  provider: CryptoProvider,
  key: Uint8Array,
  { index, counter, version, type }: SealedHeader,
  content: Uint8Array,
): Uint8Array {
  const packet = encodeUnsealed(index, counter, type, content, version);
  const nonce = concat(packet.subarray(4, 12), new Uint8Array(4));
  const plaintext = packet.slice(12, packet.length - 16);
  provider.aeadSeal(packet.subarray(12), plaintext, packet.slice(0, 12), nonce, key);
  return packet;
}

/** A packet of a session's own side that its code would not build. */
export function sealAnyV1(transport: TransportV1, version: number, type: number, content: Uint8Array): Uint8Array {
  const packet = transport.seal(type, content);
  if (packet === undefined) throw new Error('the session seals nothing');
  const { outerKey } = transport as unknown as { readonly outerKey: Uint8Array };
  const header = { index: transport.index, counter: counterOf(packet), version, type };
  return version === VERSION_1 ? packet : sealV1(crypto, outerKey, header, content);
}

/** A provider that throws where two different messages are sealed under one (key, nonce). */
export function watchNonces(provider: CryptoProvider): CryptoProvider {
  const sealed = new Map<string, string>();
  return {
    ...provider,
    aeadSeal(out, plaintext, aad, nonce, key) {
      const pair = Buffer.concat([key, nonce]).toString('latin1');
      const message = Buffer.concat([aad, plaintext]).toString('latin1');
      provider.aeadSeal(out, plaintext, aad, nonce, key);
      if ((sealed.get(pair) ?? message) !== message) throw new Error('two messages under one key and nonce');
      sealed.set(pair, message);
    },
  };
}
