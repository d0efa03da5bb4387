/** The main thread's side of the registrar, with threads that the test plays itself: bounds, batches, losses, replacements. */
import test, { type ExecutionContext } from 'ava';
import {
  RegistrarHost,
  type RegistrarHostDependencies,
  RegistrarStartError,
} from '../../src/gateway/registrar-host.ts';
import type { RegistrarThread } from '../../src/gateway/registrar-thread.ts';
import { decodeAnswer } from '../../src/lp/wire/registration-body.ts';
import type { RegistrationOutcome } from '../../src/registration/registrar.ts';
import {
  type FromRegistrar,
  packAnswers,
  type RegistrarEvent,
  type RegistrarInit,
  type RegistrarSnapshot,
  type ToRegistrar,
} from '../../src/registration/registrar-messages.ts';
import { steppedClock } from '../../src/system/clock.ts';
import { OPTIONS } from '../registration/fixture.ts';
import { SteppedTimers } from './forward/stepped-timers.ts';

const NO_LEASES = { allocated: 0, held: 0, free: 0 };
const SNAPSHOT: RegistrarSnapshot = {
  status: {
    registrations: { dvpn: { active: 7, grace: 0 }, mixnet: { active: 0, grace: 0 } },
    quotes: 0,
    leases: { ipv4: NO_LEASES, ipv6: NO_LEASES },
    queueLength: 0,
    outcomes: [{ op: 'register', outcome: 'completed', count: 7 }],
  },
  stored: { registrations: 7, tokens: 1 },
  alarms: [],
  issuerKeys: 0,
};
const REQUEST = { body: Uint8Array.of(1, 2), source: 's', family: 'f', quotesAllowed: 1 };
const ANSWER: RegistrationOutcome = { kind: 'answer', body: Uint8Array.of(9) };

class FakeThread implements RegistrarThread {
  readonly posted: ToRegistrar[] = [];
  destroyed = false;
  say: (message: FromRegistrar) => void = () => undefined;
  lose: (reason: Error) => void = () => undefined;
  readonly #first: FromRegistrar | Error | undefined;

  /** How it answers `open`; not at all without. */
  constructor(first: FromRegistrar | Error | undefined) {
    this.#first = first;
  }

  post(message: ToRegistrar): void {
    this.posted.push(message);
    const first = this.#first;
    if (message.kind !== 'open' || first === undefined) return;
    queueMicrotask(() => (first instanceof Error ? this.lose(first) : this.say(first)));
  }

  onMessage(received: (message: FromRegistrar) => void): void {
    this.say = received;
  }

  onLost(lost: (reason: Error) => void): void {
    this.lose = lost;
  }

  async destroy(): Promise<void> {
    this.destroyed = true;
  }

  /** Numbers of the requests of each message. */
  get batches(): readonly (readonly number[])[] {
    return this.posted.flatMap((message) =>
      message.kind === 'requests' ? [message.requests.map(({ id }) => id)] : [],
    );
  }

  answer(ids: readonly number[], outcome: RegistrationOutcome = ANSWER): void {
    this.say({ kind: 'answers', ...packAnswers(ids.map((id) => ({ id, outcome }))), snapshot: SNAPSHOT });
  }
}

const OPENED: FromRegistrar = { kind: 'opened', snapshot: SNAPSHOT };
const REFUSED: FromRegistrar = { kind: 'refused', error: { code: 'STORE_IN_USE', message: 'another process has it' } };

function createWorld(
  t: ExecutionContext,
  firsts: readonly (FromRegistrar | Error | undefined)[] = [],
  extra: Partial<RegistrarHostDependencies> = {},
) {
  const threads: FakeThread[] = [];
  const clock = steppedClock();
  const timers = new SteppedTimers();
  const deferred: (() => void)[] = [];
  const events: RegistrarEvent[] = [];
  const losses: { reason: Error; requests: number }[] = [];
  const fatal: Error[] = [];
  const host = new RegistrarHost({
    start: () => {
      const thread = new FakeThread(threads.length in firsts ? firsts[threads.length] : OPENED);
      threads.push(thread);
      return thread;
    },
    init: () => ({ options: OPTIONS }) as unknown as RegistrarInit,
    now: () => clock.now(),
    after: (ms, action) => timers.after(ms, action),
    defer: (action) => deferred.push(action),
    queueLength: 4,
    startTimeoutMs: 10_000,
    onEvent: (event) => events.push(event),
    onLost: (loss) => losses.push(loss),
    onFatal: (error) => fatal.push(error),
    ...extra,
  });
  t.teardown(() => {
    void host.close();
    threads.at(-1)?.say({ kind: 'closed' });
  });
  const endTurn = () => {
    for (const action of deferred.splice(0)) action();
  };
  const turns = async (n = 20) => {
    for (let i = 0; i < n; i++) await Promise.resolve();
  };
  return { host, threads, clock, timers, events, losses, fatal, endTurn, turns };
}

