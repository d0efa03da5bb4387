/** Stories of LP1 between whole sides (lp1.md §9.3, §9.4): what a registration client does, directly and through an entry. */
import test from 'ava';
import type { ClientSessionV1 } from '../../src/lp/v1/client-session.ts';
import { InitiatorV1 } from '../../src/lp/v1/initiator.ts';
import {
  decodeForward,
  decodeForwardResponse,
  decodeFrame,
  encodeForward,
  encodeFrame,
  KIND,
} from '../../src/lp/wire/application-frame.ts';
import { decodeAnswer, decodeRequest, encodeAnswer, encodeRequest } from '../../src/lp/wire/registration-body.ts';
import { ANSWER, REQUEST } from '../../src/shard/messages.ts';
import { PROVIDERS, STRANGER } from '../lp/v1/people.ts';
import { mockCredential } from '../support/lp1-credential.ts';
import { watchNonces } from '../support/lp1-hostile.ts';
import {
  answerForward,
  answerIndex,
  connectV1,
  crypto,
  EXIT,
  forwards,
  type Ground,
  lp1Gateway,
  onlyReply,
  onlyRequest,
  packetOfStep,
  replyPackets,
} from '../support/lp1-shard.ts';
import { Prng } from '../support/prng.ts';

function registrationFrame(requestId: number, prng: Prng): Uint8Array {
  const enrolment = { mode: 'dvpn', wgPublicKey: prng.bytes(32), presharedKey: prng.bytes(32) } as const;
  const credential = { kind: 'zk-nym', token: mockCredential() };
  return encodeFrame(
    KIND.registrationRequest,
    requestId,
    encodeRequest({ op: 'register', enrolment, owner: prng.bytes(32), credential }),
  );
}

/** The registrar says yes. */
function grant({ harness, prng }: Ground, key: number): Uint8Array {
  const addresses = { ipv4: Uint8Array.of(10, 0, 0, 2), ipv6: prng.bytes(16) };
  const rest = { endpoints: ['192.0.2.9:51820'], keepalive: 25, bandwidth: 1_000_000, expires: 1_764_600_000 };
  const body = encodeAnswer({ status: 'completed', mode: 'dvpn', wgPublicKey: prng.bytes(32), addresses, ...rest });
  return onlyReply(harness.answer(key, ANSWER.registration, body));
}

/** What the gateway's registrar gets for a registration, and what its answer is to the client. */
function register(ground: Ground, session: ClientSessionV1, carry: (packet: Uint8Array) => Uint8Array) {
  const sealed = session.sealFrame(registrationFrame(1, ground.prng), ground.harness.now);
  if (sealed.kind !== 'packets') throw new Error(sealed.kind);
  const received = session.receive(carry(sealed.packets[0]!), ground.harness.now);
  const frame = decodeFrame(received.kind === 'frame' ? received.bytes : new Uint8Array(0));
  if (frame?.kind !== KIND.registrationResponse) throw new Error('no answer to the registration');
  return decodeAnswer(frame.body);
}

for (const provider of PROVIDERS) {
  test(`a client registers, rekeys, and forwards on the new session (${provider.name})`, (t) => {
    const ground = lp1Gateway({ crypto: provider });
    const { harness } = ground;
    const { session } = connectV1(ground, { crypto: provider });
    const answer = register(ground, session, (packet) => {
      const { request, body, key } = onlyRequest(harness.packet(packet));
      t.is(request, REQUEST.registration);
      const asked = decodeRequest(body);
      t.true(asked.kind === 'value' && asked.value.op === 'register' && asked.value.enrolment.mode === 'dvpn');
      return grant(ground, key);
    });
    t.true(answer.kind === 'value' && answer.value.status === 'completed' && answer.value.bandwidth === 1_000_000);
    const kk1 = session.startRekey(undefined, harness.now);
    const kk2 = onlyReply(harness.packet(kk1.kind === 'packet' ? kk1.packet : new Uint8Array(34)));
    const rekeyed = session.receive(kk2, harness.now);
    const claim = onlyRequest(harness.packet(rekeyed.kind === 'rekeyed' ? rekeyed.packets[0]! : new Uint8Array(34)));
    answerIndex(harness, claim.key, true);
    t.true(forwards(ground, session));
  });
}

interface TwoHops {
  readonly entry: Ground;
  readonly exit: Ground;
  readonly outer: ClientSessionV1;
  /** One inner exchange (§9.4): the exit's reply, or `undefined` where the entry's connection ends. */
  carry(packet: Uint8Array): Uint8Array | undefined;
}

