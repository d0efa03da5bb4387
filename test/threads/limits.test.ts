/**
 * Limits on handshakes (lp2.md §4.5), each while live clients work. The limits of §4.5 and where each is tested under load:
 *
 * | limit | test |
 * |---|---|
 * | token bucket per IPv4 address | here: *a source has its burst of H1 and then its rate, read or not …* |
 * | … per IPv6 /64 | here: *addresses of one IPv6 /64 share a bucket …* |
 * | listed gateways by their own limit | here: *a listed network has its own bucket as one source …* |
 * | each new H1 takes a token, a repeat none | here: *… read or not …*, *twenty repeats of an H1 take one token …* |
 * | bound on queued handshake work | back-pressure: *a full mailbox sheds new handshakes with Busy …*; here: *a flood of one source …* |
 * | live sessions' packets go first | here: *an echo overtakes the handshakes that wait* |
 * | records per source | here: *a source has as many records as its bound …* |
 * | records per node, the oldest without an H1 makes room | here: *at the node's bound of records …* |
 * | unknown index skipped unbuffered | limits-connections: *frames for an unknown index …* |
 * | index 0 → 134, handshake index ≤ 2,048, counter 0–2 | limits-connections: *headers that break the rules …* |
 * | frame complete 10 s after its first byte | limits-connections: *a frame has 10 s …* |
 * | connection without a valid packet: 30 s | limits-connections: *a connection that proves nothing …* |
 * | only others since the last valid one: 30 s | limits-connections: *… forged packets …* |
 * | silence: 300 s | limits-connections: *silence …* |
 * | sessions per source address, by the H1 | limits-sessions: *a source has as many sessions as its bound …* |
 * | sessions per node | limits-sessions: *beyond the node's bound of sessions …* |
 * | a listed gateway's sessions by its own limit | limits-sessions: *a listed network has its own bound of sessions* |
 * | a family counts once | limits-sessions: *a family that rekeys again and again counts once* |
 * | an unused session lives 5 min | limits-sessions: *a session that opened no packet of its own …* |
 *
 * Each to its number and to the byte: test/gateway/{admission,acceptor,connection,mailbox,handshake-lane}, test/shard/{records,admission,lifetimes}.
 */
import test from 'ava';
import type { Mailbox } from '../../src/gateway/mailbox.ts';
import { FrameCutter } from '../../src/lp/wire/framing.ts';
import { receiverIndex, TYPE, typeOf } from '../../src/lp/wire/packet.ts';
import type { RawClient } from '../support/raw-client.ts';
import { until } from '../support/test-gateway.ts';
import { held, makeGate, open, shut } from './fixtures/gate.ts';
import { attempt, spoofAddresses, startLoaded } from './fixtures/loaded-gateway.ts';

const GATED = new URL('./fixtures/gated.ts', import.meta.url);
const BURST = 3;
const RATES = [`limits.handshake_burst=${BURST}`, 'limits.handshakes_per_address=0.5'];

function waitsIn(mailbox: Mailbox, source: number): boolean {
  const inside = mailbox as unknown as { handshakes: { lines: Map<number, unknown> } };
  return inside.handshakes.lines.has(source);
}

/** Types of the unsealed packets that come in, for handshakes that a test drives itself. */
function typesOf(client: RawClient, seen: (packet: Uint8Array) => void = () => undefined): number[] {
  const types: number[] = [];
  const packet = (bytes: Uint8Array) => {
    types.push(typeOf(bytes));
    seen(bytes.slice());
  };
  const cutter = new FrameCutter({ admit: () => true, packet }, 'be16');
  client.socket.on('data', (chunk: Buffer) => cutter.push(chunk));
  return types;
}

