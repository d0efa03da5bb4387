/** Messages for the targets of Nym's connections. */
import type { Tape } from './tape.ts';

/** Any message of the pool, mostly changed. */
export function changed(tape: Tape, pool: readonly Uint8Array[]): Uint8Array {
  if (pool.length === 0 || tape.chance(0.15)) return tape.bytes(tape.pick([0, 12, 70, 91, 1_207, 1_247, 1_275, 60]));
  const message = tape.pick(pool).slice();
  if (tape.chance(0.3)) return message;
  if (tape.chance(0.2)) return message.subarray(0, tape.below(message.length));
  const at = tape.below(message.length);
  message[at] = (message[at] ?? 0) ^ (1 + tape.below(255));
  return message;
}
