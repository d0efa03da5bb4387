/**
 * PSQ v1 as LP1 uses it (lp1.md §5): the client encapsulates to the gateway's KEM key and registers a PSK with its
 * Ed25519 signature. On the wire LP1 has X25519 only; ML-KEM-768 and X-Wing are for peers of one's own (§5.5). What the
 * peer sent gives `undefined` for every fault, with all secrets wiped, and never an exception (§10-C 19).
 */
import type { CryptoProvider, KemName, RandomSource } from '../crypto/provider.ts';
import { wipe } from '../crypto/secret.ts';
import { ascii, concat, readBe16, readBe32, sameBytes, writeBe16, writeBe32, writeLe32 } from '../wire/bytes.ts';

export type PsqKem = 'x25519' | KemName;

interface Shape {
  /** What stands before the raw value in its TLS encoding: the tag, and for ML-KEM parts a minimal length (§5.1). */
  readonly publicKeyPrefix: Uint8Array;
  readonly ciphertextPrefix: Uint8Array;
  readonly ciphertextLength: number;
  readonly tag: number;
}

const SHAPES: Readonly<Record<PsqKem, Shape>> = {
  x25519: shape(0x00, [], [], 32),
  'ml-kem-768': shape(0x03, [0x44, 0xa0], [0x44, 0x40], 1_088),
  'x-wing': shape(0x05, [0x44, 0xa0], [0x44, 0x40], 1_120),
};

function shape(tag: number, keyLength: number[], ciphertextHeader: number[], ciphertextLength: number): Shape {
  return {
    publicKeyPrefix: Uint8Array.of(tag, ...keyLength),
    ciphertextPrefix: Uint8Array.of(tag, ...ciphertextHeader),
    ciphertextLength,
    tag,
  };
}

const KEY_LENGTH = 32;
const IV_LENGTH = 12;
const MAC_LENGTH = 32;
const TAG_LENGTH = 16;
const SIGNATURE_LENGTH = 64;

/** Plaintext: BE64 seconds ‖ BE32 milliseconds ‖ BE128 TTL in milliseconds ‖ signature ‖ Ed25519 key. */
const MILLISECONDS_OFFSET = 8;
const TTL_OFFSET = 12;
const SIGNATURE_OFFSET = 28;
const CREDENTIAL_OFFSET = SIGNATURE_OFFSET + SIGNATURE_LENGTH;
const PLAINTEXT_LENGTH = CREDENTIAL_OFFSET + KEY_LENGTH;
/** 124 as a minimal TLS length of two bytes. */
const PLAINTEXT_HEADER = 0x407c;
/** Tag first, then the length, then the ciphertext. */
const SEALED_LENGTH = TAG_LENGTH + 2 + PLAINTEXT_LENGTH;

const HANDLE = ascii('nym-lp-handle');
export const PSQ_HANDLE_LENGTH = TAG_LENGTH + 1 + HANDLE.length;
/** The X25519 message. */
export const PSQ_MESSAGE_LENGTH = messageLength(SHAPES.x25519);

const TTL_MS = 3_600_000;
/** High words of seconds above it make a number that is no safe integer. */
const MAX_SECONDS_HIGH = 0x1f_ffff;

const EMPTY = new Uint8Array(0);
const MAC_INPUT = ascii('MAC-Input');
/**
 * HKDF-Expand (RFC 5869 §2.3; there is no Extract before it) takes the number of the block behind its info, so to 32 bytes
 * it is one HMAC of info ‖ 01. The labels have that byte already.
 */
const FIRST_BLOCK = Uint8Array.of(1);
const CONFIRMATION = concat(ascii('Confirmation'), FIRST_BLOCK);
const PSK = concat(ascii('PSK'), FIRST_BLOCK);
const PSK_REGISTRATION = concat(ascii('PSK-Registration'), FIRST_BLOCK);
const INITIATOR_AEAD = concat(ascii('AEAD-Initiator-Responder'), FIRST_BLOCK);
const RESPONDER_AEAD = concat(ascii('AEAD-Responder-Initiator'), FIRST_BLOCK);

/** The caller wipes them with `wipePsq`. */
export interface PsqSecrets {
  /** What the session's PSK is made from. */
  readonly registeredPsk: Uint8Array;
  /** Key and iv of the handle, responder to initiator. */
  readonly handleKey: Uint8Array;
  readonly handleIv: Uint8Array;
}

export function wipePsq(secrets: PsqSecrets): void {
  wipe(secrets.registeredPsk, secrets.handleKey, secrets.handleIv);
}

