/**
 * Contents of the unsealed messages (lp2.md §4): ClientHello, KKT request and response, H1, Error and Busy. Decoders are
 * total: any bytes give a value or `undefined`.
 */
import { readLe16, readLe32, readLe64, writeLe16, writeLe32, writeLe64 } from './bytes.ts';
import { encodeUnsealed, MIN_PACKET_LENGTH, TYPE } from './packet.ts';

const SALT_LENGTH = 32;
const CLIENT_HELLO_LENGTH = 100;
export const CLIENT_HELLO_PACKET_LENGTH = MIN_PACKET_LENGTH + CLIENT_HELLO_LENGTH;

export interface ClientHello {
  readonly handshakeIndex: number;
  /** `LE64 unix seconds ‖ 24 random`. */
  readonly salt: Uint8Array;
}

export function encodeClientHello(hello: ClientHello): Uint8Array {
  const out = new Uint8Array(CLIENT_HELLO_LENGTH);
  writeLe32(out, 0, hello.handshakeIndex);
  out.set(hello.salt, 68);
  return out;
}

/** The 64 bytes between index and salt are not checked. */
export function decodeClientHello(content: Uint8Array): ClientHello | undefined {
  if (content.length !== CLIENT_HELLO_LENGTH) return undefined;
  return { handshakeIndex: readLe32(content, 0), salt: content.subarray(68) };
}

export function encodeSalt(unixSeconds: number, random24: Uint8Array): Uint8Array {
  const salt = new Uint8Array(SALT_LENGTH);
  writeLe64(salt, 0, unixSeconds);
  salt.set(random24, 8);
  return salt;
}

/** Unix seconds; beyond 2⁵³ inexact, and then far outside any tolerance. */
export function saltSeconds(salt: Uint8Array): number {
  return readLe64(salt, 0);
}

export const KKT_SESSION_ID_LENGTH = 16;
const KKT_CONTEXT_LENGTH = 7;
const KKT_REQUEST_LENGTH = KKT_CONTEXT_LENGTH + KKT_SESSION_ID_LENGTH;
const KKT_VERSION_1_REQUEST = 0x10;
const KKT_VERSION_1_RESPONSE = 0x11;
const KKT_ROLE_RESPONDER = 0x01;
const KKT_ROLE_ANONYMOUS_INITIATOR = 0x02;
const KKT_STATUS_UNSUPPORTED = 0x80;

export interface KktRequest {
  readonly kemId: number;
  readonly sessionId: Uint8Array;
}

export function encodeKktRequest(request: KktRequest): Uint8Array {
  const out = new Uint8Array(KKT_REQUEST_LENGTH);
  out[0] = KKT_VERSION_1_REQUEST;
  out[1] = KKT_ROLE_ANONYMOUS_INITIATOR;
  out[2] = request.kemId;
  out.set(request.sessionId, KKT_CONTEXT_LENGTH);
  return out;
}

/** §4.1: one-way, anonymous, status OK, hash and signature 00; zero padding after it is allowed. */
export function decodeKktRequest(content: Uint8Array): KktRequest | undefined {
  if (content.length < KKT_REQUEST_LENGTH) return undefined;
  if (content[0] !== KKT_VERSION_1_REQUEST || content[1] !== KKT_ROLE_ANONYMOUS_INITIATOR) return undefined;
  if (content[3] !== 0 || content[4] !== 0 || content[5] !== 0) return undefined;
  for (let i = KKT_REQUEST_LENGTH; i < content.length; i++) if (content[i] !== 0) return undefined;
  return { kemId: content[2] ?? 0, sessionId: content.subarray(KKT_CONTEXT_LENGTH, KKT_REQUEST_LENGTH) };
}

export function encodeKktResponse(
  kemId: number,
  body: Uint8Array,
  sessionId: Uint8Array,
  signature: Uint8Array,
): Uint8Array {
  const out = new Uint8Array(KKT_REQUEST_LENGTH + body.length + signature.length);
  out[0] = KKT_VERSION_1_RESPONSE;
  out[1] = KKT_ROLE_RESPONDER;
  out[2] = kemId;
  out.set(body, KKT_CONTEXT_LENGTH);
  out.set(sessionId, KKT_CONTEXT_LENGTH + body.length);
  out.set(signature, KKT_REQUEST_LENGTH + body.length);
  return out;
}

