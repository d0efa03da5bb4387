/**
 * How a fault gets into a thread: an order in shared memory, which the thread's fixture entry looks for once per batch or
 * message and then obeys. Invariant: an order is obeyed once; a thread that replaces the one that obeyed finds none.
 */
import process from 'node:process';

const ORDER_KINDS = ['none', 'throw', 'exit', 'hang', 'heap', 'stall'] as const;
export type OrderKind = Exclude<(typeof ORDER_KINDS)[number], 'none'>;

export interface Order {
  readonly kind: OrderKind;
  /** Of a batch or message: before anything of it is done, or when all is done and nothing has been said of it. */
  readonly when: 'before' | 'after';
  /** So many batches or messages go by first. */
  readonly skip: number;
  /** How long a stall takes. */
  readonly ms: number;
}

const WORDS = 4;
const KIND = 0;
const AFTER = 1;
const SKIP = 2;
const MS = 3;

export function makeOrders(): SharedArrayBuffer {
  return new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT);
}

/** In place of one that nobody has obeyed yet. */
export function giveOrder(memory: SharedArrayBuffer, { kind, when, skip, ms }: Order): void {
  const words = new Int32Array(memory);
  Atomics.store(words, AFTER, when === 'after' ? 1 : 0);
  Atomics.store(words, SKIP, skip);
  Atomics.store(words, MS, ms);
  // Last, for it is what the thread looks at.
  Atomics.store(words, KIND, ORDER_KINDS.indexOf(kind));
}

export function isOrderWaiting(memory: SharedArrayBuffer): boolean {
  return Atomics.load(new Int32Array(memory), KIND) !== 0;
}

/** Called by the thread, once per batch or message. */
export function takeOrder(memory: SharedArrayBuffer): Order | undefined {
  const words = new Int32Array(memory);
  const kind = ORDER_KINDS[Atomics.load(words, KIND)] ?? 'none';
  if (kind === 'none' || Atomics.sub(words, SKIP, 1) > 0) return undefined;
  Atomics.store(words, KIND, 0);
  return { kind, when: Atomics.load(words, AFTER) === 1 ? 'after' : 'before', skip: 0, ms: Atomics.load(words, MS) };
}

/** Comes back from a stall only. */
export function obey({ kind, ms }: Order): void {
  switch (kind) {
    case 'throw':
      throw new Error('chaos: the thread was told to throw');
    case 'exit':
      process.exit(7);
      break;
    case 'hang':
      // Until somebody ends the thread.
      for (;;);
    case 'heap': {
      const kept: number[][] = [];
      for (;;) kept.push(garbage(kept.length));
    }
    case 'stall':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  }
}

/** By a loop of its own: one that only calls what is built in is never interrupted, not even when the heap is full. */
function garbage(from: number): number[] {
  const out: number[] = [];
  for (let n = 0; n < 1_000; n++) out.push(from + n);
  return out;
}