/** §5.2, step by step. All but `mac` is secret. */
export interface PsqKeySchedule extends PsqSecrets {
  readonly k0: Uint8Array;
  readonly km: Uint8Array;
  readonly mac: Uint8Array;
  readonly kpq: Uint8Array;
  readonly initiatorKey: Uint8Array;
  readonly initiatorIv: Uint8Array;
}

/**
 * `ssTls`, `pkTls`, `ctTls`: TLS encodings of shared secret, responder's key and ciphertext. Wipes none of them. The
 * library behind LP1 keeps 32 bytes of a PRK: of `ssTls` these are the tag and all but the secret's last byte.
 */
export function psqKeySchedule(
  crypto: CryptoProvider,
  ssTls: Uint8Array,
  pkTls: Uint8Array,
  ctTls: Uint8Array,
  receiverIndex: number,
): PsqKeySchedule {
  const context = new Uint8Array(4);
  writeLe32(context, 0, receiverIndex);
  const k0 = crypto.hmacSha256(ssTls.subarray(0, KEY_LENGTH), concat(pkTls, ctTls, context, FIRST_BLOCK));
  const km = crypto.hmacSha256(k0, CONFIRMATION);
  const kpq = crypto.hmacSha256(k0, PSK);
  const initiator = expandKeyAndIv(crypto, kpq, INITIATOR_AEAD);
  const handle = expandKeyAndIv(crypto, kpq, RESPONDER_AEAD);
  return {
    k0,
    km,
    mac: crypto.hmacSha256(km, MAC_INPUT),
    kpq,
    registeredPsk: crypto.hmacSha256(kpq, PSK_REGISTRATION),
    initiatorKey: initiator.subarray(0, KEY_LENGTH),
    initiatorIv: initiator.subarray(KEY_LENGTH),
    handleKey: handle.subarray(0, KEY_LENGTH),
    handleIv: handle.subarray(KEY_LENGTH),
  };
}

/** HKDF-Expand to 44 bytes: its second block is T(1) ‖ info ‖ 02. `info` ends with the first block's number. */
function expandKeyAndIv(crypto: CryptoProvider, prk: Uint8Array, info: Uint8Array): Uint8Array {
  const out = new Uint8Array(KEY_LENGTH + IV_LENGTH);
  const input = new Uint8Array(MAC_LENGTH + info.length);
  crypto.hmacSha256(prk, info, input.subarray(0, MAC_LENGTH));
  input.set(info, MAC_LENGTH);
  input[input.length - 1] = 2;
  const block = crypto.hmacSha256(prk, input);
  out.set(input.subarray(0, MAC_LENGTH));
  out.set(block.subarray(0, IV_LENGTH), MAC_LENGTH);
  wipe(input, block);
  return out;
}

function scheduleOf(
  crypto: CryptoProvider,
  { tag, publicKeyPrefix }: Shape,
  sharedSecret: Uint8Array,
  responderKey: Uint8Array,
  ctTls: Uint8Array,
  receiverIndex: number,
): PsqKeySchedule {
  const ssTls = concat(Uint8Array.of(tag), sharedSecret);
  const keys = psqKeySchedule(crypto, ssTls, concat(publicKeyPrefix, responderKey), ctTls, receiverIndex);
  wipe(ssTls);
  return keys;
}

/** What only the exchange itself needs; the caller keeps the rest. */
function wipeWorking(keys: PsqKeySchedule): void {
  wipe(keys.k0, keys.km, keys.kpq, keys.initiatorKey, keys.initiatorIv);
}

function secretsOf({ registeredPsk, handleKey, handleIv }: PsqKeySchedule): PsqSecrets {
  return { registeredPsk, handleKey, handleIv };
}

export interface InitiatePsqOptions {
  readonly kem: PsqKem;
  /** The responder's raw public key of this KEM. */
  readonly responderKey: Uint8Array;
  /** Signs; stays the caller's. */
  readonly clientSeed: Uint8Array;
  readonly receiverIndex: number;
  /** A responder of the reference refuses a clock that is ahead of its own by a millisecond (§10-B 16). */
  readonly unixMs: number;
}

