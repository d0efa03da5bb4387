import test from 'ava';
import { encodeClaim, worthlessZkNym } from '../../../src/lp/nym/bandwidth-claim.ts';
import { encodeNymForward, type NymForwardTarget } from '../../../src/lp/nym/forward.ts';
import {
  decodeNymResponse,
  encodeNymRequest,
  NYM_FAILURE_TEXT,
  type NymRegistrationResponse,
} from '../../../src/lp/nym/registration.ts';
import { type Gateway, gateway, later, NOW, packetOf, randomBytes } from './pair.ts';

const TIME = BigInt(NOW.unixMs / 1_000);
const initialAt = (time: bigint) =>
  encodeNymRequest({ kind: 'initial', wgPublicKey: randomBytes(32), presharedKey: randomBytes(32), time });
const INITIAL = initialAt(TIME);
const CLAIM = { bytes: encodeClaim('zk_nym', worthlessZkNym(), 2)! };
const FINALISE = encodeNymRequest({ kind: 'finalise', claim: CLAIM, time: TIME });
const TARGET: NymForwardTarget = { family: 4, ip: Uint8Array.of(192, 0, 2, 7), port: 41_264 };
const forward = (bytes: Uint8Array, target = TARGET, replyLength = 0) =>
  encodeNymForward({ target, replyLength, bytes });
const REQUIRED = { kind: 'registration', response: { kind: 'credential_required' } } as const;

function send(g: Gateway, kind: 'registration' | 'forward', content: Uint8Array, now = NOW): void {
  g.session.receive(packetOf(g.client.send(kind, content)), now, g.effects);
}

/** What the client reads of everything that was written. */
function answers(g: Gateway): NymRegistrationResponse[] {
  return g.written.splice(0).map((wire) => {
    const received = g.client.receive(wire.slice(4));
    if (received.kind !== 'answer') throw new Error(received.reason);
    return decodeNymResponse(received.content)!;
  });
}

test('Initial and Finalise leave as requests, and their outcomes come back as frames', (t) => {
  const g = gateway();
  send(g, 'registration', INITIAL);
  t.true(g.session.busy);
  g.session.answer(REQUIRED, NOW, g.effects);
  t.false(g.session.busy);
  send(g, 'registration', FINALISE);
  const response = { kind: 'failed', mode: 'dvpn', text: NYM_FAILURE_TEXT.notInProgress } as const;
  g.session.answer({ kind: 'registration', response }, NOW, g.effects);
  t.deepEqual(
    g.asked.map((request) => request.kind === 'registration' && request.request.kind),
    ['initial', 'finalise'],
  );
  t.deepEqual(answers(g), [{ kind: 'credential_required' }, response]);
  t.deepEqual(g.closed, []);
});

test('a time that is off, a mixnet registration or a node without tunnels is answered here, in this order', (t) => {
  const text = (g: Gateway) => answers(g).map((answer) => answer.kind === 'failed' && [answer.mode, answer.text]);
  const g = gateway();
  for (const time of [TIME - 31n, TIME + 31n, 0n, 2n ** 63n, 2n ** 64n - 1n]) {
    send(g, 'registration', initialAt(time));
    t.deepEqual(text(g), [['dvpn', NYM_FAILURE_TEXT.timestamp]]);
  }
  const mixnet = (time: bigint) => encodeNymRequest({ kind: 'mixnet', clientId: randomBytes(32), time });
  send(g, 'registration', mixnet(0n));
  t.deepEqual(text(g), [['mixnet', NYM_FAILURE_TEXT.timestamp]]);
  send(g, 'registration', mixnet(TIME));
  t.deepEqual(text(g), [['mixnet', NYM_FAILURE_TEXT.mixnet]]);
  const without = gateway({ dvpn: false });
  send(without, 'registration', INITIAL);
  t.deepEqual(text(without), [['dvpn', NYM_FAILURE_TEXT.noDvpn]]);
  const full = gateway({ places: 0 });
  send(full, 'registration', INITIAL);
  t.deepEqual(text(full), [['dvpn', NYM_FAILURE_TEXT.tryLater]]);
  t.deepEqual([...g.closed, ...without.closed, ...full.closed], []);
  t.is(g.asked.length, 0);
});

