/** What the targets of the batches between main thread and shard share: a handler that writes down, and batches of any bytes. */
import { readInbound, readOutbound } from '../../src/shard/messages.ts';
import type { Tape } from './tape.ts';

export type Log = unknown[][];

/** A handler of any kind that writes down what it is called with; records of streams go to one of their own. */
export function logged<Handler extends object>(log: Log): Handler {
  return new Proxy({} as Handler, {
    get: (_, method) =>
      method === 'streams'
        ? logged(log)
        : (...values: unknown[]) => {
            log.push([method, ...values.map((value) => (value instanceof Uint8Array ? value.slice() : value))]);
          },
  });
}

export const u32 = (tape: Tape) => tape.below(0x1_0000) * tape.pick([1, 0x1_0000]) + tape.below(0x100);
export const body = (tape: Tape) => tape.take(tape.pick([0, 1, tape.below(64), tape.below(0x400)]));

/** Both sides are this program, so bytes of another are an assertion: it has to come, and soon. */
export function anyBatch(input: Uint8Array): void {
  const batch = Uint8Array.from(input);
  for (const read of [() => readInbound(batch, logged([])), () => readOutbound(batch, logged([]))]) {
    try {
      read();
    } catch (error) {
      const expected =
        error instanceof RangeError ||
        (error instanceof Error && /^unknown (inbound record|outbound record|reason) /.test(error.message));
      if (!expected) throw error;
    }
  }
}
