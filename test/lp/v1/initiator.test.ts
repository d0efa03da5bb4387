/**
 * The client's handshake, row by row of lp1.md §7.4 and §9.2: what it sends for which reply, what it makes of hints, and
 * that a reply that is not in order changes nothing.
 */
import test from 'ava';
import type { ClientHandshake, HandshakeStep } from '../../../src/lp/client-session.ts';
import { initiatePsq } from '../../../src/lp/v1/psq.ts';
import { encodeBusyPacket, encodeErrorPacket } from '../../../src/lp/wire/message.ts';
import {
  contentOf,
  counterOf,
  encodeUnsealed,
  receiverIndex,
  TYPE,
  typeOf,
  versionOf,
} from '../../../src/lp/wire/packet.ts';
import { HostileClient, sealV1, splicedH1 } from '../../support/lp1-hostile.ts';
import {
  chosenIndices,
  crypto,
  finish,
  forwards,
  initiatorV1,
  lp1Gateway,
  type Opening,
  onlyReply,
  packetOfStep,
  STEPS,
  type StepName,
  upTo,
} from '../../support/lp1-shard.ts';
import type { ShardHarness } from '../../support/shard-harness.ts';
import { CLIENT, GATEWAY, PROVIDERS, STRANGER, spoiled } from './people.ts';

const EMPTY = new Uint8Array(0);

/** The opening's packet, sent: the gateway's reply, which the client has not seen. */
function answered(step: StepName, options = {}) {
  const ground = lp1Gateway(options);
  const opening = upTo(ground, step);
  const reply = onlyReply(ground.harness.packet(opening.next.slice()));
  return { ground, ...ground, ...opening, opening, reply };
}

function receive(initiator: ClientHandshake, packet: Uint8Array, harness: ShardHarness): string {
  const step = initiator.receive(packet.slice(), harness.now);
  return step.kind === 'drop' ? step.reason : step.kind;
}

function failure(step: HandshakeStep): string {
  return step.kind === 'failed' ? step.failure.reason : step.kind;
}

for (const provider of PROVIDERS) {
  test(`each reply brings the next message, and the Ack the session (${provider.name})`, (t) => {
    const ground = lp1Gateway();
    const { initiator, next, sent } = upTo(ground, 'h3', { crypto: provider });
    t.deepEqual(
      sent.map((packet) => [receiverIndex(packet), counterOf(packet), versionOf(packet), typeOf(packet)]),
      [
        [0, 0, 1, TYPE.clientHello],
        [initiator.index, 0, 1, TYPE.kktRequest],
        [initiator.index, 1, 1, TYPE.handshake],
      ],
      'Handshake 1 in cleartext: the fixed profile',
    );
    t.true(initiator.authenticated);
    const { session } = finish(ground, { initiator, next, sent, replies: [] });
    t.true(forwards(ground, session));
  });
}

test('the hello has the index of the session, the keys of the client, and a salt of its time', (t) => {
  const ground = lp1Gateway();
  const { initiator, next } = upTo(ground, 'hello', { clockOffsetMs: 5_000 });
  const content = Buffer.from(contentOf(next));
  t.is(content.readUInt32LE(0), initiator.index);
  t.deepEqual(Uint8Array.from(content.subarray(4, 68)), Uint8Array.from([...CLIENT.x25519, ...CLIENT.ed25519]));
  t.is(Number(content.readBigUInt64LE(68)), ground.harness.unixMs / 1_000 + 5);
});

test('an index of 0 is drawn again', (t) => {
  const ground = lp1Gateway();
  const random = chosenIndices(ground.prng.source(), [0, 0, 9]);
  t.is(initiatorV1(ground, { random }).index, 9);
});

for (const step of STEPS) {
  test(`a reply to ${step} that is spoiled anywhere is dropped, and the true one is taken after it`, (t) => {
    const { ground, harness, initiator, opening, reply } = answered(step);
    const trailer = step === 'hello' || step === 'kkt' ? 16 : 0;
    for (let at = 0; at < reply.length - trailer; at++) {
      // Reserved bytes of cleartext are ignored.
      if (trailer > 0 && at > 12 && at < 16) continue;
      const taken = initiator.receive(spoiled(reply, at, 0x40), harness.now);
      t.is(taken.kind, 'drop', `byte ${at}`);
    }
    for (let length = 0; length < Math.min(reply.length, 60); length++) {
      t.is(initiator.receive(reply.slice(0, length), harness.now).kind, 'drop', `cut to ${length}`);
    }
    t.is(initiator.receive(Uint8Array.of(...reply, 0), harness.now).kind, 'drop', 'a byte too many');
    t.true(forwards(ground, finish(ground, opening).session));
  });
}

