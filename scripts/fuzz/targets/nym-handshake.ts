/**
 * KKT and PSQ (nym.md §4, §5), message by message: raw bytes, changes of the genuine message, and contents that are dictated
 * and sealed properly, so that the input gets behind masks and tags. Both providers give the same answer to all of it, and what
 * is taken is reckoned here from the bytes. Input: how to make the message, then its bytes or what is xored into them.
 */
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { nymCrypto } from '../../../src/lp/crypto/nym-load.ts';
import type { NymCrypto } from '../../../src/lp/crypto/nym-provider.ts';
import { answerState, innerState, outerState, type PsqState } from '../../../src/lp/nym/key-schedule.ts';
import { answerKktRequest, readKktResponse, writeKktRequest } from '../../../src/lp/nym/kkt.ts';
import {
  type CarrierKeys,
  carrierKeys,
  openCarrier,
  sealCarrier,
  versionMask,
} from '../../../src/lp/nym/kkt-carrier.ts';
import { PsqInitiator } from '../../../src/lp/nym/psq-initiator.ts';
import {
  ANSWER_AAD,
  decodeMessage1,
  decodeRegistration,
  encodeMessage1,
  encodeMessage2,
  encodeRegistration,
  INNER_AAD,
  OUTER_AAD,
} from '../../../src/lp/nym/psq-message.ts';
import { answerMessage1 } from '../../../src/lp/nym/psq-responder.ts';
import { concat } from '../../../src/lp/wire/bytes.ts';
import { Prng } from '../../../test/support/prng.ts';
import { words } from '../arbitraries.ts';
import { type FuzzTarget, oracle, plain, providersFor, sameBytes } from '../target.ts';

const native = nymCrypto(await loadProvider('native'));
const portable = nymCrypto(await loadProvider('portable'));

const [SECRET, CLIENT_SECRET, EPHEMERAL] = [byte(3), byte(4), byte(5)];
const KEM_SEED = new Uint8Array(64).fill(6);
const SEED = new Uint8Array(16).fill(7);
/** Entry, filler, seed. */
const CONFIG = Uint8Array.from([0x00, 9, 9, 9, ...SEED]);
const CONTEXT = Uint8Array.of(0x10, 0, 1, 0, 0, 0, 0);
const ANSWER_CONTEXT = Uint8Array.of(0x11, 1, 1, 0, 0, 0, 0);
const PUBLIC = native.base.x25519PublicKey(SECRET);

function byte(value: number): Uint8Array {
  return new Uint8Array(32).fill(value);
}

function nodeOf(crypto: NymCrypto) {
  const kem = crypto.base.kems['ml-kem-768'].secretKeyFromSeed(KEM_SEED);
  return { crypto, secret: SECRET, publicKey: PUBLIC, kem, kemKey: kem.publicKey.bytes };
}

type Node = ReturnType<typeof nodeOf>;
const NODES = [nodeOf(native), nodeOf(portable)] as const;
const [NODE] = NODES;
const DIGEST = { hash: 'blake3', digest: native.digest('blake3', NODE.kemKey) } as const;
const random = () => ({ kind: 'seeded' as const, fill: (out: Uint8Array) => void out.fill(8) });

function xored(bytes: Uint8Array, mask: Uint8Array): Uint8Array {
  return concat(
    bytes.map((each, i) => each ^ (mask[i] ?? 0)),
    mask.subarray(bytes.length),
  );
}

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

/** What both providers make of it, which is the same. */
function agreed<T>(input: Uint8Array, run: (node: Node) => T): T {
  const [one, other] = providersFor(input, NODES);
  const first = run(one);
  const [a, b] = [plain(first), plain(run(other))];
  oracle(a === b, () => `${a.slice(0, 200)} and ${b.slice(0, 200)}`);
  return first;
}

function carrierOf(secret: Uint8Array): { start: Uint8Array; keys: CarrierKeys } {
  const ephemeral = native.base.x25519PublicKey(secret);
  const mask = versionMask(native, ephemeral, PUBLIC);
  const shared = native.base.x25519(secret, PUBLIC) ?? byte(0);
  return { start: concat(ephemeral, mask), keys: carrierKeys(native, shared, mask, ephemeral, PUBLIC) };
}