function codeOf(outcome: RegistrationOutcome): unknown {
  if (outcome.kind === 'failure') return outcome.code;
  const answer = decodeAnswer(outcome.body);
  return answer.kind === 'value' && answer.value.status === 'failed'
    ? [answer.value.code, answer.value.retryAfter]
    : answer.kind;
}

test('requests of one turn are one message, and answers find theirs in any order', async (t) => {
  const { host, threads, endTurn } = createWorld(t);
  await host.start();
  const [first, second] = [host.handle(REQUEST), host.handle(REQUEST)];
  endTurn();
  const third = host.handle(REQUEST);
  endTurn();
  t.deepEqual(threads[0]!.batches, [[1, 2], [3]]);
  t.is(host.status().queueLength, 3);
  const other: RegistrationOutcome = { kind: 'failure', code: 1, text: 'x' };
  threads[0]!.answer([3], other);
  threads[0]!.answer([2, 1]);
  t.deepEqual([await first, await second, await third], [ANSWER, ANSWER, other]);
  t.like(host.status(), { queueLength: 0, running: true, epoch: 0, registrations: { dvpn: { active: 7 } } });
});

test('what comes beyond the bound is told to try later at once, and counted', async (t) => {
  const { host, threads, endTurn } = createWorld(t);
  await host.start();
  const taken = Array.from({ length: 4 }, () => host.handle(REQUEST));
  t.deepEqual(codeOf(await host.handle(REQUEST)), ['try_later', 1]);
  endTurn();
  threads[0]!.answer([1]);
  await taken[0];
  void host.handle(REQUEST);
  t.deepEqual(codeOf(await host.handle(REQUEST)), ['try_later', 1]);
  const { shedRequests, outcomes } = host.status();
  t.is(shedRequests, 2);
  t.deepEqual(outcomes.at(-1), { op: 'unknown', outcome: 'try_later', count: 2 });
});

test('a thread that ends answers all that it owes with try_later, and a fresh one takes over', async (t) => {
  const { host, threads, endTurn, losses, turns } = createWorld(t);
  host.setIssuerKeys([{ spki: Uint8Array.of(5) }]);
  await host.start();
  const owed = [host.handle(REQUEST), host.handle(REQUEST)];
  endTurn();
  const gathered = host.handle(REQUEST);
  const swept = host.sweep();
  threads[0]!.lose(new Error('gone'));
  const meanwhile = host.handle(REQUEST);
  for (const outcome of await Promise.all([...owed, gathered, meanwhile])) {
    t.deepEqual(codeOf(outcome), ['try_later', 5]);
  }
  await swept;
  await turns();
  t.true(threads[0]!.destroyed);
  t.like(host.status(), { running: true, epoch: 1, lostRequests: 3, shedRequests: 1, queueLength: 0 });
  t.is(losses.length, 1);
  t.like(losses[0], { requests: 3, reason: { message: 'gone' } });
  endTurn();
  // Leases and peers are taken over at once, not with the next tick.
  t.deepEqual(
    threads[1]!.posted.map(({ kind }) => kind),
    ['open', 'sweep'],
  );
  const next = host.handle(REQUEST);
  endTurn();
  // Late answers of the lost one reach nobody: numbers are not used twice.
  threads[1]!.answer([1]);
  t.is(host.status().queueLength, 1);
  threads[1]!.answer([4]);
  t.deepEqual(await next, ANSWER);
});

test('five losses within a minute are replaced, the sixth ends the gateway', async (t) => {
  const { host, threads, fatal, turns, clock } = createWorld(t);
  await host.start();
  for (let loss = 1; loss <= 5; loss++) {
    threads.at(-1)!.lose(new Error('again'));
    await turns();
    t.is(host.status().epoch, loss);
    clock.advance(1_000);
  }
  t.deepEqual(fatal, []);
  threads.at(-1)!.lose(new Error('again'));
  await turns();
  t.regex(fatal[0]?.message ?? '', /too often/);
});

