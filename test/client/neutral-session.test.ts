/** What the client's drivers do with whatever a protocol version says: turns, local answers, ends that mean something. */
import test from 'ava';
import { aborted } from '../../src/client/errors.ts';
import { encodeFailure, encodeFrame, FAILURE_CODE, KIND } from '../../src/lp/wire/application-frame.ts';
import { type Asked, FakeWorld, HELLO, KK1, LAST, outcome, READY, TRAITS } from '../support/fake-version.ts';

async function opened(changes: ConstructorParameters<typeof FakeWorld>[0] = {}): Promise<FakeWorld> {
  const world = new FakeWorld(changes);
  await world.open();
  return world;
}

const outcomes = (asked: readonly Asked[]) => asked.map(outcome);

test('a request that has to come later leaves when the one under way is answered, in order', async (t) => {
  const world = await opened();
  const asked = [world.ask(), world.ask(), world.ask()];
  const { transport } = world;
  for (const [i, { id }] of asked.entries()) {
    t.deepEqual(
      transport.requests,
      asked.slice(0, i + 1).map((each) => each.id),
    );
    transport.answer(id, Uint8Array.of(i));
  }
  t.deepEqual(outcomes(asked), ['answer 0', 'answer 1', 'answer 2']);
  // Settled requests are not given up.
  t.deepEqual(world.session.abandoned, []);
});

test('a request that has to come later has its whole time from its leaving', async (t) => {
  const world = await opened();
  const [first, second] = [world.ask(10_000), world.ask(10_000)];
  world.time.advance(9_000);
  world.transport.answer(first!.id);
  world.time.advance(9_000);
  t.is(outcome(second!), 'waits');
  world.time.advance(1_000);
  t.is(outcome(second!), 'timeout');
});

for (const [how, end] of [
  ['fails', (world: FakeWorld, id: number) => world.transport.fail(id, false)],
  ['times out', (world: FakeWorld) => world.time.advance(10_000)],
  [
    'is cancelled',
    (world: FakeWorld, id: number) => world.link.cancel(id, aborted('direct', 'forward', AbortSignal.abort())),
  ],
] as const) {
  test(`the next request leaves when the one under way ${how}, and the session is told`, async (t) => {
    const world = await opened();
    const [first, second] = [world.ask(), world.ask()];
    end(world, first!.id);
    t.not(outcome(first!), 'waits');
    t.deepEqual(world.session.abandoned, [first!.id]);
    t.deepEqual(world.transport.requests, [first!.id, second!.id]);
    t.is(world.transports.length, 1);
  });
}

test('a request that waits for its turn is cancelled without a word to the session', async (t) => {
  const world = await opened();
  const [first, second] = [world.ask(), world.ask()];
  world.link.cancel(second!.id, aborted('direct', 'forward', AbortSignal.abort()));
  t.is(outcome(second!), 'aborted');
  t.deepEqual(world.session.abandoned, []);
  world.transport.answer(first!.id);
  t.deepEqual(world.transport.requests, [first!.id]);
});

test('what the version answers by itself is settled at once, and nothing is sent', async (t) => {
  const world = await opened();
  const frame = encodeFrame(KIND.failure, 1, encodeFailure({ code: FAILURE_CODE.notOffered, text: '' }));
  world.session.instead = { kind: 'answered', frame };
  const asked = world.ask();
  t.like(asked.result, { kind: 'error', error: { code: 'refused', reason: 'not_offered' } });
  t.is(asked.id, 0);
  t.deepEqual(world.transport.requests, []);
  t.is(world.link.inFlight, 0);
});

test('where an abandoned request spoils the connection, the next one leaves on another', async (t) => {
  const world = await opened();
  world.session.mustLeaveConnection = true;
  const [first, second] = [world.ask(), world.ask()];
  const before = world.transport;
  world.time.advance(10_000);
  t.is(outcome(first!), 'timeout');
  t.true(before.gone);
  await world.settled();
  t.is(world.transports.length, 2);
  t.deepEqual(world.transport.requests, [second!.id]);
  world.transport.answer(second!.id);
  t.is(outcome(second!), 'answer 1');
  t.is(world.sessions.length, 1);
});

