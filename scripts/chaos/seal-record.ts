/**
 * What is sealed, written down at the seam: of every (key, nonce) that goes through `aeadSeal` a hash, and one of what came
 * out. Two outputs under one pair would be a nonce used twice, in whichever process. Keys themselves go nowhere.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';

/** Hash of salt, key and nonce ‖ hash of the output, cut to eight bytes each. */
export const SEAL_RECORD_BYTES = 16;
const HASH_BYTES = 8;
/** What waits while no file can be opened: more would be a fault of its own. */
const MAX_WAITING_RECORDS = 262_144;

/** `record` is valid during the call only. */
export function recordSeals(
  provider: CryptoProvider,
  salt: Uint8Array,
  note: (record: Uint8Array) => void,
): CryptoProvider {
  const record = new Uint8Array(SEAL_RECORD_BYTES);
  return {
    ...provider,
    aeadSeal(out, plaintext, aad, nonce, key) {
      const pair = provider.sha256(Buffer.concat([salt, key, nonce]));
      provider.aeadSeal(out, plaintext, aad, nonce, key);
      record.set(pair.subarray(0, HASH_BYTES));
      record.set(provider.sha256(out).subarray(0, HASH_BYTES), HASH_BYTES);
      note(record);
    },
  };
}

/**
 * The records of one thread, in a file of its own. Written before what was sealed can leave the thread, they outlive a
 * SIGKILL of the process.
 */
export class SealFile {
  readonly #path: string;
  #file: number | undefined;
  #waiting: Uint8Array[] = [];

  constructor(path: string) {
    this.#path = path;
  }

  note(record: Uint8Array): void {
    if (this.#waiting.length >= MAX_WAITING_RECORDS) throw new Error('assertion: sealings cannot be written down');
    this.#waiting.push(record.slice());
  }

  flush(): void {
    if (this.#waiting.length === 0) return;
    try {
      this.#file ??= openSync(this.#path, 'a');
    } catch (error) {
      // Descriptors may be what has run out; the next flush writes it all.
      if (error instanceof Error && 'code' in error && error.code === 'EMFILE') return;
      throw error;
    }
    writeSync(this.#file, Buffer.concat(this.#waiting));
    this.#waiting = [];
  }

  close(): void {
    this.flush();
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}