test('in every state the replies to other messages are dropped', (t) => {
  for (const step of STEPS) {
    const { ground, harness, initiator, opening, replies, sent } = answered(step);
    for (const packet of [...replies, ...sent, opening.next])
      t.is(initiator.receive(packet.slice(), harness.now).kind, 'drop');
    for (const type of Object.values(TYPE)) {
      if (type === TYPE.busy || type === TYPE.collision || type === TYPE.error) continue;
      if (step === 'hello' && type === TYPE.ack) continue;
      for (const counter of [0, 1, 2]) {
        const cleartext = encodeUnsealed(initiator.index, counter, type, EMPTY, 1);
        t.is(initiator.receive(cleartext, harness.now).kind, 'drop', `${type} in state ${step}`);
      }
    }
    t.true(forwards(ground, finish(ground, opening).session));
  }
});

test('a key transfer of another gateway, for another key or for another request is not believed', (t) => {
  const ground = lp1Gateway();
  const opening = upTo(ground, 'kkt');
  const { initiator } = opening;
  const stranger = lp1Gateway({ gatewaySeed: STRANGER.seed });
  const theirs = new HostileClient(stranger, { index: initiator.index });
  stranger.harness.packet(theirs.hello());
  const older = upTo(ground, 'h1').replies[1]!.slice();
  older.set(opening.next.subarray(0, 4));
  const packets = [
    onlyReply(stranger.harness.packet(opening.next.slice())),
    onlyReply(stranger.harness.packet(theirs.kkt())),
    older,
  ];
  for (const packet of packets) t.is(receive(initiator, packet, ground.harness), 'handshake_failed');
  t.true(forwards(ground, finish(ground, opening).session));
});

test('a Handshake 2 without the handle, with another one, or of counter 0 or 4 is dropped', (t) => {
  const ground = lp1Gateway();
  const opening = upTo(ground, 'h1');
  const { initiator, next } = opening;
  const h2 = onlyReply(ground.harness.packet(next.slice()));
  const { outer } = (initiator as unknown as { stage: { secrets: { outer: Uint8Array } } }).stage.secrets;
  const header = { index: initiator.index, counter: 1, version: 1, type: TYPE.handshake };
  const plain = openedContent(outer, h2);
  const cases: [string, object, Uint8Array][] = [
    ['counter', { counter: 0 }, plain],
    ['counter', { counter: 4 }, plain],
    ['version', { version: 2 }, plain],
    ['type', { type: TYPE.ack }, plain],
    ['type', { type: TYPE.encryptedData }, plain],
    ['content', {}, plain.subarray(32)],
    ['content', {}, spoiled(plain, 0, 1)],
    ['content', {}, Uint8Array.of(...plain, 0)],
    ['handshake_failed', {}, spoiled(plain, 5, 1)],
    ['handshake_failed', {}, spoiled(plain, 31, 1)],
    ['handshake_failed', {}, spoiled(plain, 40, 1)],
  ];
  for (const [reason, changes, content] of cases) {
    t.is(receive(initiator, sealV1(crypto, outer, { ...header, ...changes }, content), ground.harness), reason);
  }
  t.true(forwards(ground, finish(ground, opening).session));
});

function openedContent(outer: Uint8Array, packet: Uint8Array): Uint8Array {
  const nonce = Uint8Array.from([...packet.subarray(4, 12), 0, 0, 0, 0]);
  const plaintext = new Uint8Array(packet.length - 28);
  if (!crypto.aeadOpen(plaintext, packet.slice(12), packet.slice(0, 12), nonce, outer)) throw new Error('tag');
  return plaintext.slice(6);
}

test('the genuine Handshake 2 is taken with counter 2 or 3, where somebody was faster with this PSQ part', (t) => {
  for (const faster of [1, 2]) {
    const ground = lp1Gateway();
    const opening = upTo(ground, 'h1');
    const others: Uint8Array[] = [];
    for (let i = 0; i < faster; i++) others.push(onlyReply(ground.harness.packet(splicedH1(ground, opening.next))));
    const h2 = onlyReply(ground.harness.packet(opening.next.slice()));
    t.is(counterOf(h2), faster + 1);
    for (const other of others) t.is(receive(opening.initiator, other, ground.harness), 'handshake_failed');
    t.true(forwards(ground, finish(ground, opening).session));
  }
});