/** Context and peer config of a request that has to be answered. */
function isGoodRequest(plaintext: Uint8Array): boolean {
  const [first, flags, kem, hash = 9, length = 1, signature] = plaintext;
  const [config = 0] = plaintext.subarray(7);
  const [hop, exit, node] = [config % 16, (config & 16) !== 0, (config & 32) !== 0];
  const goodConfig = node ? !exit && hop === 0 : exit ? hop > 0 : hop < 15;
  const goodContext = first === 0x10 && flags === 0 && kem === 1 && hash < 4 && signature === 0;
  return plaintext.length === 27 && goodContext && (length === 0 || length >= 16) && goodConfig;
}

function kktRequest(input: Uint8Array): void {
  const [mode = 0] = input;
  const rest = input.subarray(1);
  const { start, keys } = carrierOf(EPHEMERAL);
  const plaintext = xored(concat(CONTEXT, CONFIG), rest);
  const genuine = concat(start, sealCarrier(native, keys.request, CONTEXT, CONFIG));
  const message =
    [rest, xored(genuine, rest), concat(start, sealCarrier(native, keys.request, plaintext))][mode % 3] ?? rest;
  const answered = agreed(input, (node) => answerKktRequest(node.crypto, node, message.slice()));
  const expected = mode % 3 === 2 ? isGoodRequest(plaintext) : same(message, genuine);
  oracle((answered.kind === 'value') === expected, () => `${answered.kind} where ${expected}`);
  if (answered.kind === 'refuse') return;
  const opened = openCarrier(native, keys.response, answered.value.response) ?? byte(0);
  sameBytes(opened.subarray(7), NODE.kemKey, 'the answer has the node’s key');
  const context = mode % 3 === 2 ? plaintext.slice(0, 7) : CONTEXT.slice();
  context.set([0x11, 1]);
  context[6] = 0;
  // A length of 32 has two encodings, of which 00 is written.
  if (context[4] === 32) context[4] = 0;
  sameBytes(opened.subarray(0, 7), context, 'the answer echoes the request');
}

function kktResponse(input: Uint8Array): void {
  const [mode = 0] = input;
  const rest = input.subarray(1);
  const written = () => writeKktRequest(native, PUBLIC, EPHEMERAL, 'blake3', CONFIG);
  const keys = written()?.keys;
  oracle(keys !== undefined, 'a request is written');
  const genuine = sealCarrier(native, keys.response, ANSWER_CONTEXT, NODE.kemKey);
  const plaintext = xored(concat(ANSWER_CONTEXT, NODE.kemKey), rest);
  const message = [rest, xored(genuine, rest), sealCarrier(native, keys.response, plaintext)][mode % 3] ?? rest;
  const read = agreed(input, ({ crypto }) => {
    const fresh = written()?.keys ?? keys;
    const result = readKktResponse(crypto, fresh, message.slice(), DIGEST);
    oracle(same(fresh.request, byte(0)) && same(fresh.response, byte(0)), 'the keys of a request serve once');
    return result;
  });
  const [first = 0, flags, kem, hash, length, signature] = plaintext;
  const goodContext = first % 16 === 1 && first < 32 && flags === 1 && kem === 1 && hash === 0 && signature === 0;
  const goodKey = same(plaintext.subarray(7), NODE.kemKey) && (length === 0 || length === 32);
  const expected = mode % 3 === 2 ? goodContext && goodKey : same(message, genuine);
  oracle((read.kind === 'value') === expected, () => `${read.kind} where ${expected}`);
  if (read.kind === 'value') sameBytes(read.value, NODE.kemKey, 'the key is the node’s');
}

const KEM_KEY = native.base.kems['ml-kem-768'].importPublicKey(NODE.kemKey);

function initiator(): PsqInitiator {
  oracle(KEM_KEY !== undefined, 'the node has a good key');
  const keys = { clientSecret: CLIENT_SECRET, node: PUBLIC, kemKey: KEM_KEY, seed: SEED };
  const started = PsqInitiator.start(native, random(), keys);
  oracle(started !== undefined, 'a handshake starts');
  return started;
}

