/** What goes through the tunnels: bytes that do not compress, with a hash, and where they are to be had. */
import { createCipheriv, createHash } from 'node:crypto';

/** Every namespace has ports of its own. */
export const ECHO_PORT = 7;
export const STREAM_PORT = 19;
export const DIGEST_LENGTH = 32;

const PIECE = Buffer.alloc(65_536);

export class Stream {
  readonly #cipher = createCipheriv('aes-128-ctr', PIECE.subarray(0, 16), PIECE.subarray(0, 16));
  readonly #hash = createHash('sha256');

  next(atMost: number): Buffer {
    const piece = this.#cipher.update(PIECE.subarray(0, atMost));
    this.#hash.update(piece);
    return piece;
  }

  /** Of all so far. */
  digest(): Buffer {
    return this.#hash.digest();
  }
}
