/**
 * Application frames (lp2.md §5), the content of EncryptedData: `kind ‖ LE32 request id ‖ body`, and the bodies of
 * Forward, ForwardResponse and Failure. Decoders are total.
 */
import { readLe16, readLe32, writeLe16, writeLe32 } from './bytes.ts';
import { decodeFrames, encodeFrames } from './framing.ts';
import { MAX_CONTENT_LENGTH } from './packet.ts';

export const KIND = {
  opaque: 0,
  registrationRequest: 1,
  registrationResponse: 2,
  forward: 3,
  forwardResponse: 4,
  failure: 5,
} as const;

export const FRAME_HEADER_LENGTH = 5;
export const MAX_FRAME_BODY_LENGTH = MAX_CONTENT_LENGTH - FRAME_HEADER_LENGTH;

export interface ApplicationFrame {
  readonly kind: number;
  readonly requestId: number;
  readonly body: Uint8Array;
}

export function encodeFrame(kind: number, requestId: number, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(FRAME_HEADER_LENGTH + body.length);
  out[0] = kind;
  writeLe32(out, 1, requestId);
  out.set(body, FRAME_HEADER_LENGTH);
  return out;
}

export function decodeFrame(bytes: Uint8Array): ApplicationFrame | undefined {
  if (bytes.length < FRAME_HEADER_LENGTH) return undefined;
  return { kind: bytes[0] ?? 0, requestId: readLe32(bytes, 1), body: bytes.subarray(FRAME_HEADER_LENGTH) };
}

export type AddressFamily = 0 | 4 | 6;

export interface ForwardTarget {
  /** The exit's Ed25519 key, 32 bytes. */
  readonly identity: Uint8Array;
  readonly family: AddressFamily;
  /** 0, 4 or 16 bytes, as the family says. */
  readonly ip: Uint8Array;
  /** 0 where the family is 0. */
  readonly port: number;
}

export interface Forward {
  readonly target: ForwardTarget;
  /** How many packets to wait for; 0: none. */
  readonly replies: number;
  readonly packets: readonly Uint8Array[];
}

function ipLength(family: number): number | undefined {
  switch (family) {
    case 0:
      return 0;
    case 4:
      return 4;
    case 6:
      return 16;
    default:
      return undefined;
  }
}

export function encodeForward(forward: Forward): Uint8Array {
  const { target } = forward;
  const frames = encodeFrames('be16', forward.packets);
  const addressLength = target.family === 0 ? 0 : target.ip.length + 2;
  const out = new Uint8Array(34 + addressLength + frames.length);
  out.set(target.identity, 0);
  out[32] = target.family;
  if (target.family !== 0) {
    out.set(target.ip, 33);
    writeLe16(out, 33 + target.ip.length, target.port);
  }
  out[33 + addressLength] = forward.replies;
  out.set(frames, 34 + addressLength);
  return out;
}

/** `undefined` (Failure 1) also where no packet, a packet under 34 bytes or a part of a frame is there. */
export function decodeForward(body: Uint8Array): Forward | undefined {
  if (body.length < 34) return undefined;
  const family = body[32] ?? 0;
  const length = ipLength(family);
  if (length === undefined) return undefined;
  const addressLength = length === 0 ? 0 : length + 2;
  if (body.length < 34 + addressLength) return undefined;
  const packets = decodeFrames(body.subarray(34 + addressLength));
  if (packets === undefined || packets.length === 0) return undefined;
  return {
    target: {
      identity: body.subarray(0, 32),
      family: family as AddressFamily,
      ip: body.subarray(33, 33 + length),
      port: length === 0 ? 0 : readLe16(body, 33 + length),
    },
    replies: body[33 + addressLength] ?? 0,
    packets,
  };
}

export const FORWARD_STATUS = {
  ok: 0,
  notAllowed: 1,
  connectFailed: 2,
  timeout: 3,
  replyTooLarge: 4,
  busy: 5,
  closed: 6,
} as const;

export interface ForwardResponse {
  readonly status: number;
  readonly packets: readonly Uint8Array[];
}

export function encodeForwardResponse(response: ForwardResponse): Uint8Array {
  const frames = encodeFrames('be16', response.packets);
  const out = new Uint8Array(1 + frames.length);
  out[0] = response.status;
  out.set(frames, 1);
  return out;
}

export function decodeForwardResponse(body: Uint8Array): ForwardResponse | undefined {
  if (body.length < 1) return undefined;
  const packets = decodeFrames(body.subarray(1));
  return packets === undefined ? undefined : { status: body[0] ?? 0, packets };
}

export const FAILURE_CODE = { malformed: 1, requestIdReused: 2, notOffered: 3, tryLater: 4 } as const;

export interface Failure {
  readonly code: number;
  readonly text: string;
}

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const MAX_FAILURE_TEXT_BYTES = 256;

export function encodeFailure(failure: Failure): Uint8Array {
  const text = ENCODER.encode(failure.text);
  const out = new Uint8Array(2 + text.length);
  writeLe16(out, 0, failure.code);
  out.set(text, 2);
  return out;
}

export function decodeFailure(body: Uint8Array): Failure | undefined {
  if (body.length < 2 || body.length > 2 + MAX_FAILURE_TEXT_BYTES) return undefined;
  try {
    return { code: readLe16(body, 0), text: DECODER.decode(body.subarray(2)) };
  } catch {
    return undefined;
  }
}
