/**
 * What is common to batches of both directions across the seam: one growing byte string of records behind a head, whose
 * memory is used again. A batch that held a secret leaves none of it behind.
 */
import { writeLe32 } from '../lp/wire/bytes.ts';

/** Kind, flag, connection, word, length. */
export const STREAM_HEAD = 14;
/** A thousand packets of 300 bytes fit. */
const KEPT_BYTES = 512 * 1_024;

export abstract class BatchWriter {
  protected bytes: Uint8Array<ArrayBuffer>;
  protected at: number;
  private readonly head: number;
  records = 0;
  /** A record holds a secret: memory that is left behind is wiped. */
  protected secret = false;

  constructor(head: number, capacity: number) {
    this.head = head;
    this.at = head;
    this.bytes = new Uint8Array(Math.max(capacity, 1_024));
  }

  get length(): number {
    return this.at;
  }

  get empty(): boolean {
    return this.at === this.head;
  }

  /** For the next batch, when this one was copied: what was written is gone. Memory beyond a usual batch's is not kept. */
  reset(): void {
    if (this.bytes.length > KEPT_BYTES) this.bytes = new Uint8Array(KEPT_BYTES);
    else this.bytes.fill(0, 0, this.at);
    this.at = this.head;
    this.records = 0;
    this.secret = false;
  }

  /** A record of a Nym connection, all of one layout (stream-messages.ts). */
  stream(kind: number, flag: number, connection: number, word: number, body: Uint8Array): void {
    const at = this.begin(STREAM_HEAD + body.length);
    this.bytes[at] = kind;
    this.bytes[at + 1] = flag;
    writeLe32(this.bytes, at + 2, connection);
    writeLe32(this.bytes, at + 6, word);
    writeLe32(this.bytes, at + 10, body.length);
    this.bytes.set(body, at + STREAM_HEAD);
  }

  /** Makes room and returns the offset of the record. */
  protected begin(length: number): number {
    const start = this.at;
    const end = start + length;
    if (end > this.bytes.length) {
      const grown = new Uint8Array(Math.max(end, 2 * this.bytes.length));
      grown.set(this.bytes.subarray(0, start));
      if (this.secret) this.bytes.fill(0);
      this.bytes = grown;
    }
    this.at = end;
    this.records++;
    return start;
  }

  protected word(kind: number, value: number): void {
    const at = this.begin(5);
    this.bytes[at] = kind;
    writeLe32(this.bytes, at + 1, value);
  }

  protected finish(): Uint8Array<ArrayBuffer> {
    writeLe32(this.bytes, 0, this.at);
    return this.bytes.subarray(0, this.at);
  }
}
