import test from 'ava';
import { NYM_HANDSHAKE_TIMEOUT_MS } from '../../../src/lp/nym/initiator.ts';
import { NYM_RESPONDER_TIMEOUT_MS, NymResponder } from '../../../src/lp/nym/responder.ts';
import {
  initiatorFor,
  later,
  makeNode,
  meet,
  messagesOf,
  NOW,
  native,
  outcome,
  portable,
  randomBytes,
  replyOf,
  systemRandom,
} from './pair.ts';

const NODE = makeNode();
const KEM_KEY = NODE.kem.publicKey.bytes;

test('client and node meet, and each reads the other', (t) => {
  const { client, channel } = meet(NODE);
  const sent = client.send('registration', Uint8Array.of(1, 2));
  if (sent.kind !== 'packet') throw new Error(sent.reason);
  const opened = channel.open(sent.wire.slice(4));
  t.deepEqual(opened.kind === 'frame' && opened.frame.content, Uint8Array.of(1, 2));
  const answer = client.receive(channel.seal(1, Uint8Array.of(9))!.slice(4));
  t.deepEqual(answer, { kind: 'answer', id: sent.id, request: 'registration', content: Uint8Array.of(9) });
  t.is(client.index, channel.index);
});

test('a portable client meets a native node, and the other way round', (t) => {
  t.is(typeof meet(makeNode(portable)).client.index, 'number');
  const initiator = initiatorFor(NODE, { crypto: portable });
  const responder = new NymResponder(NODE, NOW);
  const reply = (message: Uint8Array | undefined) => replyOf(responder.receive(message!, NOW));
  const second = initiator.receive(reply(messagesOf(initiator.start(NOW))[0]), NOW);
  t.is(initiator.receive(reply(messagesOf(second)[0]), NOW).kind, 'established');
});

test('with a known KEM key both messages leave together, and the answers come in order', (t) => {
  const initiator = initiatorFor(NODE, { kemKey: KEM_KEY });
  const responder = new NymResponder(NODE, NOW);
  const [request, message1] = messagesOf(initiator.start(NOW));
  t.is(initiator.awaits, 'kkt');
  t.is(initiator.receive(replyOf(responder.receive(request!, NOW)), NOW).kind, 'wait');
  t.is(initiator.awaits, 'psq');
  t.is(initiator.receive(replyOf(responder.receive(message1!, NOW)), NOW).kind, 'established');
  t.is(initiator.awaits, undefined);
});

test('a known KEM key that was not announced is not used', (t) => {
  t.is(messagesOf(initiatorFor(NODE, { kemKey: randomBytes(1184) }).start(NOW)).length, 1);
  t.is(messagesOf(initiatorFor(NODE, { kemKey: new Uint8Array(0) }).start(NOW)).length, 1);
});

test('a KEM key is told for the cache as soon as it is checked', (t) => {
  const initiator = initiatorFor(NODE);
  const [request] = messagesOf(initiator.start(NOW));
  t.is(initiator.kemKey, undefined);
  initiator.receive(replyOf(new NymResponder(NODE, NOW).receive(request!, NOW)), NOW);
  t.deepEqual(initiator.kemKey, KEM_KEY);
  t.deepEqual(initiator.closed(), { kind: 'failed', failure: { stage: 'psq', reason: 'closed', pipelined: false } });
});

test("an announced key that fails FIPS 203's check ends the handshake at the KKT response", (t) => {
  const bytes = new Uint8Array(1184).fill(0xff);
  const node = { ...NODE, kem: { ...NODE.kem, publicKey: { kem: 'ml-kem-768' as const, bytes } } };
  const initiator = initiatorFor(node as typeof NODE);
  const [request] = messagesOf(initiator.start(NOW));
  const reply = replyOf(new NymResponder(node as typeof NODE, NOW).receive(request!, NOW));
  t.is(outcome(initiator.receive(reply, NOW)), 'kem_key');
});

test('a node that closes fails the step whose answer was awaited; pipelined, that is said', (t) => {
  const plain = initiatorFor(NODE);
  t.is(plain.closed().kind, 'wait');
  plain.start(NOW);
  t.deepEqual(plain.closed(), { kind: 'failed', failure: { stage: 'kkt', reason: 'closed', pipelined: false } });
  t.is(plain.closed().kind, 'wait');
  const pipelined = initiatorFor(NODE, { kemKey: KEM_KEY });
  pipelined.start(NOW);
  t.deepEqual(pipelined.closed(), { kind: 'failed', failure: { stage: 'kkt', reason: 'closed', pipelined: true } });
});

