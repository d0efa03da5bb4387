/** Tables of packets whose steps (step-record.ts) and effects must be alike, and what one path must have of another. */
import type { ExecutionContext } from 'ava';
import { isSessionIndex, receiverIndex, typeOf } from '../../src/lp/wire/packet.ts';
import type { Effect, ShardHarness } from './shard-harness.ts';
import type { StepRecord } from './step-record.ts';

export interface StepGround {
  readonly harness: ShardHarness;
  readonly record: StepRecord;
}

export interface Run {
  readonly steps: readonly string[];
  /** What a peer may come to notice: replies, and what becomes of its connection and its source's budgets. */
  readonly effects: readonly string[];
  readonly reasons: readonly string[];
}

export type Cases = Iterable<readonly [name: string, packet: Uint8Array]>;

export function runOf({ harness, record }: StepGround, packet: Uint8Array): Run {
  const before = harness.drops;
  let effects: readonly Effect[] = [];
  const steps = record.of(() => {
    effects = harness.packet(packet.slice());
  });
  const reasons = Object.entries(harness.drops).flatMap(([reason, count]) =>
    count > before[reason as keyof typeof before] ? [reason] : [],
  );
  return { steps, effects: effects.flatMap(shapeOf), reasons };
}

function shapeOf(effect: Effect): string[] {
  switch (effect.kind) {
    case 'reply': {
      // The type of a sealed reply is ciphertext.
      const type = isSessionIndex(receiverIndex(effect.packet)) ? 'sealed' : typeOf(effect.packet);
      return [`reply ${type} of ${effect.packet.length} bytes, valid ${effect.valid}`];
    }
    case 'release':
      return [`release ${effect.release}`];
    case 'noAnswer':
      return [`noAnswer ${effect.failed}`];
    case 'indexTaken':
    case 'indexFree':
      return [];
    default:
      return [effect.kind];
  }
}

/**
 * Every case takes the steps of the first, has its effects, and ends for one of the reasons (none: it is no drop).
 * `between` puts the shard into the same state again.
 */
export function allAlike(
  t: ExecutionContext,
  ground: StepGround,
  cases: Cases,
  reasons: readonly string[],
  between: () => void = () => undefined,
): Run {
  let first: Run | undefined;
  let count = 0;
  for (const [name, packet] of cases) {
    const run = runOf(ground, packet);
    first ??= run;
    t.deepEqual(run.steps, first.steps, name);
    t.deepEqual(run.effects, first.effects, name);
    if (reasons.length === 0) t.deepEqual(run.reasons, [], name);
    else t.true(run.reasons.length === 1 && reasons.includes(run.reasons[0]!), `${name}: ${run.reasons}`);
    count++;
    between();
  }
  if (first === undefined || count < 2) throw new Error('a table of one case compares nothing');
  return first;
}

/** The shorter path is the longer one's beginning, up to a last step that may have failed: no failure has steps of its own. */
export function beginsLike(t: ExecutionContext, shorter: Run, longer: Run): void {
  const done = (step: string | undefined) => step?.replace(/ fails$/, '');
  const { length } = shorter.steps;
  t.true(length < longer.steps.length, `${length} of ${longer.steps.length} steps`);
  t.deepEqual(shorter.steps.slice(0, -1), longer.steps.slice(0, Math.max(0, length - 1)));
  t.is(done(shorter.steps.at(-1)), done(length === 0 ? undefined : longer.steps[length - 1]));
}

/** Each byte from `from` on (negative: from the end), its lowest or its highest bit flipped in turn. */
export function* flippedFrom(packet: Uint8Array, from: number, to = packet.length): Generator<[string, Uint8Array]> {
  const begin = from < 0 ? packet.length + from : from;
  const end = to < 0 ? packet.length + to : to;
  for (let at = begin; at < end; at++) {
    const copy = packet.slice();
    copy[at]! ^= at % 2 === 0 ? 0x01 : 0x80;
    yield [`byte ${at}`, copy];
  }
}
