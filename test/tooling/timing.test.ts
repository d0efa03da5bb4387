/** What `npm run timing` makes of times: made-up ones here, so that it is known what there is to be seen. */
import test from 'ava';
import type { Pair, PairKind } from '../../scripts/timing/pair.ts';
import { judge, selfCheck } from '../../scripts/timing/report.ts';
import { combine, type Finding, type Samples, T_THRESHOLD, testRound } from '../../scripts/timing/welch.ts';
import { Prng } from '../support/prng.ts';

const SAMPLES = 4_000;
const ROUNDS = 5;

type Draw = (uniform: () => number, of: number) => number;

/** Times around 5 µs with a long tail, as machines have them. */
const skewed: Draw = (uniform) => 5_000 - 200 * Math.log(1 - uniform()) + (uniform() < 0.01 ? 100_000 * uniform() : 0);

function samplesOf(prng: Prng, draw: Draw): Samples {
  const uniform = () => prng.word() / 0x1_0000_0000;
  const which = Uint8Array.from({ length: SAMPLES }, () => prng.below(2));
  const times = Float64Array.from(which, (of) => draw(uniform, of));
  return { times, which, length: SAMPLES };
}

function found(seed: number, draw: Draw, disturbed?: Draw): Finding {
  const prng = new Prng(seed);
  const rounds = Array.from({ length: ROUNDS }, (_, n) => samplesOf(prng, n === 0 ? (disturbed ?? draw) : draw));
  return combine(rounds.map(testRound));
}

test('classes of one distribution do not differ, in forty runs', (t) => {
  for (let seed = 1; seed <= 40; seed++) t.true(Math.abs(found(seed, skewed).t) < T_THRESHOLD, `seed ${seed}`);
});

test('a difference of four times the resolution is seen, with its sign and about its size', (t) => {
  const { resolutionNs } = found(1, skewed);
  t.true(resolutionNs > 1 && resolutionNs < 100, `${resolutionNs}`);
  for (const sign of [1, -1]) {
    const shift = 4 * sign * resolutionNs;
    const finding = found(2, (uniform, of) => skewed(uniform, of) + of * shift);
    t.true(sign * finding.t > T_THRESHOLD);
    t.true(finding.differenceNs / shift > 0.3 && finding.differenceNs / shift < 1.5, `${finding.differenceNs}`);
  }
});

test('equal means with different spreads are seen by the second-order test', (t) => {
  const finding = found(3, (uniform, of) => 5_000 + (uniform() - 0.5) * (of === 0 ? 100 : 200));
  t.true(Math.abs(finding.t) > T_THRESHOLD);
  t.is(finding.order, 2);
});

test('one disturbed round of five decides nothing', (t) => {
  const disturbed: Draw = (uniform, of) => skewed(uniform, of) + 50_000 * of;
  t.true(Math.abs(found(4, skewed, disturbed).t) < T_THRESHOLD);
});

test('times without any spread are equal or differ, and are no NaN', (t) => {
  t.is(found(5, () => 42).t, 0);
  t.true(found(6, (_, of) => 42 + of).t > T_THRESHOLD);
});

const FINDING: Finding = { samples: 100, t: 0, order: 1, kept: 1, differenceNs: 1, resolutionNs: 2 };

function judged(kind: PairKind, seen: boolean) {
  const pair: Pair = { name: kind, kind, classes: ['a', 'b'], learns: 'much', prepare: () => undefined, run: () => 0 };
  return judge(pair, { ...FINDING, t: seen ? -T_THRESHOLD : T_THRESHOLD / 2 });
}

test('what is expected of a pair follows from its kind', (t) => {
  const expected: Record<PairKind, readonly [unseen: boolean, seen: boolean]> = {
    control: [true, false],
    planted: [false, true],
    secret: [true, false],
    public: [true, true],
    portable: [true, true],
  };
  for (const [kind, [unseen, seen]] of Object.entries(expected) as [PairKind, [boolean, boolean]][]) {
    t.is(judged(kind, false).asExpected, unseen, kind);
    t.is(judged(kind, true).asExpected, seen, kind);
  }
});

test('a verdict says at how many samples nothing was seen, and never that a time is constant', (t) => {
  for (const kind of ['control', 'secret', 'public', 'portable'] as const) {
    const { meaning, verdict } = judged(kind, false);
    t.true(meaning.includes('no difference seen at 100 samples'));
    t.false(/constant/.test(meaning + verdict));
  }
});

test('a run that imagines or misses something says so', (t) => {
  t.deepEqual(selfCheck([judged('control', false), judged('planted', true), judged('secret', true)]), {
    imagined: [],
    missed: [],
  });
  t.deepEqual(selfCheck([judged('control', true), judged('planted', false)]), {
    imagined: ['control'],
    missed: ['planted'],
  });
});