test('an Ack to Handshake 3 in cleartext, with another counter or type is dropped', (t) => {
  const { ground, harness, initiator, opening } = answered('h3');
  const { outer } = (initiator as unknown as { stage: { secrets: { outer: Uint8Array } } }).stage.secrets;
  const header = { index: initiator.index, counter: 0, version: 1, type: TYPE.ack };
  t.is(receive(initiator, encodeUnsealed(initiator.index, 0, TYPE.ack, EMPTY, 1), harness), 'tag');
  t.is(receive(initiator, sealV1(crypto, outer, { ...header, counter: 3 }, EMPTY), harness), 'counter');
  t.is(receive(initiator, sealV1(crypto, outer, { ...header, type: TYPE.busy }, EMPTY), harness), 'type');
  t.is(receive(initiator, sealV1(crypto, outer, { ...header, version: 2 }, EMPTY), harness), 'version');
  t.is(receive(initiator, sealV1(crypto, outer, header, Uint8Array.of(0)), harness), 'type');
  t.true(forwards(ground, finish(ground, opening).session));
});

test('the end of the connection after Handshake 3 is the tip profile’s answer; before it is nothing', (t) => {
  for (const step of STEPS) {
    const ground = lp1Gateway();
    const { initiator, next } = upTo(ground, step);
    ground.harness.packet(next);
    const taken = initiator.unanswered(ground.harness.now);
    t.is(taken.kind, step === 'h3' ? 'established' : 'wait');
    t.is(initiator.tick(ground.harness.now).kind, 'wait');
  }
});

test('Collision ends the attempt, and only where it answers the hello', (t) => {
  const { harness, initiator } = answered('hello');
  const collision = encodeUnsealed(initiator.index, 0, TYPE.collision, EMPTY, 1);
  t.is(receive(initiator, encodeUnsealed(initiator.index, 0, TYPE.collision, Uint8Array.of(1), 1), harness), 'content');
  t.is(receive(initiator, encodeUnsealed(initiator.index ^ 1, 0, TYPE.collision, EMPTY, 1), harness), 'unknown_index');
  t.is(failure(initiator.receive(collision, harness.now)), 'collision');
  t.is(receive(initiator, collision, harness), 'unknown_index', 'it is over');
  for (const step of ['kkt', 'h1', 'h3'] as const) {
    const later = answered(step);
    t.is(
      later.initiator.receive(encodeUnsealed(later.initiator.index, 0, TYPE.collision, EMPTY, 1), later.harness.now)
        .kind,
      'drop',
    );
    t.true(forwards(later.ground, finish(later.ground, later.opening).session));
  }
});

const HINTS: [string, (index: number, now: number) => Uint8Array, string][] = [
  ['Busy of LP1', (index) => encodeUnsealed(index, 0, TYPE.busy, EMPTY, 1), 'busy'],
  ['Busy of LP2', (index) => encodeBusyPacket(index, 3), 'busy'],
  [
    'Error 1',
    (index, gatewayUnixMs) => encodeErrorPacket(index, { code: 1, gatewayUnixMs, minVersion: 2, maxVersion: 2 }),
    'version',
  ],
];

for (const [name, hint, reason] of HINTS) {
  for (const step of ['hello', 'kkt', 'h1'] as const) {
    // A gateway looks at the version before there is an index to send a Handshake 1 to.
    if (step === 'h1' && reason === 'version') continue;
    test(`${name} to ${step} ends the attempt after a second, unless the real reply comes`, (t) => {
      const { harness, initiator } = answered(step);
      t.is(receive(initiator, hint(initiator.index, harness.unixMs), harness), 'wait');
      t.is(initiator.nextTickMs(), harness.monotonicMs + 1_000);
      harness.later(999);
      t.is(receive(initiator, hint(initiator.index, harness.unixMs), harness), 'wait', 'a second one brings no delay');
      t.is(initiator.tick(harness.now).kind, 'wait');
      harness.later(1);
      t.is(failure(initiator.tick(harness.now)), reason);

      const lucky = answered(step);
      receive(lucky.initiator, hint(lucky.initiator.index, lucky.harness.unixMs), lucky.harness);
      const next = lucky.initiator.receive(lucky.reply.slice(), lucky.harness.now);
      t.is(lucky.initiator.nextTickMs(), lucky.harness.monotonicMs + 10_000);
      const rest: Opening = { ...lucky.opening, next: packetOfStep(next) };
      t.true(forwards(lucky.ground, finish(lucky.ground, rest).session));
    });
  }
}