test.serial('a source has its burst of H1 and then its rate, read or not, and others have theirs', async (t) => {
  const made = await startLoaded(t, { set: RATES });
  const noise = await made.from('127.0.30.1');
  for (let i = 1; i < BURST; i++) {
    const { hello, unreadable } = made.handshake();
    noise.send([hello, unreadable]);
  }
  await until(() => noise.strays === BURST - 1, 'the hellos are acknowledged');
  await made.untilDropped('handshake_failed', BURST - 1);
  t.is(await attempt(await made.from('127.0.30.1')), 'session');
  const refused = await made.from('127.0.30.1');
  t.is(await attempt(refused), 'busy');
  t.deepEqual(refused.hints, [{ kind: 'busy', retryAfterS: 2 }]);
  t.is(await attempt(await made.from('127.0.30.2')), 'session');
  await made.pass(2_000);
  t.is(await attempt(await made.from('127.0.30.1')), 'session');
  t.is(await attempt(await made.from('127.0.30.1')), 'busy');
  await made.assertUntouched();
});

test.serial('addresses of one IPv6 /64 share a bucket, those of the next have their own', async (t) => {
  const made = await startLoaded(t, { set: RATES });
  const from = spoofAddresses(made);
  for (let i = 0; i < BURST; i++) t.is(await attempt(await from(`2001:db8:0:1:${i}::9`)), 'session');
  t.is(await attempt(await from('2001:db8:0:1:ffff::1')), 'busy');
  t.is(await attempt(await from('2001:db8:0:2::1')), 'session');
  await made.assertUntouched();
});

test.serial('a listed network has its own bucket as one source, and leaves the others theirs', async (t) => {
  const listed =
    'limits.listed=[{cidr="127.0.31.0/24", handshakes_per_second=0.25, burst=5, sessions=100, quotes=3, records=50}]';
  const made = await startLoaded(t, { set: [...RATES, listed] });
  for (let i = 0; i < 5; i++) t.is(await attempt(await made.from(`127.0.31.${i + 1}`)), 'session');
  const sixth = await made.from('127.0.31.200');
  t.is(await attempt(sixth), 'busy');
  t.deepEqual(sixth.hints, [{ kind: 'busy', retryAfterS: 4 }]);
  t.is(await attempt(await made.from('127.0.32.1')), 'session');
  await made.assertUntouched();
});

test.serial('twenty repeats of an H1 take one token, and get the same H2', async (t) => {
  const made = await startLoaded(t, { set: ['limits.handshake_burst=2', 'limits.handshakes_per_address=0.5'] });
  const { hello, h1 } = made.handshake();
  const client = await made.from('127.0.33.1');
  const replies = new Set<string>();
  const types = typesOf(client, (packet) => replies.add(Buffer.from(packet).toString('hex')));
  client.send([hello, h1]);
  await until(() => types.length === 2, 'Ack and H2');
  for (let i = 0; i < 20; i++) {
    client.send([hello, h1]);
    await until(() => types.length === 4 + 2 * i, 'Ack and H2 again');
  }
  t.deepEqual(new Set(types), new Set([TYPE.ack, TYPE.handshake]));
  t.is(replies.size, 2);
  t.is(await attempt(await made.from('127.0.33.1')), 'session');
  t.is(await attempt(await made.from('127.0.33.1')), 'busy');
  await made.assertUntouched();
});

test.serial(
  'a flood of one source fills its own part of the queue: it is told Busy, and a newcomer gets in at once',
  async (t) => {
    const gate = makeGate();
    const made = await startLoaded(t, {
      entry: GATED,
      extra: { gate },
      set: ['gateway.shards=1', 'limits.queued_handshakes=20', 'limits.handshake_burst=100'],
    });
    t.teardown(() => open(gate));
    const { mailbox } = made.gateway.hosts[0]!;
    const flood = await made.from('127.0.34.1');
    const newcomer = await made.from('127.0.34.2');
    shut(gate);
    await until(() => held(gate) === 1, 'a batch stands at the gate');
    for (let i = 0; i < 60; i++) {
      const { hello, h1 } = made.handshake();
      flood.send([hello, h1]);
    }
    await until(() => flood.hints.length >= 5, 'the flood is told Busy');
    t.true(mailbox.queuedHandshakes <= 20);
    const opened = newcomer.open();
    const { id } = made.gateway.admission.known('127.0.34.2')!;
    await until(() => waitsIn(mailbox, id), 'the newcomer waits beside it');
    open(gate);
    await opened;
    t.deepEqual(newcomer.hints, []);
    t.true(flood.hints.every((hint) => hint.kind === 'busy' && hint.retryAfterS >= 1));
    await made.assertUntouched();
  },
);