test('requests that are sent ahead are served one after the other, and answered in order', (t) => {
  const g = gateway();
  const inner = [randomBytes(91), randomBytes(1247)];
  send(g, 'forward', forward(inner[0]!, TARGET, 1207));
  send(g, 'forward', forward(inner[1]!, TARGET, 70));
  send(g, 'registration', INITIAL);
  t.is(g.asked.length, 1);
  g.session.answer({ kind: 'forward', bytes: randomBytes(1207) }, NOW, g.effects);
  t.is(g.asked.length, 2);
  g.session.answer({ kind: 'forward', bytes: randomBytes(70) }, NOW, g.effects);
  g.session.answer(REQUIRED, NOW, g.effects);
  t.deepEqual(
    g.asked.map((request) => (request.kind === 'forward' ? request.forward.bytes.length : request.kind)),
    [91, 1247, 'registration'],
  );
  const read = g.written.map((wire) => g.client.receive(wire.slice(4)));
  t.deepEqual(
    read.map((received) => received.kind === 'answer' && [received.id, received.content.length]),
    [
      [1, 1207],
      [2, 70],
      [3, 3],
    ],
  );
});

test('what needs no waiting is answered in its turn, too', (t) => {
  const g = gateway();
  send(g, 'forward', forward(randomBytes(9)));
  send(g, 'registration', initialAt(0n));
  send(g, 'registration', initialAt(0n));
  t.is(g.written.length, 0);
  g.session.answer({ kind: 'forward', bytes: randomBytes(3) }, NOW, g.effects);
  t.is(g.written.length, 3);
  t.false(g.session.busy);
});

test('more than is held ahead ends the session', (t) => {
  const g = gateway();
  for (let i = 0; i < 9; i++) send(g, 'registration', INITIAL);
  t.deepEqual(g.closed, []);
  send(g, 'registration', INITIAL);
  t.deepEqual(g.closed, ['too_many_frames']);
  const large = gateway();
  for (let i = 0; i < 3; i++) send(large, 'forward', forward(new Uint8Array(65_000)));
  t.deepEqual(large.closed, []);
  send(large, 'forward', forward(new Uint8Array(65_000)));
  t.deepEqual(large.closed, ['too_many_frames']);
});

test('a frame of another kind, or a body that does not decode, ends the session without an answer', (t) => {
  for (const [kind, content, reason] of [
    [0, INITIAL, 'frame_not_accepted'],
    [3, INITIAL, 'frame_not_accepted'],
    [1, INITIAL.subarray(1), 'registration_body'],
    [2, forward(randomBytes(4)).subarray(1), 'forward_body'],
  ] as const) {
    const g = gateway();
    const channel = (g.client as unknown as { channel: { seal(kind: number, content: Uint8Array): Uint8Array } })
      .channel;
    g.session.receive(channel.seal(kind, content).slice(4), NOW, g.effects);
    t.deepEqual(g.closed, [reason]);
    t.is(g.written.length, 0);
  }
});

test('a packet that does not open ends the session, and nothing follows', (t) => {
  const g = gateway();
  const packet = packetOf(g.client.send('registration', INITIAL));
  g.session.receive(packet.with(40, packet[40]! ^ 1), NOW, g.effects);
  g.session.receive(packet, NOW, g.effects);
  g.session.answer(REQUIRED, NOW, g.effects);
  t.deepEqual(g.closed, ['tag']);
  t.is(g.asked.length + g.written.length, 0);
});