test('other Errors, and what only looks like a hint, are not followed', (t) => {
  const { ground, harness, initiator, opening } = answered('hello');
  const error = (code: 1 | 2 | 3 | 4) =>
    encodeErrorPacket(initiator.index, { code, gatewayUnixMs: harness.unixMs, minVersion: 2, maxVersion: 2 });
  for (const code of [2, 3, 4] as const) t.is(receive(initiator, error(code), harness), 'wait');
  t.is(receive(initiator, encodeUnsealed(initiator.index, 0, TYPE.error, EMPTY), harness), 'content');
  t.is(receive(initiator, encodeUnsealed(initiator.index, 0, TYPE.busy, EMPTY, 3), harness), 'version');
  t.is(receive(initiator, encodeUnsealed(initiator.index, 1, TYPE.busy, EMPTY, 1), harness), 'counter');
  const wrongVersion = error(1);
  wrongVersion[12] = 1;
  t.is(receive(initiator, wrongVersion, harness), 'type');
  t.is(initiator.nextTickMs(), harness.monotonicMs + 10_000);
  t.true(forwards(ground, finish(ground, opening).session));
});

test('after Handshake 3 no hint is followed: the gateway may have the session by now', (t) => {
  for (const [name, hint] of HINTS) {
    const { ground, harness, initiator, opening } = answered('h3');
    t.is(initiator.receive(hint(initiator.index, harness.unixMs), harness.now).kind, 'drop', name);
    t.true(forwards(ground, finish(ground, opening).session));
  }
});

test('a step without a reply ends the attempt after 10 s; nothing is ever repeated', (t) => {
  for (const step of STEPS) {
    const ground = lp1Gateway();
    const { initiator, next } = upTo(ground, step);
    t.is(initiator.nextTickMs(), ground.harness.monotonicMs + 10_000);
    ground.harness.later(9_999);
    t.is(initiator.tick(ground.harness.now).kind, 'wait');
    ground.harness.later(1);
    t.is(failure(initiator.tick(ground.harness.now)), 'timeout');
    t.is(initiator.tick(ground.harness.now).kind, 'wait');
    t.is(receive(initiator, next, ground.harness), 'unknown_index');
  }
});

test('an abandoned attempt has wiped its secrets, and takes nothing', (t) => {
  for (const step of STEPS) {
    const { harness, initiator, reply } = answered(step);
    const inside = initiator as unknown as {
      staticSecret: Uint8Array;
      stage: { secrets?: { outer: Uint8Array; psk: Uint8Array } };
    };
    const { secrets } = inside.stage;
    initiator.abandon();
    initiator.abandon();
    for (const secret of [inside.staticSecret, secrets?.outer, secrets?.psk])
      t.true(secret?.every((byte) => byte === 0) ?? true);
    t.is(receive(initiator, reply, harness), 'unknown_index');
  }
});

test('PSQ tells a time of 30 s ago by the clock that the attempt goes by', (t) => {
  for (const clockOffsetMs of [0, 20_000]) {
    const ground = lp1Gateway();
    // Everything that it draws is the same, so the message has the same bytes exactly when it has the same time.
    const random = { kind: 'seeded', fill: (out: Uint8Array) => out.fill(0x42) } as const;
    const { next, initiator } = upTo(ground, 'h1', { random, clockOffsetMs });
    const told = (unixMs: number) => {
      const { seed: clientSeed } = CLIENT;
      const options = {
        kem: 'x25519',
        responderKey: GATEWAY.x25519,
        clientSeed,
        receiverIndex: initiator.index,
      } as const;
      return initiatePsq(crypto, random, { ...options, unixMs })!.message;
    };
    const { unixMs } = ground.harness;
    t.deepEqual(next.slice(20, 20 + 207), told(unixMs + clockOffsetMs - 30_000));
    t.notDeepEqual(next.slice(20, 20 + 207), told(unixMs + clockOffsetMs));
  }
});
