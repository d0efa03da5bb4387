/** Faults of the reference in what sessions carry (lp1.md §10), by their numbers there, against a whole shard. */
import test from 'ava';
import { decodeRegistrationResponse } from '../../src/lp/v1/application-bodies.ts';
import type { ClientSessionV1 } from '../../src/lp/v1/client-session.ts';
import { MAX_PAYLOAD_LENGTH } from '../../src/lp/v1/transport.ts';
import { decodeForward, encodeFailure } from '../../src/lp/wire/application-frame.ts';
import { concat } from '../../src/lp/wire/bytes.ts';
import { encodeUnsealed, MAX_PACKET_LENGTH, TYPE } from '../../src/lp/wire/packet.ts';
import { decodeRequest, encodeAnswer, REGISTRATION_CODES } from '../../src/lp/wire/registration-body.ts';
import { ANSWER, REQUEST } from '../../src/shard/messages.ts';
import { GATEWAY, STRANGER } from '../lp/v1/people.ts';
import { mockCredential } from '../support/lp1-credential.ts';
import { HostileClient, sealAnyV1 } from '../support/lp1-hostile.ts';
import {
  answerForward,
  connectV1,
  dataPacket,
  familyOf,
  finish,
  forwardPayload,
  forwards,
  lp1Gateway,
  onlyReply,
  onlyRequest,
  openedBy,
  refusal,
  registrationPayload,
  replyPackets,
  requestsOf,
  START_UNIX_MS,
  STEPS,
  startRekey,
  unansweredOf,
  upTo,
} from '../support/lp1-shard.ts';
import type { Effect, ShardHarness } from '../support/shard-harness.ts';

const EMPTY = new Uint8Array(0);
const UNKNOWN = 'unknown_payload, noAnswer true';

function connected() {
  const ground = lp1Gateway();
  return { ground, ...ground, ...connectV1(ground) };
}

/** The error text of the reply that these effects hold. */
function errorOf(session: ClientSessionV1, effects: readonly Effect[], harness: ShardHarness): string | undefined {
  const response = decodeRegistrationResponse(openedBy(session, onlyReply(effects), harness));
  return response?.success === false ? response.error : undefined;
}

test('fault 19 c: registration timestamps at the ends of 64 bits are answered, and no arithmetic overflows', (t) => {
  const { ground, harness, session } = connected();
  const now = BigInt(START_UNIX_MS / 1_000);
  for (const timestamp of [2n ** 63n, 2n ** 63n - 1n, 2n ** 64n - 1n, 0n, 2n ** 53n, now - 31n, now + 31n]) {
    const effects = harness.packet(dataPacket(session, registrationPayload({ timestamp })));
    t.is(errorOf(session, effects, harness), 'Invalid timestamp', `${timestamp}`);
    t.deepEqual(requestsOf(effects), []);
  }
  for (const timestamp of [now - 30n, now + 30n]) {
    const { key, request } = onlyRequest(harness.packet(dataPacket(session, registrationPayload({ timestamp }))));
    t.is(request, REQUEST.registration);
    harness.answer(key, ANSWER.failure, encodeFailure({ code: 4, text: 'later' }));
  }
  t.true(forwards(ground, session));
});

test('fault 27: a forward names identity and address, and leaves the shard as LP2’s does', (t) => {
  const { ground, harness, session } = connected();
  const targets = [
    { identity: GATEWAY.ed25519, family: 4, ip: Uint8Array.of(10, 0, 0, 1), port: 22 },
    { identity: STRANGER.ed25519, family: 6, ip: ground.prng.bytes(16), port: 41_264 },
  ] as const;
  for (const target of targets) {
    const inner = ground.prng.bytes(134);
    const effects = harness.packet(dataPacket(session, forwardPayload(inner, target)), { source: 3 });
    const { request, body, key } = onlyRequest(effects);
    t.is(request, REQUEST.forwardAlone, 'as one that LP2 forwards, on a connection of its own');
    // What the forwarder compares with its allow-list is the target as a whole, whichever protocol brought it.
    t.deepEqual(decodeForward(body), { target, replies: 1, packets: [inner] });
    answerForward(harness, key, new Uint8Array(40));
  }
});