/** Draws what the KEM does: 32 bytes for X25519's ephemeral. `undefined` for a responder key that is none. */
export function initiatePsq(
  crypto: CryptoProvider,
  random: RandomSource,
  options: InitiatePsqOptions,
): (PsqSecrets & { readonly message: Uint8Array }) | undefined {
  const { kem, responderKey, clientSeed, receiverIndex } = options;
  const form = SHAPES[kem];
  const encapsulation = encapsulate(crypto, random, kem, responderKey);
  if (encapsulation === undefined) return undefined;
  const ctTls = concat(form.ciphertextPrefix, encapsulation.ciphertext);
  const keys = scheduleOf(crypto, form, encapsulation.sharedSecret, responderKey, ctTls, receiverIndex);
  wipe(encapsulation.sharedSecret);
  const enc = concat(ctTls, keys.mac);
  const plaintext = new Uint8Array(PLAINTEXT_LENGTH);
  writeTime(plaintext, options.unixMs);
  plaintext.set(crypto.ed25519Sign(clientSeed, enc), SIGNATURE_OFFSET);
  plaintext.set(crypto.ed25519PublicKey(clientSeed), CREDENTIAL_OFFSET);
  const header = new Uint8Array(2);
  writeBe16(header, 0, PLAINTEXT_HEADER);
  const message = concat(enc, seal(crypto, keys.initiatorKey, keys.initiatorIv, header, plaintext));
  wipeWorking(keys);
  return { message, ...secretsOf(keys) };
}

function encapsulate(crypto: CryptoProvider, random: RandomSource, kem: PsqKem, responderKey: Uint8Array) {
  if (kem !== 'x25519') {
    const publicKey = crypto.kems[kem].importPublicKey(responderKey);
    return publicKey && crypto.kems[kem].encapsulate(publicKey, random);
  }
  const ephemeral = new Uint8Array(KEY_LENGTH);
  random.fill(ephemeral);
  try {
    const sharedSecret = crypto.x25519(ephemeral, responderKey);
    return sharedSecret && { ciphertext: crypto.x25519PublicKey(ephemeral), sharedSecret };
  } finally {
    wipe(ephemeral);
  }
}

function writeTime(plaintext: Uint8Array, unixMs: number): void {
  const seconds = Math.floor(unixMs / 1_000);
  writeBe32(plaintext, 0, Math.floor(seconds / 0x1_0000_0000));
  writeBe32(plaintext, 4, seconds >>> 0);
  writeBe32(plaintext, MILLISECONDS_OFFSET, Math.floor(unixMs) - seconds * 1_000);
  writeBe32(plaintext, TTL_OFFSET + 12, TTL_MS);
}

export interface RespondPsqOptions {
  readonly kem: PsqKem;
  /** Of a raw ciphertext; what it returns is wiped here. */
  readonly decapsulate: (ciphertext: Uint8Array) => Uint8Array | undefined;
  /** The raw public key that belongs to it. */
  readonly responderKey: Uint8Array;
  /** The key of the ClientHello: it alone may sign. */
  readonly clientEd25519: Uint8Array;
  readonly receiverIndex: number;
  readonly nowUnixMs: number;
  /** How far ahead the client's clock may be. */
  readonly futureToleranceMs: number;
  /** A message is refused at this age, at its own TTL, and at an hour. */
  readonly maxAgeMs: number;
}

interface PsqMessage {
  /** What is signed: ciphertext with its TLS prefix, and the mac. */
  readonly enc: Uint8Array;
  readonly ctTls: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly mac: Uint8Array;
  readonly sealed: Uint8Array;
}

/** §5.3; stricter than the reference: nothing may follow the message, and its TTL counts. */
export function respondPsq(
  crypto: CryptoProvider,
  message: Uint8Array,
  options: RespondPsqOptions,
): (PsqSecrets & { readonly handle: Uint8Array }) | undefined {
  const form = SHAPES[options.kem];
  const parts = decodeMessage(message, form);
  if (parts === undefined) return undefined;
  const sharedSecret = options.decapsulate(parts.ciphertext);
  if (sharedSecret === undefined) return undefined;
  const keys = scheduleOf(crypto, form, sharedSecret, options.responderKey, parts.ctTls, options.receiverIndex);
  wipe(sharedSecret);
  const plaintext = crypto.equal(keys.mac, parts.mac)
    ? open(crypto, keys.initiatorKey, keys.initiatorIv, parts.sealed, 2)
    : undefined;
  const accepted = plaintext !== undefined && acceptsPlaintext(crypto, plaintext, parts.enc, options);
  wipeWorking(keys);
  const secrets = secretsOf(keys);
  if (!accepted) {
    wipePsq(secrets);
    return undefined;
  }
  return { handle: seal(crypto, keys.handleKey, keys.handleIv, Uint8Array.of(HANDLE.length), HANDLE), ...secrets };
}

