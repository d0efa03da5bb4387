/**
 * Content of LP1's ClientHello (lp1.md §2.3): a fixed layout, so its length is all there is to check here. Whether the
 * salt's time, the Ed25519 key and the index will do is the responder's business.
 */
import { readLe32, writeLe32 } from '../wire/bytes.ts';

const X25519_OFFSET = 4;
const ED25519_OFFSET = 36;
const SALT_OFFSET = 68;
export const HELLO_CONTENT_LENGTH = 100;

export interface HelloV1 {
  /** Proposed by the client; unlike LP2's it names the session too. */
  readonly receiverIndex: number;
  /** Converted from the Ed25519 key by a client that keeps to the protocol; a responder converts that key itself. */
  readonly x25519: Uint8Array;
  readonly ed25519: Uint8Array;
  /** `LE64 unix seconds ‖ 24 random`. */
  readonly salt: Uint8Array;
}

export function encodeHelloV1(hello: HelloV1): Uint8Array {
  const out = new Uint8Array(HELLO_CONTENT_LENGTH);
  writeLe32(out, 0, hello.receiverIndex);
  out.set(hello.x25519, X25519_OFFSET);
  out.set(hello.ed25519, ED25519_OFFSET);
  out.set(hello.salt, SALT_OFFSET);
  return out;
}

/** Its fields are views of `content`. */
export function decodeHelloV1(content: Uint8Array): HelloV1 | undefined {
  if (content.length !== HELLO_CONTENT_LENGTH) return undefined;
  return {
    receiverIndex: readLe32(content, 0),
    x25519: content.subarray(X25519_OFFSET, ED25519_OFFSET),
    ed25519: content.subarray(ED25519_OFFSET, SALT_OFFSET),
    salt: content.subarray(SALT_OFFSET),
  };
}