test('fault 27: host names, addresses without a port and what else is no address are unknown payloads', (t) => {
  const { harness, session } = connected();
  const address = (text: string) => {
    const bytes = new TextEncoder().encode(text);
    const length = Uint8Array.of(bytes.length, 0, 0, 0, 0, 0, 0, 0);
    return concat(GATEWAY.ed25519, length, bytes, Uint8Array.of(34, 0, 0, 0, 0, 0, 0, 0), new Uint8Array(34));
  };
  t.is(refusal(harness, dataPacket(session, address('192.0.2.1:1'))), 'request, valid');
  for (const text of [
    'localhost:1',
    '192.0.2.1',
    '192.0.2.1:65536',
    '2001:db8::1:5',
    '[192.0.2.1]:5',
    '',
    ':5',
    ' 1.2.3.4:5',
  ]) {
    t.is(refusal(harness, dataPacket(session, address(text))), UNKNOWN, text);
  }
});

test('fault 28: a reply of 65,485 bytes goes; a longer one ends its connection, and the next forward works', (t) => {
  t.is(MAX_PAYLOAD_LENGTH, 65_485);
  const { ground, harness, session } = connected();
  const forward = () => onlyRequest(harness.packet(dataPacket(session, forwardPayload()))).key;
  const longest = ground.prng.bytes(65_485);
  const reply = onlyReply(answerForward(harness, forward(), longest));
  t.is(reply.length, MAX_PACKET_LENGTH);
  t.deepEqual(openedBy(session, reply, harness), longest);
  for (const length of [65_486, 65_487, 65_519, 65_520, MAX_PACKET_LENGTH]) {
    const effects = answerForward(harness, forward(), new Uint8Array(length));
    t.deepEqual(effects, [{ kind: 'noAnswer', connection: 1, failed: true }], `${length}`);
    t.true(forwards(ground, session), `after ${length}`);
  }
});

test('fault 28: the longest packet that fits a forward is taken from the client, too', (t) => {
  const { ground, harness, session } = connected();
  const overhead = forwardPayload(new Uint8Array(34)).length - 34;
  const inner = ground.prng.bytes(MAX_PAYLOAD_LENGTH - overhead);
  const { body } = onlyRequest(harness.packet(dataPacket(session, forwardPayload(inner))));
  t.deepEqual(decodeForward(body)?.packets, [inner]);
});

test('fault 29: a registration that fails, for whatever reason, is an answer with a text that says what to do', (t) => {
  const { harness, session } = connected();
  const ask = () => onlyRequest(harness.packet(dataPacket(session, registrationPayload()))).key;
  for (const code of REGISTRATION_CODES) {
    const body = encodeAnswer({ status: 'failed', code, text: 'a text of the registrar' });
    const error = errorOf(session, harness.answer(ask(), ANSWER.registration, body), harness);
    t.regex(error ?? '', /^[a-z].{15,}$/, code);
    t.notRegex(error ?? '', /registrar/);
  }
  for (const code of [1, 2, 3, 4, 99]) {
    const failure = encodeFailure({ code, text: 'a text of the registrar' });
    const error = errorOf(session, harness.answer(ask(), ANSWER.failure, failure), harness);
    t.regex(error ?? '', /^[a-z].{15,}$/);
  }
  const odd = errorOf(session, harness.answer(ask(), ANSWER.registration, Uint8Array.of(1, 2, 3)), harness);
  t.regex(odd ?? '', /failed in the gateway/);
});

test('a registration that succeeds is answered in the fixed profile’s form, with the parameters of the registrar', (t) => {
  const { ground, harness, session } = connected();
  const addresses = { ipv4: Uint8Array.of(10, 1, 0, 7), ipv6: ground.prng.bytes(16) };
  const { key, body } = onlyRequest(harness.packet(dataPacket(session, registrationPayload())));
  const asked = decodeRequest(body);
  t.true(asked.kind === 'value' && asked.value.op === 'register' && asked.value.credential?.kind === 'zk-nym');
  const answer = encodeAnswer({
    status: 'completed',
    mode: 'dvpn',
    wgPublicKey: STRANGER.x25519,
    endpoints: ['192.0.2.9:51820'],
    addresses,
    keepalive: 25,
    bandwidth: 1_073_741_824,
    expires: 1_764_600_000,
  });
  const reply = onlyReply(harness.answer(key, ANSWER.registration, answer));
  const response = decodeRegistrationResponse(openedBy(session, reply, harness));
  const endpoint = { family: 4, ip: Uint8Array.of(192, 0, 2, 9), port: 51_820 } as const;
  const gatewayData = { publicKey: STRANGER.x25519, endpoint, ...addresses };
  t.deepEqual(response, { success: true, gatewayData, allocatedBandwidth: 1_073_741_824n });
});

