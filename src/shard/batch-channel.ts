/**
 * How batches cross between the main thread and a shard's: through shared memory, copied once on each side. Two places each
 * way, so the shard finds its next batch when it is done with one, and neither side sleeps while there is work; a wake-up
 * costs more than the batch. Batches stay in order, and at most two are under way. The shard's thread waits blocked: it has
 * no timers and no sockets, and its event loop has nothing to do.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';

/** Batches under way at once. */
export const PLACES = 2;
/** Of one place. A greater batch goes as a message: a thousand packets of 300 bytes fit, a thousand of 2 KiB do not. */
const PLACE_BYTES = 512 * 1_024;

/** Words of the control memory. Numbers of batches only rise (and wrap), and are what the other side waits for. */
const SENT = 0;
const ANSWERED = 1;
const SENT_LENGTH = 2;
const ANSWERED_LENGTH = SENT_LENGTH + PLACES;
const WORDS = ANSWERED_LENGTH + PLACES;
/** In place of a length: the batch is the next message at the port. */
const AT_PORT = -1;

export interface BatchMemory {
  readonly control: SharedArrayBuffer;
  readonly sent: SharedArrayBuffer;
  readonly answered: SharedArrayBuffer;
}

export function createBatchMemory(): BatchMemory {
  return {
    control: new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT),
    sent: new SharedArrayBuffer(PLACES * PLACE_BYTES),
    answered: new SharedArrayBuffer(PLACES * PLACE_BYTES),
  };
}

/** One direction: bytes into the place of batch `number`, or to the port. */
class Way {
  private readonly control: Int32Array;
  private readonly lengths: number;
  private readonly places: Uint8Array[];
  private readonly port: MessagePort;

  constructor(control: Int32Array, lengths: number, memory: SharedArrayBuffer, port: MessagePort) {
    this.control = control;
    this.lengths = lengths;
    this.places = Array.from({ length: PLACES }, (_, i) => new Uint8Array(memory, i * PLACE_BYTES, PLACE_BYTES));
    this.port = port;
  }

  put(number: number, bytes: Uint8Array): void {
    const place = this.places[number % PLACES];
    const fits = place !== undefined && bytes.length <= place.length;
    this.control[this.lengths + (number % PLACES)] = fits ? bytes.length : AT_PORT;
    if (fits) place.set(bytes);
    else this.port.postMessage(bytes);
  }

  /** Into `memory` where it fits; what was read is wiped, for it may hold secrets. */
  take(number: number, memory?: Uint8Array): Uint8Array {
    const length = this.control[this.lengths + (number % PLACES)] ?? AT_PORT;
    const place = this.places[number % PLACES];
    if (length === AT_PORT || place === undefined) return this.takeMessage();
    const used = place.subarray(0, length);
    const bytes = memory === undefined || memory.length < length ? new Uint8Array(length) : memory.subarray(0, length);
    bytes.set(used);
    used.fill(0);
    return bytes;
  }

  private takeMessage(): Uint8Array {
    const received = receiveMessageOnPort(this.port) as { message: Uint8Array } | undefined;
    if (received === undefined) throw new Error('a batch is announced and not there');
    return received.message;
  }
}

interface Awaited {
  readonly resolve: (result: Uint8Array) => void;
  readonly reject: (reason: Error) => void;
}

/** Numbers are counted in the 31 bits that an index into the places needs to stay positive. */
const next = (number: number) => (number + 1) & 0x7fffffff;

/** The main thread's end. */
export class BatchSender {
  private readonly control: Int32Array;
  private readonly outward: Way;
  private readonly homeward: Way;
  private readonly awaited: Awaited[] = [];
  private sent = 0;
  private answered = 0;
  private watching = false;
  private ended: Error | undefined;

  constructor(memory: BatchMemory, port: MessagePort) {
    this.control = new Int32Array(memory.control);
    this.outward = new Way(this.control, SENT_LENGTH, memory.sent, port);
    this.homeward = new Way(this.control, ANSWERED_LENGTH, memory.answered, port);
  }

  /** Copies the batch; the results come in the order of the batches. Rejects when the thread has ended. */
  run(batch: Uint8Array): Promise<Uint8Array> {
    if (this.ended !== undefined) return Promise.reject(this.ended);
    if (this.awaited.length >= PLACES) throw new Error('more batches under way than there are places');
    this.outward.put(this.sent, batch);
    this.sent = next(this.sent);
    Atomics.store(this.control, SENT, this.sent);
    Atomics.notify(this.control, SENT);
    const result = new Promise<Uint8Array>((resolve, reject) => this.awaited.push({ resolve, reject }));
    this.watch();
    return result;
  }

  /** The thread is gone: nothing is waited for any more. */
  end(reason: Error): void {
    this.ended = reason;
    for (const { reject } of this.awaited.splice(0)) reject(reason);
    Atomics.notify(this.control, ANSWERED);
  }

  private watch(): void {
    if (this.watching || this.awaited.length === 0) return;
    const waiting = Atomics.waitAsync(this.control, ANSWERED, this.answered);
    this.watching = true;
    if (waiting.async) void waiting.value.then(() => this.collect());
    else queueMicrotask(() => this.collect());
  }

  private collect(): void {
    this.watching = false;
    const answered = Atomics.load(this.control, ANSWERED);
    while (this.ended === undefined && this.answered !== answered) {
      const result = this.homeward.take(this.answered);
      this.answered = next(this.answered);
      this.awaited.shift()?.resolve(result);
    }
    this.watch();
  }
}

/** As much of a batch's memory is kept for the next one. */
const KEPT_BYTES = PLACE_BYTES;

/** The shard's end: handles batch after batch, blocked while there is none, and never returns. */
export function serveBatches(memory: BatchMemory, port: MessagePort, handle: (batch: Uint8Array) => Uint8Array): never {
  const control = new Int32Array(memory.control);
  const outward = new Way(control, SENT_LENGTH, memory.sent, port);
  const homeward = new Way(control, ANSWERED_LENGTH, memory.answered, port);
  const kept = new Uint8Array(KEPT_BYTES);
  for (let number = 0; ; number = next(number)) {
    // Returns at once when the word has moved on.
    while (Atomics.load(control, SENT) === number) Atomics.wait(control, SENT, number);
    const batch = outward.take(number, kept);
    homeward.put(number, handle(batch));
    // Packets were opened in place, and answers and KEM keys are secret.
    batch.fill(0);
    Atomics.store(control, ANSWERED, next(number));
    Atomics.notify(control, ANSWERED);
  }
}