test('without a request that waits, a spoilt connection is not replaced before one comes', async (t) => {
  const world = await opened();
  world.session.mustLeaveConnection = true;
  const first = world.ask();
  world.link.cancel(first.id, aborted('direct', 'forward', AbortSignal.abort()));
  await world.settled();
  t.is(world.transports.length, 1);
  const second = world.ask();
  await world.settled();
  t.is(world.transports.length, 2);
  t.deepEqual(world.transport.requests, [second.id]);
});

test('the end of a connection is the answer where the version says so', async (t) => {
  const world = await opened();
  world.session.meaning = Uint8Array.of(255);
  const [first, second] = [world.ask(), world.ask()];
  world.transport.fail(first!.id, true);
  t.is(outcome(first!), 'answer 255');
  t.deepEqual(world.session.asked, [first!.id]);
  t.deepEqual(world.session.abandoned, [first!.id]);
  t.deepEqual(world.transport.requests, [first!.id, second!.id]);
});

test('a failure that is no end of a connection means nothing to the version', async (t) => {
  const world = await opened();
  world.session.meaning = Uint8Array.of(255);
  const asked = world.ask();
  world.transport.fail(asked.id, false);
  t.is(outcome(asked), 'connection_lost');
  t.deepEqual(world.session.asked, []);
  t.deepEqual(world.session.abandoned, [asked.id]);
});

test('the end of a kept connection is asked for, too, and what waits leaves on the next one', async (t) => {
  const world = await opened();
  world.session.meaning = Uint8Array.of(255);
  const [first, second] = [world.ask(), world.ask()];
  world.transport.end();
  t.is(outcome(first!), 'answer 255');
  await world.settled();
  t.deepEqual(world.transport.requests, [second!.id]);
});

test('a request whose connection ended without a meaning fails where nothing may be repeated', async (t) => {
  const world = await opened();
  const asked = world.ask();
  world.transport.end();
  t.is(outcome(asked), 'connection_lost');
  t.deepEqual(world.session.abandoned, [0, asked.id]);
});

test('after two ends without an answer there is a new session, and what has not left goes there', async (t) => {
  const world = await opened();
  const asked = [world.ask(), world.ask(), world.ask()];
  for (const { id } of asked.slice(0, 2)) world.transport.fail(id, true);
  t.deepEqual(outcomes(asked), ['connection_lost', 'connection_lost', 'waits']);
  t.deepEqual(world.events, ['opened', 'lost']);
  t.true(world.sessions[0]!.wiped);
  await world.confirm();
  t.deepEqual(world.transport.requests, [asked[2]!.id]);
  world.transport.answer(asked[2]!.id);
  t.is(outcome(asked[2]!), 'answer 1');
});

test('ends without an answer count only where a connection carries one packet', async (t) => {
  const version = { number: 2, traits: { ...TRAITS, onePacketPerConnection: false } } as const;
  const world: FakeWorld = new FakeWorld();
  const other = new FakeWorld({ version: { ...version, createHandshake: () => other.handshake() } });
  await Promise.all([world.open(), other.open()]);
  for (const each of [world, other]) for (let i = 0; i < 2; i++) each.transport.fail(each.ask().id, true);
  t.deepEqual(world.events, ['opened', 'lost']);
  t.deepEqual(other.events, ['opened']);
});

test('a session that is spent is followed by another, which gets the request', async (t) => {
  const world = await opened();
  world.session.instead = { kind: 'spent' };
  const asked = world.ask();
  t.is(outcome(asked), 'waits');
  t.deepEqual(world.events, ['opened', 'lost']);
  await world.confirm();
  t.deepEqual(world.transport.requests, [asked.id]);
});

test('a request that finds the next session spent, too, fails', async (t) => {
  const world = await opened();
  world.onSession = (session) => {
    session.instead = { kind: 'spent' };
  };
  world.session.instead = { kind: 'spent' };
  const asked = world.ask();
  await world.confirm();
  t.is(outcome(asked), 'session_lost');
  await world.settled();
  t.is(world.sessions.length, 2);
});

test('several packets of one request are one exchange with one reply', async (t) => {
  const world = await opened();
  world.session.before = [READY];
  const { id } = world.ask();
  const { packets, exchange } = world.transport.sent.at(-1)!;
  t.is(packets[0], READY);
  t.is(packets.length, 2);
  t.like(exchange, { replies: 1, lane: id, repeat: false, idempotent: false });
});

