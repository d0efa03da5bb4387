/**
 * LP1's key transfer (lp1.md §4), whose KEM key is always the gateway's converted identity key: the other suites decode,
 * and are then refused. Stricter than the reference on both sides (§10-B 11, 12): only a consistent context is answered,
 * and a response counts only for the request that was sent. Signatures cover the bytes as received, never re-encoded ones.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import { concat, sameBytes } from '../wire/bytes.ts';
import { KKT_SESSION_ID_LENGTH } from '../wire/message.ts';

const CONTEXT_LENGTH = 7;
const SIGNATURE_LENGTH = 64;
const X25519_KEY_LENGTH = 32;

const VERSION = 1;
const SEQUENCE_LIMIT = 15;
const STATUS_OK = 0x00;
const MODE = { oneWay: 0x00, mutual: 0x04 } as const;
const ROLE = { initiator: 0, responder: 1, anonymousInitiator: 2 } as const;
const KEM_X25519 = 0xff;
/** Key lengths by the KEM's byte; 02 is Classic McEliece 460896f, whose key no packet can hold. */
const KEM_KEY_LENGTHS: ReadonlyMap<number, number> = new Map([
  [0x00, 1_216],
  [0x01, 1_184],
  [0x02, 524_160],
  [KEM_X25519, X25519_KEY_LENGTH],
]);
const MAX_HASH_ID = 3;
const SIGNATURE_ED25519 = 0;
const DEFAULT_HASH_LENGTH = 32;
const MIN_HASH_LENGTH = 16;

/** Sequence 0, Ok, one-way, X25519, BLAKE3 of 32 bytes, Ed25519. */
const REQUEST_CONTEXT = Uint8Array.of(VERSION << 4, ROLE.initiator, KEM_X25519, 0, 0, SIGNATURE_ED25519, 0);
/** The response to it; the reserved byte is for the signature alone to guard. */
const RESPONSE_CONTEXT = Uint8Array.of((VERSION << 4) | 1, ROLE.responder, KEM_X25519, 0, 0, SIGNATURE_ED25519);
const RESPONSE_LENGTH = CONTEXT_LENGTH + X25519_KEY_LENGTH + KKT_SESSION_ID_LENGTH + SIGNATURE_LENGTH;

interface KktContext {
  readonly sequence: number;
  readonly status: number;
  readonly mode: number;
  readonly role: number;
  readonly kem: number;
  readonly hash: number;
  readonly hashLength: number;
}

interface KktFrame {
  readonly context: KktContext;
  readonly sessionId: Uint8Array;
  /** Context, body and session id as received. */
  readonly signed: Uint8Array;
  /** Empty for an anonymous initiator. */
  readonly signature: Uint8Array;
}

/** Signed with the seed, or anonymous without one. */
export function encodeKktRequest(
  crypto: CryptoProvider,
  sessionId: Uint8Array,
  clientSeed: Uint8Array | undefined,
): Uint8Array {
  const message = concat(REQUEST_CONTEXT, sessionId);
  if (clientSeed !== undefined) return concat(message, crypto.ed25519Sign(clientSeed, message));
  message[1] = ROLE.anonymousInitiator;
  return message;
}

/**
 * The response frame, or `undefined` for a request that is malformed, badly signed, or asks for anything but the X25519
 * key. An anonymous request needs no signature; LP1's ClientHello proves nothing about its key either.
 */
export function answerKktRequest(
  crypto: CryptoProvider,
  content: Uint8Array,
  keys: { readonly clientEd25519: Uint8Array; readonly gatewaySeed: Uint8Array; readonly gatewayX25519: Uint8Array },
): Uint8Array | undefined {
  const frame = decodeFrame(content);
  if (frame === undefined) return undefined;
  const { sequence, status, mode, role, kem, hash, hashLength } = frame.context;
  if (status !== STATUS_OK || mode !== MODE.oneWay || kem !== KEM_X25519 || sequence >= SEQUENCE_LIMIT)
    return undefined;
  if (role === ROLE.responder) return undefined;
  if (role === ROLE.initiator && !crypto.ed25519Verify(keys.clientEd25519, frame.signed, frame.signature)) {
    return undefined;
  }
  const context = Uint8Array.of(
    (VERSION << 4) | (sequence + 1),
    status | mode | ROLE.responder,
    kem,
    hash,
    hashLength === DEFAULT_HASH_LENGTH ? 0 : hashLength,
    SIGNATURE_ED25519,
    0,
  );
  const message = concat(context, keys.gatewayX25519, frame.sessionId);
  return concat(message, crypto.ed25519Sign(keys.gatewaySeed, message));
}

/** Whether it answers what `encodeKktRequest` asked, with the key that the gateway's identity converts to. */
export function checkKktResponse(
  crypto: CryptoProvider,
  content: Uint8Array,
  expected: {
    readonly sessionId: Uint8Array;
    readonly gatewayEd25519: Uint8Array;
    readonly gatewayX25519: Uint8Array;
  },
): boolean {
  if (content.length !== RESPONSE_LENGTH) return false;
  if (!sameBytes(content.subarray(0, RESPONSE_CONTEXT.length), RESPONSE_CONTEXT)) return false;
  const bodyEnd = CONTEXT_LENGTH + X25519_KEY_LENGTH;
  const signedEnd = bodyEnd + KKT_SESSION_ID_LENGTH;
  if (!sameBytes(content.subarray(CONTEXT_LENGTH, bodyEnd), expected.gatewayX25519)) return false;
  if (!sameBytes(content.subarray(bodyEnd, signedEnd), expected.sessionId)) return false;
  return crypto.ed25519Verify(expected.gatewayEd25519, content.subarray(0, signedEnd), content.subarray(signedEnd));
}

/** §4.1: body and signature have the lengths that the context gives them, and nothing follows. */
function decodeFrame(content: Uint8Array): KktFrame | undefined {
  const context = decodeContext(content);
  if (context === undefined) return undefined;
  const signedEnd = CONTEXT_LENGTH + bodyLength(context) + KKT_SESSION_ID_LENGTH;
  const signatureLength = context.role === ROLE.anonymousInitiator ? 0 : SIGNATURE_LENGTH;
  if (content.length !== signedEnd + signatureLength) return undefined;
  return {
    context,
    sessionId: content.subarray(signedEnd - KKT_SESSION_ID_LENGTH, signedEnd),
    signed: content.subarray(0, signedEnd),
    signature: content.subarray(signedEnd),
  };
}

function decodeContext(content: Uint8Array): KktContext | undefined {
  if (content.length < CONTEXT_LENGTH) return undefined;
  const [first = 0, flags = 0, kem = 0, hash = 0, lengthByte = 0, signature = 0] = content;
  const mode = flags & 0x1c;
  const role = flags & 0x03;
  const hashLength = lengthByte === 0 ? DEFAULT_HASH_LENGTH : lengthByte;
  if (first >> 4 > VERSION || role > ROLE.anonymousInitiator) return undefined;
  if (mode !== MODE.oneWay && mode !== MODE.mutual) return undefined;
  if (!KEM_KEY_LENGTHS.has(kem) || hash > MAX_HASH_ID || hashLength < MIN_HASH_LENGTH) return undefined;
  if (signature !== SIGNATURE_ED25519) return undefined;
  return { sequence: first & 0x0f, status: flags & 0xe0, mode, role, kem, hash, hashLength };
}

function bodyLength(context: KktContext): number {
  const { status, mode, role, kem } = context;
  if (status !== STATUS_OK || (mode === MODE.oneWay && role !== ROLE.responder)) return 0;
  return KEM_KEY_LENGTHS.get(kem) ?? 0;
}