test('fault 30: bytes behind a payload, and payloads of no kind, are unknown and start nothing', (t) => {
  const { ground, harness, session } = connected();
  const whole = [registrationPayload(), forwardPayload()];
  for (const payload of whole) {
    for (const tail of [1, 8, 200])
      t.is(refusal(harness, dataPacket(session, concat(payload, new Uint8Array(tail)))), UNKNOWN);
    for (const length of [payload.length - 1, payload.length >> 1, 1]) {
      t.is(refusal(harness, dataPacket(session, payload.subarray(0, length))), UNKNOWN);
    }
  }
  t.is(refusal(harness, dataPacket(session, EMPTY)), UNKNOWN);
  t.is(refusal(harness, dataPacket(session, mockCredential())), UNKNOWN);
  for (let i = 0; i < 200; i++) {
    t.is(refusal(harness, dataPacket(session, ground.prng.bytes(ground.prng.below(2_000)))), UNKNOWN);
  }
  t.is(harness.stats.counters.registrations + harness.stats.counters.forwards, 0);
  t.true(forwards(ground, session));
});

test('fault 30: bytes behind the content of a control packet are refused, and the rekeying goes on without them', (t) => {
  const { ground, harness, session } = connected();
  const { transport } = familyOf(session).current;
  const sealed = (type: number, content: Uint8Array) => refusal(harness, sealAnyV1(transport, 1, type, content));
  const { ready, parent } = startRekey(ground, session);
  for (const length of [0, 3, 5, 8])
    t.is(sealed(TYPE.subsessionReady, new Uint8Array(length)), 'content, noAnswer false');
  for (const length of [1, 4]) {
    t.regex(sealed(TYPE.subsessionAbort, new Uint8Array(length)), /^(content|reflected), noAnswer false$/);
  }
  for (const length of [0, 48, 55, 57, 104]) {
    t.is(sealed(TYPE.subsessionKk1, new Uint8Array(length)), 'content, noAnswer false');
  }
  t.true(forwards(ground, session, parent));
  t.is(refusal(harness, ready), 'noAnswer false, request, valid');
});

test('fault 31: the version byte counts in every packet of the handshake, in cleartext', (t) => {
  for (const step of ['kkt', 'h1'] as const) {
    const ground = lp1Gateway();
    const opening = upTo(ground, step);
    for (const version of [0, 2, 3, 255]) {
      const packet = opening.next.slice();
      packet[12] = version;
      t.is(refusal(ground.harness, packet), 'version, noAnswer false', `${step} ${version}`);
    }
    t.true(forwards(ground, finish(ground, opening).session));
  }
});

test('fault 31: the version byte counts in every packet to the client’s handshake', (t) => {
  for (const step of STEPS) {
    const { initiator, next, ...opening } = upTo(lp1Gateway(), step);
    t.is(opening.sent.length, STEPS.indexOf(step));
    for (const version of [0, 2, 3, 255]) {
      const packet = encodeUnsealed(initiator.index, 0, step === 'hello' ? TYPE.ack : TYPE.kktResponse, EMPTY, version);
      t.is(initiator.receive(packet, { monotonicMs: 0, unixMs: 0 }).kind, 'drop', `${step} ${version} ${next.length}`);
    }
  }
});

test('fault 31: the version byte counts in every sealed packet, whatever its type', (t) => {
  const { ground, harness, session } = connected();
  startRekey(ground, session);
  const { transport } = [...familyOf(session).all][0]!;
  for (const [name, type] of Object.entries(TYPE)) {
    for (const version of [0, 2, 255]) {
      for (const length of [0, 4, 56]) {
        const packet = sealAnyV1(transport, version, type, new Uint8Array(length));
        t.is(refusal(harness, packet), 'version, noAnswer false', `${name} ${version} ${length}`);
      }
    }
  }
  t.true(forwards(ground, session, transport.index));
});

test('fault 31: a Handshake 3 under the right key with another version byte is nothing', (t) => {
  for (const version of [0, 2, 3]) {
    const ground = lp1Gateway();
    const client = new HostileClient(ground);
    const [, , h2] = [client.hello(), client.kkt(), client.h1()].map((packet) =>
      onlyReply(ground.harness.packet(packet)),
    );
    client.readH2(h2!);
    const effects = ground.harness.packet(client.h3({ version }).packet);
    t.deepEqual([replyPackets(effects), unansweredOf(effects)], [[], [false]]);
  }
});