test('what comes next of an exchange leaves in its lane', async (t) => {
  const world = await opened();
  const { id } = world.ask();
  const next = Uint8Array.of(9);
  world.session.next = { kind: 'send', packets: [next], requestId: id, replies: 1 };
  world.transport.reply(Uint8Array.of(0));
  const { packets, exchange } = world.transport.sent.at(-1)!;
  t.deepEqual(packets, [next]);
  t.like(exchange, { replies: 1, lane: id });
});

test('a rekeying sends what makes the new session known before anything that waits', async (t) => {
  const world = await opened();
  const rekeyed = world.link.rekey(undefined);
  await world.settled();
  t.like(world.transport.sent.at(-1), { packets: [KK1], exchange: { replies: 1, lane: 0 } });
  const blocked = { kind: 'later' } as const;
  world.session.instead = blocked;
  const asked = world.ask();
  world.session.instead = undefined;
  world.session.rekeying = false;
  world.session.next = { kind: 'rekeyed', packets: [READY], replies: 0 };
  world.transport.reply(Uint8Array.of(0));
  await rekeyed;
  const [ready, request] = world.transport.sent.slice(-2);
  t.like(ready, { packets: [READY], exchange: { replies: 0, lane: 0 } });
  t.is(request!.exchange.lane, asked.id);
  t.deepEqual(world.events, ['opened', 'rekeyed']);
});

test('a rekeying whose connection ends without an answer fails at once, and the session goes on', async (t) => {
  const world = await opened();
  const rekeyed = world.link.rekey(undefined);
  await world.settled();
  world.transport.fail(0, true);
  await t.throwsAsync(rekeyed, { message: /no answer to the rekeying/ });
  t.deepEqual(world.session.asked, [0]);
  const asked = world.ask();
  world.transport.answer(asked.id);
  t.is(outcome(asked), 'answer 1');
});

test('a version without a KEM exchange refuses to be asked for one', async (t) => {
  const world = await opened();
  world.session.refusal = 'kem_not_offered';
  const error = await t.throwsAsync(world.link.rekey(true));
  t.like(error, { code: 'rekey_refused', reason: 'kem_not_offered' });
  t.regex(error!.message, /LP1/);
});

test('a handshake without KEM keys has one step, and no key is looked for', async (t) => {
  const world = await opened();
  t.deepEqual(world.steps, ['connect', 'handshake']);
  t.deepEqual(
    world.transport.sent.map(({ packets, exchange }) => [packets[0], exchange.idempotent]),
    [
      [HELLO, false],
      [LAST, false],
    ],
  );
});

for (const [how, end] of [
  ['an exchange', (world: FakeWorld) => world.transport.fail(0, true)],
  ['the connection', (world: FakeWorld) => world.transport.end()],
] as const) {
  test(`the end of ${how} after the last message may be its confirmation`, async (t) => {
    const world = new FakeWorld();
    world.confirmsByEnding = true;
    const asked = world.ask();
    await world.settled();
    world.transport.reply(Uint8Array.of(2));
    end(world);
    await world.settled();
    t.deepEqual(world.events, ['opened']);
    t.is(world.transports.length, how === 'an exchange' ? 1 : 2);
    t.true(world.transport.requests.includes(asked.id));
  });
}

test('the end of a connection that confirms nothing is a lost attempt', async (t) => {
  const world = new FakeWorld();
  world.confirmsByEnding = true;
  const opening = t.throwsAsync(world.link.open());
  // Before the last message, and then a last message that never left.
  await world.settled();
  world.transport.fail(0, true);
  await world.time.drive(world.settled());
  world.time.advance(1_000);
  await world.settled();
  world.transport.reply(Uint8Array.of(2));
  world.transport.fail(0, false);
  t.like(await opening, { code: 'connection_lost' });
  t.is(world.transports.length, 2);
  t.deepEqual(world.events, []);
  t.true(world.transports.every(({ gone }) => gone));
});

test('closing wipes the session, and leaves neither connection nor timer', async (t) => {
  const world = await opened();
  const asked = [world.ask(), world.ask()];
  const error = aborted('direct', 'forward', AbortSignal.abort());
  await world.link.close(error);
  t.deepEqual(outcomes(asked), ['aborted', 'aborted']);
  t.true(world.session.wiped && world.transport.gone);
  t.is(world.time.pending, 0);
});
