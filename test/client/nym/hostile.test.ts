import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { LewesError, registerNym } from '../../../src/client/index.ts';
import { type NodeMessage, NymTestNode } from '../../support/nym-node.ts';
import { SteppedTime, until } from '../../support/stepped-time.ts';
import { hopAt, optionsFor, wallet } from './fixture.ts';

const RUNS = 25;

/** What a node does instead of sending a message: bytes in its place, or closing, or both. */
interface Fault {
  readonly stage: number;
  readonly bytes: readonly Uint8Array[] | 'changed' | 'twice' | 'cut' | 'none';
  readonly at: number;
  readonly close: boolean;
}

const FAULT: fc.Arbitrary<Fault> = fc.record({
  // KKT, PSQ, the answer to Initial, that to Finalise.
  stage: fc.integer({ min: 0, max: 3 }),
  bytes: fc.oneof(
    fc.array(fc.uint8Array({ maxLength: 1_300 }), { maxLength: 3 }),
    fc.constantFrom('changed' as const, 'twice' as const, 'cut' as const, 'none' as const),
    // A length of 65,537 or 11, of a packet; and one that never gets there.
    fc.constantFrom([Uint8Array.of(1, 0, 1, 0)], [Uint8Array.of(11, 0, 0, 0)], [Uint8Array.of(0, 0, 1, 0, 7)]),
    fc.integer({ min: 69, max: 71 }).map((length) => [new Uint8Array(length)]),
    fc.integer({ min: 1_206, max: 1_208 }).map((length) => [new Uint8Array(length).fill(3)]),
  ),
  at: fc.nat(2_000),
  close: fc.boolean(),
});

function apply({ bytes, at }: Fault, sent: Uint8Array): readonly Uint8Array[] {
  switch (bytes) {
    case 'changed': {
      sent[at % sent.length]! ^= 1 + (at % 255);
      return [sent];
    }
    case 'twice':
      return [sent, sent.slice()];
    case 'cut':
      return [sent.subarray(0, at % sent.length)];
    case 'none':
      return [];
    default:
      return bytes;
  }
}

function misbehave(node: NymTestNode, fault: Fault): void {
  node.reply = (_: NodeMessage, sent, n) => (n === fault.stage ? apply(fault, sent) : [sent]);
  node.closeAfter = (_, n) => fault.close && n === fault.stage;
}

async function outcomeOf(t: ExecutionContext, fault: Fault, where: 'direct' | 'entry' | 'exit', pipelining: boolean) {
  const time = new SteppedTime();
  const nodes = [
    await NymTestNode.listen({ clock: time.clock }),
    await NymTestNode.listen({ clock: time.clock, fill: 0x51 }),
  ];
  const [first, second] = nodes as [NymTestNode, NymTestNode];
  misbehave(where === 'exit' ? second : first, fault);
  const options = optionsFor(first.data(), {
    ...(where !== 'direct' && { exit: hopAt(second.data(), 0x21) }),
    credentials: wallet(),
    pipelining,
    clock: time.clock,
    timers: time,
    retries: 1,
    finaliseRepeats: 1,
  });
  try {
    await time.drive(registerNym(options), 1_000);
  } catch (error) {
    if (!(error instanceof LewesError) || error.code === 'internal') throw error;
    t.regex(error.message, /\w/);
  } finally {
    // Whichever way it ended, nothing of the client is left.
    await until(() => first.connections === 0);
    await Promise.all(nodes.map((node) => node.close()));
  }
  t.true(time.pending <= 1, 'no timer but the grace of a closed connection');
}

for (const where of ['direct', 'entry', 'exit'] as const) {
  test(`whatever a node sends at any stage (${where}), registering ends with a value or an error with a code`, async (t) => {
    await fc.assert(
      fc.asyncProperty(FAULT, fc.boolean(), (fault, pipelining) => outcomeOf(t, fault, where, pipelining)),
      { numRuns: RUNS },
    );
  });
}

test('a node that says nothing, at each stage, ends in a timeout that names the stage', async (t) => {
  for (const [stage, step] of (['kkt', 'psq', 'initial'] as const).entries()) {
    const time = new SteppedTime();
    const node = await NymTestNode.listen({ clock: time.clock });
    t.teardown(() => node.close());
    misbehave(node, { stage, bytes: 'none', at: 0, close: false });
    const options = optionsFor(node.data(), { clock: time.clock, timers: time });
    const late = await t.throwsAsync(time.drive(registerNym(options), 1_000));
    t.like(late, { code: 'timeout', step });
    const error = await registerNym({ ...options, signal: AbortSignal.abort() }).catch((reason: unknown) => reason);
    t.like(error, { code: 'aborted' });
  }
});
