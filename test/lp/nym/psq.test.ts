import test from 'ava';
import { PsqInitiator } from '../../../src/lp/nym/psq-initiator.ts';
import {
  decodeMessage1,
  decodeRegistration,
  encodeMessage1,
  encodeRegistration,
  MESSAGE_1_LENGTH,
} from '../../../src/lp/nym/psq-message.ts';
import { answerMessage1 } from '../../../src/lp/nym/psq-responder.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { makeNode, native, portable, randomBytes, systemRandom } from './pair.ts';

const NODE = makeNode();
const SEED = randomBytes(16);

function start(crypto = native, node = NODE.publicKey) {
  const kemKey = crypto.base.kems['ml-kem-768'].importPublicKey(NODE.kem.publicKey.bytes)!;
  return PsqInitiator.start(crypto, systemRandom, { clientSecret: randomBytes(32), node, kemKey, seed: SEED });
}

function answer(message: Uint8Array, seed = SEED, random = systemRandom) {
  return answerMessage1(native, random, NODE, seed, message);
}

function refusal(message: Uint8Array): string {
  const answered = answer(message);
  return answered.kind === 'refuse' ? answered.reason : answered.kind;
}

test('both sides derive the same session, with either provider at the client', (t) => {
  for (const crypto of [native, portable]) {
    const initiator = start(crypto)!;
    const answered = answer(initiator.message);
    if (answered.kind === 'refuse') throw new Error(answered.reason);
    t.deepEqual(initiator.read(answered.value.message), { kind: 'value', value: answered.value.secrets });
  }
});

test('the seed of the peer config changes the receiver index and nothing else', (t) => {
  const initiator = start()!;
  const ephemeral = randomBytes(32);
  const one = answer(initiator.message, SEED, seededRandom([ephemeral]));
  const two = answer(initiator.message, randomBytes(16), seededRandom([ephemeral]));
  if (one.kind === 'refuse' || two.kind === 'refuse') throw new Error('refused');
  t.deepEqual(one.value.message, two.value.message);
  t.not(one.value.secrets.index, two.value.secrets.index);
  t.deepEqual(one.value.secrets.initiatorToResponder, two.value.secrets.initiatorToResponder);
});

test('message 1 with any byte flipped, cut or lengthened is refused', (t) => {
  const { message } = start()!;
  t.is(message.length, MESSAGE_1_LENGTH);
  const expected: Record<number, string> = {
    0: 'tag',
    32: 'content',
    34: 'tag',
    1205: 'tag',
    1221: 'content',
    1222: 'aad',
    1246: 'suite',
  };
  for (const at of [0, 31, 32, 33, 34, 700, 1204, 1205, 1220, 1221, 1222, 1245, 1246]) {
    const reason: string = refusal(message.with(at, message[at]! ^ 1));
    t.is(reason, expected[at] ?? reason, String(at));
    t.not(reason, 'value');
  }
  for (const length of [0, 1, 70, 1246]) t.is(refusal(message.subarray(0, length)), 'length');
  t.is(refusal(Uint8Array.from([...message, 0])), 'length');
  t.is(refusal(message), 'value');
});

test('a refused message 1 draws nothing', (t) => {
  const { message } = start()!;
  const none = seededRandom([]);
  for (const at of [0, 700, 1246]) t.is(answer(message.with(at, message[at]! ^ 1), SEED, none).kind, 'refuse');
});

test('what message 1 hides is refused by what is wrong with it', (t) => {
  const good = { sealed: randomBytes(17), ciphertext: randomBytes(1088), client: randomBytes(32) };
  const plaintext = encodeRegistration(good);
  t.deepEqual(decodeRegistration(plaintext), { kind: 'value', value: good });
  const reasonOf = (bytes: Uint8Array) => {
    const decoded = decodeRegistration(bytes);
    return decoded.kind === 'refuse' ? decoded.reason : decoded.kind;
  };
  const cases: [number, number, string][] = [
    [0, 0x00, 'query'],
    [0, 0x02, 'content'],
    [1, 0x02, 'content'],
    [19, 0x17, 'content'],
    [20, 0x00, 'aad'],
    [44, 0x40, 'content'],
    [46, 0x00, 'no_post_quantum'],
    [46, 0x02, 'content'],
    [47, 0x01, 'content'],
    [48, 0x04, 'content'],
    [1138, 0x01, 'content'],
  ];
  for (const [at, value, reason] of cases)
    t.is<string, string>(reasonOf(plaintext.with(at, value)), reason, String(at));
  for (let length = 0; length < plaintext.length; length += 13) t.not(reasonOf(plaintext.subarray(0, length)), 'value');
  t.is(reasonOf(Uint8Array.from([...plaintext, 0])), 'content');
});

test('an envelope is read as it was written', (t) => {
  const envelope = { ephemeral: randomBytes(32), sealed: randomBytes(1187) };
  t.deepEqual(decodeMessage1(encodeMessage1(envelope)), { kind: 'value', value: envelope });
});

test('message 2 is read once, and one that is not the answer is refused', (t) => {
  for (const [at, reason] of [
    [0, 'tag'],
    [32, 'content'],
    [33, 'tag'],
    [49, 'tag'],
    [50, 'content'],
    [68, 'aad'],
    [69, 'suite'],
  ] as const) {
    const initiator = start()!;
    const answered = answer(initiator.message);
    if (answered.kind === 'refuse') throw new Error(answered.reason);
    const { message } = answered.value;
    const read = initiator.read(message.with(at, message[at]! ^ 1));
    t.is(read.kind === 'refuse' && read.reason, reason, String(at));
    t.throws(() => initiator.read(message));
  }
  const [one, two] = [start()!, start()!];
  const answered = answer(one.message);
  if (answered.kind === 'refuse') throw new Error(answered.reason);
  t.deepEqual(two.read(answered.value.message), { kind: 'refuse', reason: 'tag' });
});

test('keys of low order are refused at both sides', (t) => {
  t.is(start(native, new Uint8Array(32)), undefined);
  const { message } = start()!;
  const low = message.slice();
  low.fill(0, 0, 32);
  t.is(refusal(low), 'low_order');
  const initiator = start()!;
  const answered = answer(initiator.message);
  if (answered.kind === 'refuse') throw new Error(answered.reason);
  t.deepEqual(initiator.read(answered.value.message.fill(0, 0, 32)), { kind: 'refuse', reason: 'low_order' });
});
