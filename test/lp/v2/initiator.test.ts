/** The client's handshake under loss and hints (lp2.md §4, §4.4): what it repeats, which hints it follows and how often. */
import test from 'ava';
import type { HandshakeStep } from '../../../src/lp/client-session.ts';
import type { Initiator } from '../../../src/lp/v2/initiator.ts';
import { encodeBusyPacket, encodeErrorPacket } from '../../../src/lp/wire/message.ts';
import { encodeUnsealed, TYPE, typeOf } from '../../../src/lp/wire/packet.ts';
import { initiatorFor } from '../../support/handshake.ts';
import { cachedKey, crypto, firstPackets, readyForH3, shard } from '../../support/scenario.ts';
import type { ShardHarness } from '../../support/shard-harness.ts';

function types(step: HandshakeStep): number[] | string {
  return step.kind === 'send' ? step.packets.map(typeOf) : step.kind;
}

function error(index: number, code: 1 | 2 | 3 | 4, unixMs = 1_764_583_200_000): Uint8Array {
  return encodeErrorPacket(index, { code, gatewayUnixMs: unixMs, minVersion: 2, maxVersion: 2 });
}

/** Seconds until each repeat, what is repeated, and the end. */
function runOut(harness: ShardHarness, initiator: Initiator): { waits: number[]; steps: HandshakeStep[] } {
  const waits: number[] = [];
  const steps: HandshakeStep[] = [];
  for (let i = 0; i < 10; i++) {
    const next = initiator.nextTickMs();
    if (next === Number.POSITIVE_INFINITY || steps.at(-1)?.kind === 'failed') break;
    waits.push((next - harness.monotonicMs) / 1_000);
    harness.later(next - harness.monotonicMs - 1);
    if (initiator.tick(harness.now).kind !== 'wait') throw new Error('too early');
    harness.later(1);
    steps.push(initiator.tick(harness.now));
  }
  return { waits, steps };
}

function fresh() {
  const { harness, prng } = shard();
  const kemKey = cachedKey(harness, prng);
  return { harness, prng, kemKey, ...firstPackets(harness, prng, kemKey) };
}

test('hello and H1 are repeated after 1, 2, 4 and 8 s with the same content; then the attempt is over', (t) => {
  const { harness, initiator, hello, h1 } = fresh();
  const { waits, steps } = runOut(harness, initiator);
  t.deepEqual(waits.slice(0, 4), [1, 2, 4, 8]);
  for (const step of steps.slice(0, 4)) t.deepEqual(step, { kind: 'send', packets: [hello, h1] });
  t.deepEqual(steps.at(-1), { kind: 'failed', failure: { reason: 'timeout' } });
});

test('without a KEM key hello and KKTRequest are repeated; H3 is repeated alone', (t) => {
  const { harness, prng } = shard();
  const asking = initiatorFor(harness, { crypto, random: prng.source() });
  t.deepEqual(types(asking.start(harness.now)), [TYPE.clientHello, TYPE.kktRequest]);
  t.deepEqual(types(runOut(harness, asking).steps[2]!), [TYPE.clientHello, TYPE.kktRequest]);
  const { initiator, h3 } = readyForH3(harness, prng, cachedKey(harness, prng));
  t.true(initiator.authenticated);
  t.deepEqual(runOut(harness, initiator).steps[3], { kind: 'send', packets: [h3] });
});

test('Error 4 is followed once: message 3, then a second H1, and both H1 are repeated', (t) => {
  const { harness, initiator, hello, h1 } = fresh();
  harness.packet(hello.slice());
  const asked = initiator.receive(error(initiator.index, 4), harness.now);
  t.deepEqual(types(asked), [TYPE.kktRequest]);
  const [response] = harness.replies(asked.kind === 'send' ? asked.packets[0]! : hello);
  const second = initiator.receive(response!, harness.now);
  const h1Again = second.kind === 'send' ? second.packets[0]! : hello;
  t.notDeepEqual(h1Again, h1, 'a new ephemeral');
  t.is(types(initiator.receive(error(initiator.index, 4), harness.now)), 'wait');
  harness.later(1_000);
  t.deepEqual(initiator.tick(harness.now), { kind: 'send', packets: [hello, h1, h1Again] });
});

test('the H2 of either H1 is taken after an Error 4', (t) => {
  for (const which of [0, 1]) {
    const { harness, initiator, hello, h1 } = fresh();
    harness.packet(hello.slice());
    const asked = initiator.receive(error(initiator.index, 4), harness.now);
    const [response] = harness.replies(asked.kind === 'send' ? asked.packets[0]! : hello);
    const second = initiator.receive(response!, harness.now);
    const sent = [h1, second.kind === 'send' ? second.packets[0]! : hello];
    const [h2] = harness.replies(sent[which]!.slice());
    const step = initiator.receive(h2!, harness.now);
    t.deepEqual(types(step), [TYPE.handshake]);
    const [ack] = harness.replies(step.kind === 'send' ? step.packets[0]! : hello);
    t.is(initiator.receive(ack!, harness.now).kind, 'established');
  }
});