test.serial('an echo overtakes the handshakes that wait', async (t) => {
  const gate = makeGate();
  const made = await startLoaded(t, {
    entry: GATED,
    extra: { gate },
    set: ['gateway.shards=1', 'limits.handshake_burst=1000', 'limits.queued_handshakes=1000'],
  });
  t.teardown(() => open(gate));
  const { mailbox } = made.gateway.hosts[0]!;
  const late = await made.from('127.0.35.1');
  await late.open();
  const newcomer = await made.from('127.0.35.2');
  shut(gate);
  await until(() => held(gate) === 1, 'a batch stands at the gate');
  for (let i = 0; i < 60; i++) {
    const { hello, h1 } = made.handshake();
    newcomer.send([hello, h1]);
  }
  // What the shard has been given already does not wait any more.
  await until(() => mailbox.queuedHandshakes >= 100, 'handshakes wait');
  const before = mailbox.queuedPackets;
  let leftWhenEchoed = 0;
  const echoed = late.echo().then(() => {
    leftWhenEchoed = mailbox.queuedHandshakes;
  });
  await until(() => mailbox.queuedPackets > before, 'the echo waits behind them');
  open(gate);
  await echoed;
  // Some ms of handshake work went before it, of about 19.
  t.true(leftWhenEchoed > 10, `${leftWhenEchoed} handshake packets still waited`);
  await until(() => newcomer.strays + newcomer.late >= 120, 'they are answered, too');
  await made.assertUntouched();
});

test.serial('a source has as many records as its bound, and new ones when those are 90 s old', async (t) => {
  const made = await startLoaded(t, { set: ['limits.records_per_address=5'] });
  const client = await made.from('127.0.36.1');
  const types = typesOf(client);
  for (let index = 1; index <= 8; index++) client.send([made.hello(index)]);
  await until(() => types.length === 8, 'each hello is answered');
  t.is(types.filter((type) => type === TYPE.ack).length, 5);
  t.is(types.filter((type) => type === TYPE.busy).length, 3);
  t.is(await attempt(await made.from('127.0.36.2')), 'session');
  await made.pass(90_000);
  client.destroy();
  t.is(await attempt(await made.from('127.0.36.1')), 'session');
  await made.assertUntouched();
});

test.serial(
  'at the node’s bound of records the oldest without an H1 makes room, one with an H1 never does',
  async (t) => {
    const made = await startLoaded(t, { set: ['gateway.shards=1', 'limits.records=20'] });
    const [slow, flood] = [await made.from('127.0.37.1'), await made.from('127.0.37.2')];
    const handshakes = [made.handshake(), made.handshake()] as const;
    const h2: Uint8Array[] = [];
    const types = typesOf(slow, (packet) => {
      if (receiverIndex(packet) === handshakes[0].initiator.index && typeOf(packet) === TYPE.handshake) h2.push(packet);
    });
    slow.send([handshakes[0].hello, handshakes[0].h1, handshakes[1].hello]);
    await until(() => types.length === 3, 'two Acks and an H2');
    const answers = typesOf(flood);
    for (let index = 1; index <= 200; index++) flood.send([made.hello(index)]);
    await until(() => answers.length === 200, 'each hello is answered');
    t.true(answers.every((type) => type === TYPE.ack));
    const reply = h2[0];
    const step = reply === undefined ? undefined : handshakes[0].initiator.receive(reply, handshakes[0].now());
    if (step?.kind !== 'send') throw new Error('the H2 does not read');
    slow.send(step.packets);
    await until(() => types.length === 4, 'the session is there');
    t.is(await made.drops('unknown_index'), 0);
    slow.send([handshakes[1].h1]);
    await made.untilDropped('unknown_index', 1);
    t.is(await attempt(await made.from('127.0.37.3')), 'session');
    await made.assertUntouched();
  },
);