function messageLength({ ciphertextPrefix, ciphertextLength }: Shape): number {
  return ciphertextPrefix.length + ciphertextLength + MAC_LENGTH + SEALED_LENGTH;
}

/**
 * Both TLS lengths have one minimal form, so the total is fixed, and a plaintext of another length is refused here: the
 * offsets into it need no further check (§10-C 19a).
 */
function decodeMessage(message: Uint8Array, form: Shape): PsqMessage | undefined {
  if (message.length !== messageLength(form)) return undefined;
  const prefixLength = form.ciphertextPrefix.length;
  const macAt = prefixLength + form.ciphertextLength;
  const sealedAt = macAt + MAC_LENGTH;
  if (!sameBytes(message.subarray(0, prefixLength), form.ciphertextPrefix)) return undefined;
  if (readBe16(message, sealedAt + TAG_LENGTH) !== PLAINTEXT_HEADER) return undefined;
  return {
    enc: message.subarray(0, sealedAt),
    ctTls: message.subarray(0, macAt),
    ciphertext: message.subarray(prefixLength, macAt),
    mac: message.subarray(macAt, sealedAt),
    sealed: message.subarray(sealedAt),
  };
}

function acceptsPlaintext(
  crypto: CryptoProvider,
  plaintext: Uint8Array,
  enc: Uint8Array,
  options: RespondPsqOptions,
): boolean {
  if (!sameBytes(plaintext.subarray(CREDENTIAL_OFFSET), options.clientEd25519)) return false;
  if (!isTimely(plaintext, options)) return false;
  const signature = plaintext.subarray(SIGNATURE_OFFSET, CREDENTIAL_OFFSET);
  return crypto.ed25519Verify(options.clientEd25519, enc, signature);
}

/** Seconds are compared before they are multiplied, so that no value a peer picks loses precision. */
function isTimely(plaintext: Uint8Array, options: RespondPsqOptions): boolean {
  const { nowUnixMs, futureToleranceMs, maxAgeMs } = options;
  const high = readBe32(plaintext, 0);
  const milliseconds = readBe32(plaintext, MILLISECONDS_OFFSET);
  if (high > MAX_SECONDS_HIGH || milliseconds >= 1_000) return false;
  const latestMs = nowUnixMs + futureToleranceMs;
  const seconds = high * 0x1_0000_0000 + readBe32(plaintext, 4);
  if (seconds > latestMs / 1_000) return false;
  const sentMs = seconds * 1_000 + milliseconds;
  return sentMs <= latestMs && nowUnixMs - sentMs < Math.min(maxAgeMs, ttlOf(plaintext), TTL_MS);
}

/** BE128 milliseconds; above 32 bits it is beyond every bound here. */
function ttlOf(plaintext: Uint8Array): number {
  for (let i = TTL_OFFSET; i < TTL_OFFSET + 12; i++) if (plaintext[i] !== 0) return Number.POSITIVE_INFINITY;
  return readBe32(plaintext, TTL_OFFSET + 12);
}

/** The client's check, which the reference leaves out: the peer decapsulated, and took the message (§10-B 15). */
export function openHandle(crypto: CryptoProvider, secrets: PsqSecrets, handle: Uint8Array): boolean {
  if (handle.length !== PSQ_HANDLE_LENGTH || handle[TAG_LENGTH] !== HANDLE.length) return false;
  const opened = open(crypto, secrets.handleKey, secrets.handleIv, handle, 1);
  return opened !== undefined && sameBytes(opened, HANDLE);
}

/** Tag ‖ length header ‖ ciphertext. Each key seals once, with an iv of its own. */
function seal(
  crypto: CryptoProvider,
  key: Uint8Array,
  iv: Uint8Array,
  lengthHeader: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  const sealed = new Uint8Array(plaintext.length + TAG_LENGTH);
  crypto.aeadSeal(sealed, plaintext, EMPTY, iv, key);
  return concat(sealed.subarray(plaintext.length), lengthHeader, sealed.subarray(0, plaintext.length));
}

function open(
  crypto: CryptoProvider,
  key: Uint8Array,
  iv: Uint8Array,
  sealed: Uint8Array,
  headerLength: number,
): Uint8Array | undefined {
  const ciphertext = sealed.subarray(TAG_LENGTH + headerLength);
  const plaintext = new Uint8Array(ciphertext.length);
  const input = concat(ciphertext, sealed.subarray(0, TAG_LENGTH));
  return crypto.aeadOpen(plaintext, input, EMPTY, iv, key) ? plaintext : undefined;
}