function twoHops(): TwoHops {
  const entry = lp1Gateway({ crypto: watchNonces(crypto) });
  const exit = lp1Gateway({ crypto: watchNonces(crypto), gatewaySeed: STRANGER.seed }, new Prng(8));
  const outer = connectV1(entry, { clientSeed: entry.prng.bytes(32) }).session;
  let requestId = 0;
  const carry = (packet: Uint8Array) => {
    const target = { ...EXIT, identity: STRANGER.ed25519 };
    const frame = encodeFrame(KIND.forward, ++requestId, encodeForward({ target, replies: 1, packets: [packet] }));
    const sealed = outer.sealFrame(frame, entry.harness.now);
    const { key, body } = onlyRequest(entry.harness.packet(sealed.kind === 'packets' ? sealed.packets[0]! : packet));
    const [reply] = throughExit(exit, decodeForward(body)!.packets[0]!.slice());
    const effects = reply === undefined ? [] : answerForward(entry.harness, key, reply);
    const [carried] = replyPackets(effects);
    if (carried === undefined) {
      outer.unanswered(requestId);
      return undefined;
    }
    const received = outer.receive(carried, entry.harness.now);
    return decodeForwardResponse(
      decodeFrame(received.kind === 'frame' ? received.bytes : carried)!.body,
    )?.packets[0]?.slice();
  };
  return { entry, exit, outer, carry };
}

/** The exit's registrar answers at once. */
function throughExit(exit: Ground, packet: Uint8Array): Uint8Array[] {
  const effects = exit.harness.packet(packet);
  const requests = effects.filter((effect) => effect.kind === 'request' && effect.request === REQUEST.registration);
  return [...replyPackets(effects), ...requests.map((effect) => ('key' in effect ? grant(exit, effect.key) : packet))];
}

function nestedInitiator({ exit }: TwoHops): InitiatorV1 {
  const options = {
    crypto,
    random: exit.prng.source(),
    clientSeed: exit.prng.bytes(32),
    gatewayEd25519: STRANGER.ed25519,
    gatewayX25519: STRANGER.x25519,
    clockOffsetMs: 0,
  };
  return new InitiatorV1(options, exit.harness.now);
}

test('a nested session: handshake with the exit through the entry, registration there, then with the entry', (t) => {
  const hops = twoHops();
  const { entry, exit, outer, carry } = hops;
  const initiator = nestedInitiator(hops);
  let step = initiator.start(exit.harness.now);
  while (step.kind === 'send') step = initiator.receive(carry(packetOfStep(step))!, exit.harness.now);
  t.is(step.kind, 'established');
  const inner = (step as unknown as { session: ClientSessionV1 }).session;
  const atExit = register(exit, inner, (packet) => carry(packet)!);
  t.true(atExit.kind === 'value' && atExit.value.status === 'completed');
  const atEntry = register(entry, outer, (packet) => grant(entry, onlyRequest(entry.harness.packet(packet)).key));
  t.true(atEntry.kind === 'value' && atEntry.value.status === 'completed');
  t.is(entry.harness.stats.counters.forwards, 5, 'four of the handshake, one of the registration');
  t.true(forwards(entry, outer));
});

test('a nested handshake with an exit that sends no Ack (tip profile) is established, and the outer session goes on', (t) => {
  const hops = twoHops();
  const { entry, exit, outer, carry } = hops;
  const initiator = nestedInitiator(hops);
  let step = initiator.start(exit.harness.now);
  for (let i = 0; i < 3; i++) step = initiator.receive(carry(packetOfStep(step))!, exit.harness.now);
  t.true(initiator.authenticated);
  // The exit takes it and says nothing; so does the entry, by the end of its connection.
  exit.harness.packet(packetOfStep(step).slice());
  step = initiator.unanswered(exit.harness.now);
  t.is(step.kind, 'established');
  const inner = (step as unknown as { session: ClientSessionV1 }).session;
  t.true(register(exit, inner, (packet) => carry(packet)!).kind === 'value');
  t.true(forwards(entry, outer));
});

test('an inner packet that the exit drops ends that exchange alone: inner and outer sessions go on', (t) => {
  const hops = twoHops();
  const { entry, exit, outer, carry } = hops;
  const initiator = nestedInitiator(hops);
  let step = initiator.start(exit.harness.now);
  while (step.kind === 'send') step = initiator.receive(carry(packetOfStep(step))!, exit.harness.now);
  const inner = (step as unknown as { session: ClientSessionV1 }).session;
  for (let i = 0; i < 3; i++) {
    t.is(carry(new Uint8Array(60).fill(i)), undefined);
    t.true(forwards(entry, outer));
  }
  t.true(register(exit, inner, (packet) => carry(packet)!).kind === 'value');
});