test('a connection forwards to one target; another one, a full forwarder or a failed forward ends it', (t) => {
  for (const other of [
    { ...TARGET, port: 1 },
    { ...TARGET, ip: Uint8Array.of(192, 0, 2, 8) },
    { family: 6, ip: new Uint8Array(16), port: TARGET.port } as const,
  ]) {
    const g = gateway();
    send(g, 'forward', forward(randomBytes(9)));
    g.session.answer({ kind: 'forward', bytes: randomBytes(3) }, NOW, g.effects);
    send(g, 'forward', forward(randomBytes(9)));
    g.session.answer({ kind: 'forward', bytes: randomBytes(3) }, NOW, g.effects);
    send(g, 'forward', forward(randomBytes(9), other));
    t.deepEqual(g.closed, ['other_target']);
  }
  const full = gateway({ places: 0 });
  send(full, 'forward', forward(randomBytes(9)));
  t.deepEqual(full.closed, ['forward_failed']);
  for (const answer of [
    { kind: 'forward_failed' },
    REQUIRED,
    { kind: 'forward', bytes: new Uint8Array(65_477) },
  ] as const) {
    const g = gateway();
    send(g, 'forward', forward(randomBytes(9)));
    g.session.answer(answer, NOW, g.effects);
    t.deepEqual(g.closed, ['forward_failed']);
  }
});

test("an answer that nobody asked for is nobody's", (t) => {
  const g = gateway();
  g.session.answer(REQUIRED, NOW, g.effects);
  t.is(g.written.length, 0);
  send(g, 'registration', INITIAL);
  g.session.answer(REQUIRED, NOW, g.effects);
  g.session.answer(REQUIRED, NOW, g.effects);
  t.is(g.written.length, 1);
});

test('a request that is served before the call returns is served once', (t) => {
  const g = gateway();
  const effects = {
    ...g.effects,
    request: () => {
      g.session.answer(REQUIRED, NOW, g.effects);
      return true;
    },
  };
  g.session.receive(packetOf(g.client.send('registration', INITIAL)), NOW, effects);
  t.is(answers(g).length, 1);
  t.false(g.session.busy);
});

test('a session ends unused, idle or at its age; what is being served keeps an idle one', (t) => {
  const lifetimes = { unusedMs: 100, idleMs: 1_000, maxMs: 5_000 };
  const at = (ms: number) => NOW.monotonicMs + ms;
  const unused = gateway({ lifetimes });
  t.false(unused.session.expired(at(99)));
  t.true(unused.session.expired(at(100)));
  const used = gateway({ lifetimes });
  send(used, 'registration', initialAt(0n), later(90));
  t.false(used.session.expired(at(1_089)));
  t.true(used.session.expired(at(1_090)));
  send(used, 'registration', INITIAL, later(1_090));
  t.deepEqual(used.closed, ['over']);
  const serving = gateway({ lifetimes });
  send(serving, 'registration', INITIAL, later(50));
  t.false(serving.session.expired(at(4_999)));
  t.true(serving.session.expired(at(5_000)));
});

test('a client whose node answers unasked, with another kind, or a second time gives the session up', (t) => {
  for (const content of ['unasked', 'kind', 'twice'] as const) {
    const g = gateway();
    if (content !== 'unasked')
      send(g, content === 'kind' ? 'forward' : 'registration', content === 'kind' ? forward(randomBytes(9)) : INITIAL);
    const channel = (g.session as unknown as { channel: { seal(kind: number, content: Uint8Array): Uint8Array } })
      .channel;
    const frame = () => channel.seal(1, Uint8Array.of(2, 0, 0)).slice(4);
    if (content === 'twice') t.is(g.client.receive(frame()).kind, 'answer');
    t.deepEqual(g.client.receive(frame()), { kind: 'failed', reason: 'unexpected' });
    t.deepEqual(g.client.receive(frame()), { kind: 'failed', reason: 'over' });
    t.deepEqual(g.client.send('registration', INITIAL), { kind: 'refuse', reason: 'over' });
  }
});

test('a client asks no more at once than it can match', (t) => {
  const g = gateway();
  for (let i = 0; i < 16; i++) t.is(g.client.send('registration', INITIAL).kind, 'packet');
  t.is(g.client.outstanding, 16);
  t.deepEqual(g.client.send('registration', INITIAL), { kind: 'refuse', reason: 'too_many' });
});
