/** Beginning operations when they are due, with a stepped loop in place of the event loop. */
import test from 'ava';
import { Pace, type Turns } from '../../src/load/pace.ts';
import type { Schedule } from '../../src/load/schedule.ts';

class ListedSchedule implements Schedule {
  readonly #times: number[];

  constructor(times: readonly number[]) {
    this.#times = [...times];
  }

  get nextMs(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  advance(): void {
    this.#times.shift();
  }
}

/** Turns take 0.1 ms; timers fire `lateMs` after their time. */
class SteppedLoop implements Turns {
  nowMs = 0;
  turns = 0;
  readonly #lateMs: number;
  #waiting: { readonly atMs: number; readonly action: () => void } | undefined;

  constructor(lateMs: number) {
    this.#lateMs = lateMs;
  }

  after(ms: number, action: () => void) {
    return this.#wait(this.nowMs + ms + this.#lateMs, action);
  }

  soon(action: () => void) {
    this.turns++;
    return this.#wait(this.nowMs + 0.1, action);
  }

  /** Until nothing waits, or that time. */
  run(untilMs: number): void {
    while (this.#waiting !== undefined && this.#waiting.atMs <= untilMs) {
      const { atMs, action } = this.#waiting;
      this.#waiting = undefined;
      this.nowMs = Math.max(this.nowMs, atMs);
      action();
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  get idle(): boolean {
    return this.#waiting === undefined;
  }

  #wait(atMs: number, action: () => void) {
    const waiting = { atMs, action };
    this.#waiting = waiting;
    return () => {
      if (this.#waiting === waiting) this.#waiting = undefined;
    };
  }
}

function paced(times: readonly number[], loop: SteppedLoop) {
  const begun: { readonly intendedMs: number; readonly nowMs: number }[] = [];
  const missed: number[] = [];
  const pace = new Pace(
    new ListedSchedule(times),
    {
      nowMs: () => loop.nowMs,
      begin: (intendedMs) => begun.push({ intendedMs, nowMs: loop.nowMs }),
      missed: (intendedMs) => missed.push(intendedMs),
    },
    loop,
  );
  return { pace, begun, missed };
}

test('nothing begins before its time, and everything within a tenth of a millisecond of it', (t) => {
  const loop = new SteppedLoop(0.9);
  const times = [0, 0.05, 7.3, 7.35, 20, 33.3];
  const { pace, begun } = paced(times, loop);
  pace.pump();
  loop.run(100);
  t.deepEqual(
    begun.map(({ intendedMs }) => intendedMs),
    times,
  );
  t.true(begun.every(({ intendedMs, nowMs }) => nowMs >= intendedMs && nowMs - intendedMs < 0.11));
  t.true(loop.idle);
});

test('waiting in turns takes a small part of the time; beyond it timers do, and are late by themselves', (t) => {
  const loop = new SteppedLoop(0.5);
  const times = Array.from({ length: 4_000 }, (_, n) => n * 1.2);
  const { pace, begun } = paced(times, loop);
  pace.pump();
  loop.run(6_000);
  t.is(begun.length, 4_000);
  t.true(loop.turns * 0.1 < 0.25 * 4_800, `${loop.turns} turns`);
  t.true(begun.every(({ intendedMs, nowMs }) => nowMs - intendedMs < 3));
});

test('a backlog is worked off in order, 16 in a turn', (t) => {
  const loop = new SteppedLoop(0);
  const { pace, begun } = paced(
    Array.from({ length: 100 }, (_, n) => n),
    loop,
  );
  loop.nowMs = 99;
  pace.pump();
  t.is(begun.length, 16);
  loop.run(200);
  t.deepEqual(
    begun.map(({ intendedMs }) => intendedMs),
    Array.from({ length: 100 }, (_, n) => n),
  );
});

test('what was due when the run ends and was not begun is told, and nothing begins after', (t) => {
  const loop = new SteppedLoop(0);
  const { pace, begun, missed } = paced(
    Array.from({ length: 50 }, (_, n) => n),
    loop,
  );
  loop.nowMs = 39.5;
  pace.pump();
  pace.stop();
  pace.stop();
  pace.pump();
  loop.run(200);
  t.is(begun.length, 16);
  t.deepEqual([missed.length, missed[0], missed.at(-1)], [24, 16, 39]);
});