test('losses that are far apart are all replaced', async (t) => {
  const { host, threads, fatal, turns, clock } = createWorld(t);
  await host.start();
  for (let loss = 1; loss <= 8; loss++) {
    threads.at(-1)!.lose(new Error('again'));
    await turns();
    clock.advance(15_000);
  }
  t.deepEqual([host.status().epoch, fatal], [8, []]);
});

test('a thread that gives no sign of life for half a minute is given up', async (t) => {
  const { host, threads, losses, clock, turns } = createWorld(t);
  await host.start();
  host.tick();
  threads[0]!.say({ kind: 'snapshot', snapshot: SNAPSHOT });
  clock.advance(60_000);
  host.tick();
  for (let second = 1; second <= 30; second++) {
    clock.advance(1_000);
    host.tick();
  }
  t.is(losses.length, 0);
  clock.advance(1);
  host.tick();
  t.regex(losses[0]!.reason.message, /no sign of life/);
  await turns();
  t.like(host.status(), { running: true, epoch: 1 });
});

test('a start that is refused has the code of the reason; one that fails or never answers has its own', async (t) => {
  const refused = createWorld(t, [REFUSED]);
  const error = await t.throwsAsync(refused.host.start(), { instanceOf: RegistrarStartError, code: 'STORE_IN_USE' });
  t.is(error.message, 'another process has it');
  t.true(refused.threads[0]!.destroyed);

  const failed = createWorld(t, [new Error('no module')]);
  await t.throwsAsync(failed.host.start(), {
    code: 'REGISTRAR_START_FAILED',
    message: 'the registrar did not start: no module',
  });
  const silent = createWorld(t, [undefined]);
  const started = silent.host.start();
  silent.timers.advance(10_000);
  await t.throwsAsync(started, { message: /no answer from its thread/ });
});

test('a store that cannot be opened again is tried every 5 s, with one alarm, until it can', async (t) => {
  const { host, threads, timers, turns, events, fatal } = createWorld(t, [OPENED, REFUSED, REFUSED, REFUSED, OPENED]);
  await host.start();
  threads[0]!.lose(new Error('gone'));
  await turns();
  t.like(host.status(), { running: false, alarms: [{ part: 'store', code: 'STORE_IN_USE' }] });
  t.deepEqual(codeOf(await host.handle(REQUEST)), ['try_later', 5]);
  for (let tries = 2; tries <= 4; tries++) {
    timers.advance(5_000);
    await turns();
    t.is(threads.length, tries + 1);
  }
  t.like(host.status(), { running: true, alarms: [] });
  t.deepEqual(
    events.map(({ kind }) => kind),
    ['alarm', 'recovered'],
  );
  t.deepEqual(fatal, []);
});

test('closing finishes what waits, refuses the rest, and gives up a thread that does not end', async (t) => {
  const { host, threads, endTurn, timers, turns } = createWorld(t);
  await host.start();
  const waiting = host.handle(REQUEST);
  const closed = host.close();
  endTurn();
  t.deepEqual(
    threads[0]!.posted.map(({ kind }) => kind),
    ['open', 'requests', 'close'],
  );
  t.is(codeOf(await host.handle(REQUEST)), 4);
  threads[0]!.answer([1]);
  t.deepEqual(await waiting, ANSWER);
  threads[0]!.say({ kind: 'closed' });
  await closed;
  t.true(threads[0]!.destroyed);

  const stuck = createWorld(t);
  await stuck.host.start();
  const owed = stuck.host.handle(REQUEST);
  const end = stuck.host.close();
  stuck.timers.advance(10_000);
  await end;
  t.deepEqual(codeOf(await owed), ['try_later', 5]);
  await turns();
  t.is(timers.pending, 0);
});

test('closing during a start ends the start', async (t) => {
  const { host, threads, timers } = createWorld(t, [undefined]);
  const started = host.start();
  const closed = host.close();
  await t.throwsAsync(started, { code: 'REGISTRAR_START_FAILED' });
  await closed;
  t.true(threads[0]!.destroyed);
  t.is(timers.pending, 0);
});