const GENUINE = initiator().message;
const X = native.base.x25519PublicKey(byte(8));
const dh = (secret: Uint8Array, publicKey: Uint8Array) => native.base.x25519(secret, publicKey);
const outer = (): PsqState => outerState(native, PUBLIC, X, dh(SECRET, X) ?? byte(0));
const OPENED = openOuter();

function openOuter(): Uint8Array {
  const decoded = decodeMessage1(GENUINE);
  const opened = decoded.kind === 'value' ? native.openOnce(outer().key, decoded.value.sealed, OUTER_AAD) : undefined;
  oracle(opened !== undefined, 'the genuine message opens');
  return opened;
}

/** Key, ciphertext and payload as the input has them, sealed as a client that knows their secrets would. */
function dictated(rest: Uint8Array): { message: Uint8Array; good: boolean } {
  const registration = decodeRegistration(OPENED);
  oracle(registration.kind === 'value', 'the genuine registration reads');
  const client = xored(registration.value.client, rest.subarray(1, 33));
  const ciphertext = xored(registration.value.ciphertext, rest.subarray(33, 33 + 1_088));
  const payload = Uint8Array.of(rest[0] ?? 0);
  const dhCS = dh(SECRET, client);
  const sharedSecret = NODE.kem.decapsulate(ciphertext) ?? byte(0);
  const inputs = { client, kemKey: NODE.kemKey, ciphertext, dhCS: dhCS ?? byte(0), sharedSecret };
  const { key } = innerState(native, outer(), inputs);
  const plaintext = encodeRegistration({ sealed: native.sealOnce(key, payload, INNER_AAD), ciphertext, client });
  const message = encodeMessage1({ ephemeral: X, sealed: native.sealOnce(outer().key, plaintext, OUTER_AAD) });
  return { message, good: dhCS !== undefined && payload[0] === 0 };
}

function message1(input: Uint8Array): void {
  const [mode = 0] = input;
  const rest = input.subarray(1);
  const answer = (message: Uint8Array) =>
    agreed(input, (node) => answerMessage1(node.crypto, random(), node, SEED, message.slice()));
  if (mode % 4 === 3) {
    const { message, good } = dictated(rest);
    const answered = answer(message);
    oracle((answered.kind === 'value') === good, () => `${plain(answered).slice(0, 100)} where ${good}`);
    return;
  }
  const changed = xored(OPENED, rest);
  const sealed = () => encodeMessage1({ ephemeral: X, sealed: native.sealOnce(outer().key, changed, OUTER_AAD) });
  const message = mode % 4 === 2 ? sealed() : mode % 4 === 1 ? xored(GENUINE, rest) : rest;
  const answered = answer(message);
  oracle((answered.kind === 'value') === same(message, GENUINE), () => `${answered.kind}: only the genuine message`);
}

function answerOf(message: Uint8Array): Uint8Array {
  const answered = answerMessage1(native, random(), NODE, SEED, message);
  oracle(answered.kind === 'value', 'the genuine message is answered');
  return answered.value.message;
}

const GENUINE_2 = answerOf(GENUINE);

/** The node's ephemeral key and the payload as the input has them. */
function dictatedAnswer(rest: Uint8Array): { message: Uint8Array; good: boolean } {
  const ephemeral = xored(GENUINE_2.slice(0, 32), rest.subarray(1, 33));
  const registration = decodeRegistration(OPENED);
  oracle(registration.kind === 'value', 'the genuine registration reads');
  const { client, ciphertext } = registration.value;
  const [dhCS = byte(0), dhCY, dhXY] = [dh(SECRET, client), dh(CLIENT_SECRET, ephemeral), dh(byte(8), ephemeral)];
  const sharedSecret = NODE.kem.decapsulate(ciphertext) ?? byte(0);
  const inner = innerState(native, outer(), { client, kemKey: NODE.kemKey, ciphertext, dhCS, sharedSecret });
  const last = answerState(native, inner, ephemeral, dhCY ?? byte(0), dhXY ?? byte(0));
  const payload = Uint8Array.of(rest[0] ?? 0);
  const message = encodeMessage2({ ephemeral, sealed: native.sealOnce(last.key, payload, ANSWER_AAD) });
  return { message, good: dhCY !== undefined && dhXY !== undefined && payload[0] === 0 };
}