test('a handshake is given up at its time, also by an answer that comes after it', (t) => {
  const initiator = initiatorFor(NODE);
  const [request] = messagesOf(initiator.start(NOW));
  t.is(initiator.nextTickMs(), NOW.monotonicMs + NYM_HANDSHAKE_TIMEOUT_MS);
  t.is(initiator.tick(later(NYM_HANDSHAKE_TIMEOUT_MS - 1)).kind, 'wait');
  const reply = replyOf(new NymResponder(NODE, NOW).receive(request!, NOW));
  t.is(outcome(initiator.receive(reply, later(NYM_HANDSHAKE_TIMEOUT_MS))), 'timeout');
  t.is(initiator.nextTickMs(), Number.POSITIVE_INFINITY);
  const short = initiatorFor(NODE, { timeoutMs: 50 });
  short.start(NOW);
  t.is(outcome(short.tick(later(50))), 'timeout');
  t.is(short.tick(later(60)).kind, 'wait');
});

test('a failed or abandoned initiator says nothing more, and starts once', (t) => {
  const initiator = initiatorFor(NODE);
  const [request] = messagesOf(initiator.start(NOW));
  const reply = replyOf(new NymResponder(NODE, NOW).receive(request!, NOW));
  initiator.abandon();
  initiator.abandon();
  t.is(initiator.receive(reply, NOW).kind, 'wait');
  t.throws(() => initiator.start(NOW));
  t.is(JSON.stringify({ initiator }), '{"initiator":"<redacted>"}');
});

test('a node key that agrees on nothing fails at once', (t) => {
  t.is(outcome(initiatorFor(NODE, { node: new Uint8Array(32) }).start(NOW)), 'node_key');
});

test('messages of another length, late, twice or out of order are refused, and end the attempt', (t) => {
  const initiator = initiatorFor(NODE);
  const [request] = messagesOf(initiator.start(NOW));
  const responder = new NymResponder(NODE, NOW);
  const response = replyOf(responder.receive(request!, NOW));
  t.is(outcome(responder.receive(request!, NOW)), 'length');
  t.is(outcome(responder.receive(request!, NOW)), 'over');
  t.is(outcome(initiator.receive(response.slice(1), NOW)), 'length');
  t.is(initiator.receive(response, NOW).kind, 'wait');
  const late = new NymResponder(NODE, NOW);
  t.false(late.expired(NOW.monotonicMs + NYM_RESPONDER_TIMEOUT_MS - 1));
  t.is(outcome(late.receive(request!, later(NYM_RESPONDER_TIMEOUT_MS))), 'over');
});

test('a client of the exit says so, and every client has a key of its own', (t) => {
  const seen = new Set<string>();
  for (const hop of ['entry', 'exit'] as const) {
    const initiator = initiatorFor(NODE, { hop });
    const responder = new NymResponder(NODE, NOW);
    const [request] = messagesOf(initiator.start(NOW));
    const [message1] = messagesOf(initiator.receive(replyOf(responder.receive(request!, NOW)), NOW));
    const accepted = responder.receive(message1!, NOW);
    if (accepted.kind === 'established') seen.add(String(accepted.client));
  }
  t.is(seen.size, 2);
});

test('a replayed handshake gets an answer that only its owner can read, and no session of anybody is touched', (t) => {
  const initiator = initiatorFor(NODE);
  const [first, second] = [new NymResponder(NODE, NOW), new NymResponder(NODE, NOW)];
  const [request] = messagesOf(initiator.start(NOW));
  const [message1] = messagesOf(initiator.receive(replyOf(first.receive(request!, NOW)), NOW));
  const mine = first.receive(message1!, NOW);
  second.receive(request!, NOW);
  const replayed = second.receive(message1!, NOW);
  if (mine.kind !== 'established' || replayed.kind !== 'established') throw new Error('no session');
  t.is(mine.channel.index, replayed.channel.index);
  const established = initiator.receive(mine.message, NOW);
  if (established.kind !== 'established') throw new Error(established.kind);
  const sent = established.session.send('registration', Uint8Array.of(7));
  const packet = sent.kind === 'packet' ? sent.wire.slice(4) : new Uint8Array(0);
  t.is(replayed.channel.open(packet.slice()).kind, 'refuse');
  t.is(mine.channel.open(packet).kind, 'frame');
});

test('a seeded source is asked for the same bytes in the same order, whatever the provider', (t) => {
  for (const crypto of [native, portable]) {
    let drawn = 0;
    const random = {
      kind: 'seeded' as const,
      fill(out: Uint8Array) {
        drawn += out.length;
        systemRandom.fill(out);
      },
    };
    const initiator = initiatorFor(NODE, { crypto, random });
    const [request] = messagesOf(initiator.start(NOW));
    t.is(drawn, 32 + 16 + 3 + 32);
    initiator.receive(replyOf(new NymResponder(NODE, NOW).receive(request!, NOW)), NOW);
    t.is(drawn, 32 + 16 + 3 + 32 + 32 + 32);
  }
});