export function encodeKktNotOffered(request: KktRequest): Uint8Array {
  const out = new Uint8Array(KKT_REQUEST_LENGTH);
  out[0] = KKT_VERSION_1_RESPONSE;
  out[1] = KKT_STATUS_UNSUPPORTED | KKT_ROLE_RESPONDER;
  out[2] = request.kemId;
  out.set(request.sessionId, KKT_CONTEXT_LENGTH);
  return out;
}

const SIGNATURE_LENGTH = 64;

export type KktResponse =
  | { readonly kind: 'key'; readonly sessionId: Uint8Array; readonly body: Uint8Array; readonly signature: Uint8Array }
  | { readonly kind: 'not_offered'; readonly sessionId: Uint8Array };

/** `undefined` for another sequence, role, mode, suite, hash, signature scheme or length than was asked for. */
export function decodeKktResponse(content: Uint8Array, kemId: number, bodyLength: number): KktResponse | undefined {
  if (content.length < KKT_REQUEST_LENGTH || content[0] !== KKT_VERSION_1_RESPONSE || content[2] !== kemId)
    return undefined;
  if (content[3] !== 0 || content[4] !== 0 || content[5] !== 0) return undefined;
  if (content[1] === (KKT_STATUS_UNSUPPORTED | KKT_ROLE_RESPONDER)) {
    if (content.length !== KKT_REQUEST_LENGTH) return undefined;
    return { kind: 'not_offered', sessionId: content.subarray(KKT_CONTEXT_LENGTH) };
  }
  if (content[1] !== KKT_ROLE_RESPONDER) return undefined;
  if (content.length !== KKT_REQUEST_LENGTH + bodyLength + SIGNATURE_LENGTH) return undefined;
  const bodyEnd = KKT_CONTEXT_LENGTH + bodyLength;
  return {
    kind: 'key',
    body: content.subarray(KKT_CONTEXT_LENGTH, bodyEnd),
    sessionId: content.subarray(bodyEnd, bodyEnd + KKT_SESSION_ID_LENGTH),
    signature: content.subarray(bodyEnd + KKT_SESSION_ID_LENGTH),
  };
}

export const KEY_ID_LENGTH = 8;

export interface H1Content {
  readonly kemId: number;
  readonly keyId: Uint8Array;
  readonly noiseMessage: Uint8Array;
}

export function decodeH1(content: Uint8Array): H1Content | undefined {
  if (content.length < 1 + KEY_ID_LENGTH) return undefined;
  return {
    kemId: content[0] ?? 0,
    keyId: content.subarray(1, 1 + KEY_ID_LENGTH),
    noiseMessage: content.subarray(1 + KEY_ID_LENGTH),
  };
}

export const ERROR_CODE = { version: 1, clock: 2, suite: 3, kemKey: 4 } as const;
export type ErrorCode = (typeof ERROR_CODE)[keyof typeof ERROR_CODE];

export interface ErrorMessage {
  readonly code: number;
  readonly gatewayUnixMs: number;
  readonly minVersion: number;
  readonly maxVersion: number;
}

const ERROR_LENGTH = 12;

/** §4.4: a whole packet, for its header is fixed. */
export function encodeErrorPacket(index: number, message: ErrorMessage): Uint8Array {
  const content = new Uint8Array(ERROR_LENGTH);
  writeLe16(content, 0, message.code);
  writeLe64(content, 2, message.gatewayUnixMs);
  content[10] = message.minVersion;
  content[11] = message.maxVersion;
  return encodeUnsealed(index, 0, TYPE.error, content);
}

export function decodeError(content: Uint8Array): ErrorMessage | undefined {
  if (content.length !== ERROR_LENGTH) return undefined;
  return {
    code: readLe16(content, 0),
    gatewayUnixMs: readLe64(content, 2),
    minVersion: content[10] ?? 0,
    maxVersion: content[11] ?? 0,
  };
}

const BUSY_LENGTH = 18;

export function encodeBusyPacket(index: number, retryAfterSeconds: number): Uint8Array {
  const content = new Uint8Array(BUSY_LENGTH);
  writeLe16(content, 0, Math.min(Math.max(1, Math.ceil(retryAfterSeconds)), 0xffff));
  return encodeUnsealed(index, 0, TYPE.busy, content);
}

/** Retry-after in seconds. */
export function decodeBusy(content: Uint8Array): number | undefined {
  return content.length === BUSY_LENGTH ? readLe16(content, 0) : undefined;
}