function message2(input: Uint8Array): void {
  const [mode = 0] = input;
  const rest = input.subarray(1);
  const raw = mode % 3 === 1 ? xored(GENUINE_2, rest) : rest;
  const { message, good } = mode % 3 === 2 ? dictatedAnswer(rest) : { message: raw, good: same(raw, GENUINE_2) };
  const client = initiator();
  const read = client.read(message.slice());
  oracle((read.kind === 'value') === good, () => `${read.kind} where ${good}`);
  oracle(throws(client), 'an answer is read once');
}

/** A wiped secret is our own mistake to use. */
function throws(client: PsqInitiator): boolean {
  try {
    client.read(GENUINE_2);
    return false;
  } catch {
    return true;
  }
}

const LOW_ORDER = Uint8Array.from([
  ...[0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a],
  ...[0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00],
]);
function seedsOf(modes: number, ...genuine: readonly Uint8Array[]): Uint8Array[] {
  const prng = new Prng(21);
  const dictated = Array.from({ length: modes - 1 }, (_, i) => i + 1);
  return [
    ...genuine.map((each) => Uint8Array.from([0, ...each])),
    ...dictated.map((mode) => Uint8Array.of(mode)),
    ...dictated.map((mode) => Uint8Array.from([mode, 0, ...prng.bytes(8)])),
  ];
}

/** A change of one byte of the genuine message, at each of its fields. */
const changesAt = (mode: number, ...offsets: readonly number[]) =>
  offsets.map((at) => {
    const seed = new Uint8Array(2 + at);
    seed[0] = mode;
    seed[1 + at] = 1;
    return seed;
  });
const client = native.base.x25519PublicKey(CLIENT_SECRET);
const toLowOrder = (key: Uint8Array) => Uint8Array.from([...[0], ...xored(key, LOW_ORDER)]);
const dictionary = words(
  [0x44, 0x93],
  [0x44, 0x44],
  [0x44, 0x40],
  [0x40, 0x01],
  [0x18],
  [0x12],
  [0x04],
  [0x05],
  [0x4f],
);

export const targets: readonly FuzzTarget[] = [
  {
    name: 'nym-kkt-request',
    run: kktRequest,
    seeds: () => [
      ...seedsOf(3, concat(carrierOf(EPHEMERAL).start, new Uint8Array(43)), LOW_ORDER),
      ...changesAt(1, 0, 31, 32, 48, 75, 90, 91),
      ...changesAt(2, 0, 1, 2, 3, 4, 5, 6, 7, 26, 27),
    ],
    dictionary: words([0x10], [0x11], [0x04], [0x20], [0x80]),
    maxLength: 1_300,
    batch: 64,
  },
  {
    name: 'nym-kkt-response',
    run: kktResponse,
    seeds: () => [...seedsOf(3), ...changesAt(1, 0, 1_190, 1_191), ...changesAt(2, 0, 1, 2, 3, 4, 5, 6, 7)],
    maxLength: 1_300,
    batch: 64,
  },
  {
    name: 'nym-message-1',
    run: message1,
    seeds: () => [
      ...seedsOf(4, GENUINE),
      ...changesAt(1, 0, 31, 32, 34, 1_205, 1_221, 1_222, 1_245, 1_246, 1_247),
      ...changesAt(2, 0, 1, 2, 3, 19, 20, 44, 46, 47, 48, 50, 1_138, 1_139, 1_170),
      Uint8Array.from([3, ...toLowOrder(client)]),
    ],
    dictionary,
    maxLength: 1_300,
    batch: 32,
    weight: 2,
  },
  {
    name: 'nym-message-2',
    run: message2,
    seeds: () => [
      ...seedsOf(3, GENUINE_2),
      ...changesAt(1, 0, 31, 32, 33, 34, 50, 51, 68, 69, 70),
      Uint8Array.from([2, ...toLowOrder(GENUINE_2.subarray(0, 32))]),
    ],
    dictionary,
    maxLength: 120,
    batch: 32,
  },
];