test('a hint that ends the attempt waits for the real reply first', (t) => {
  const reasons = { 1: 'version', 2: 'clock', 3: 'suite_not_offered' } as const;
  for (const code of [1, 2, 3] as const) {
    const { harness, initiator } = fresh();
    t.is(initiator.receive(error(initiator.index, code, 5), harness.now).kind, 'wait');
    harness.later(999);
    t.is(initiator.tick(harness.now).kind, 'wait');
    harness.later(1);
    const step = initiator.tick(harness.now);
    t.is(step.kind === 'failed' ? step.failure.reason : step.kind, reasons[code]);
    if (step.kind === 'failed' && step.failure.reason === 'clock') t.is(step.failure.gatewayUnixMs, 5);
  }
});

test('forged hints do not stop a handshake whose real reply comes', (t) => {
  const { harness, initiator, hello, h1 } = fresh();
  harness.packet(hello.slice());
  for (const code of [1, 2, 3] as const) initiator.receive(error(initiator.index, code), harness.now);
  initiator.receive(encodeBusyPacket(initiator.index, 60), harness.now);
  const [h2] = harness.replies(h1.slice());
  const step = initiator.receive(h2!, harness.now);
  t.deepEqual(types(step), [TYPE.handshake]);
  for (const code of [1, 2, 3, 4] as const)
    t.is(initiator.receive(error(initiator.index, code), harness.now).kind, 'wait');
  harness.later(999);
  t.is(initiator.tick(harness.now).kind, 'wait');
});

test('Busy is followed once, with jitter: the next repeat waits as long as it says', (t) => {
  const { harness, initiator } = fresh();
  t.is(initiator.receive(encodeBusyPacket(initiator.index, 10), harness.now).kind, 'wait');
  const waitMs = initiator.nextTickMs() - harness.monotonicMs;
  t.true(waitMs >= 10_000 && waitMs <= 15_000, String(waitMs));
  initiator.receive(encodeBusyPacket(initiator.index, 40), harness.now);
  t.is(initiator.nextTickMs() - harness.monotonicMs, waitMs);
  const step = runOut(harness, initiator).steps.at(-1)!;
  t.is(step.kind === 'failed' ? step.failure.reason : step.kind, 'busy');
});

test('Collision ends an attempt that has no H2 yet', (t) => {
  const { harness, prng, kemKey, initiator } = fresh();
  const collision = (index: number) => encodeUnsealed(index, 0, TYPE.collision, new Uint8Array(0));
  const step = initiator.receive(collision(initiator.index), harness.now);
  t.deepEqual(step, { kind: 'failed', failure: { reason: 'collision' } });
  const later = readyForH3(harness, prng, kemKey).initiator;
  t.is(later.receive(collision(later.index), harness.now).kind, 'wait');
});

test('packets with another index, version, counter or type, and stumps, are dropped with a reason', (t) => {
  const { harness, initiator } = fresh();
  const empty = new Uint8Array(0);
  const reasonOf = (packet: Uint8Array) => {
    const step = initiator.receive(packet, harness.now);
    return step.kind === 'drop' ? step.reason : step.kind;
  };
  const version3 = encodeUnsealed(initiator.index, 0, TYPE.ack, empty);
  version3[12] = 3;
  t.is(reasonOf(new Uint8Array(33)), 'length');
  t.is(reasonOf(encodeUnsealed(initiator.index ^ 1, 0, TYPE.ack, empty)), 'unknown_index');
  t.is(reasonOf(version3), 'version');
  t.is(reasonOf(encodeUnsealed(initiator.index, 1, TYPE.ack, empty)), 'counter');
  t.is(reasonOf(encodeUnsealed(initiator.index, 0, TYPE.handshake, empty)), 'counter');
  t.is(reasonOf(encodeUnsealed(initiator.index, 0, TYPE.encryptedData, empty)), 'type');
  t.is(reasonOf(encodeUnsealed(initiator.index, 0, TYPE.kktResponse, empty)), 'type');
  t.is(reasonOf(encodeUnsealed(initiator.index, 0, TYPE.error, empty)), 'content');
  t.is(reasonOf(encodeUnsealed(initiator.index, 0, TYPE.busy, empty)), 'content');
  t.is(reasonOf(encodeUnsealed(initiator.index, 1, TYPE.handshake, empty)), 'handshake_failed');
  initiator.abandon();
  t.is(reasonOf(encodeUnsealed(initiator.index, 0, TYPE.ack, empty)), 'unknown_index');
});

test('the KKT response to another request is dropped, and the own one is still taken', (t) => {
  const { harness, prng } = shard();
  const options = { crypto, random: prng.source() };
  const initiator = initiatorFor(harness, options);
  const start = initiator.start(harness.now);
  const other = initiatorFor(harness, options);
  const otherStart = other.start(harness.now);
  if (start.kind !== 'send' || otherStart.kind !== 'send') return t.fail();
  for (const packet of [...start.packets, ...otherStart.packets]) harness.packet(packet.slice());
  const [foreign] = harness.replies(otherStart.packets[1]!.slice());
  new DataView(foreign!.buffer).setUint32(0, initiator.index, true);
  const step = initiator.receive(foreign!, harness.now);
  t.is(step.kind === 'drop' ? step.reason : step.kind, 'session_id');
  const [own] = harness.replies(start.packets[1]!.slice());
  t.deepEqual(types(initiator.receive(own!, harness.now)), [TYPE.handshake]);
});
