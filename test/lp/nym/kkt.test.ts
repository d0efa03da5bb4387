import test from 'ava';
import fc from 'fast-check';
import {
  answerKktRequest,
  KKT_REQUEST_LENGTH,
  type KktResponder,
  readKktResponse,
  writeKktRequest,
} from '../../../src/lp/nym/kkt.ts';
import { carrierKeys, sealCarrier, versionMask } from '../../../src/lp/nym/kkt-carrier.ts';
import { decodeKktContext, encodeKktContext } from '../../../src/lp/nym/kkt-context.ts';
import { drawPeerConfig, isPeerConfig, seedOf } from '../../../src/lp/nym/peer-config.ts';
import { NymResponder } from '../../../src/lp/nym/responder.ts';
import { concat } from '../../../src/lp/wire/bytes.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { hex, toHex } from '../../support/vectors.ts';
import { makeNode, NOW, native, outcome, randomBytes, systemRandom } from './pair.ts';

const NODE = makeNode();
const KEM_KEY = NODE.kem.publicKey.bytes;
const RESPONDER: KktResponder = { secret: NODE.secret, publicKey: NODE.publicKey, kemKey: KEM_KEY };
const DIGEST = { hash: 'blake3', digest: native.digest('blake3', KEM_KEY) } as const;

function request(config = drawPeerConfig('entry', systemRandom), ownKemKey?: Uint8Array) {
  const written = writeKktRequest(native, NODE.publicKey, randomBytes(32), 'blake3', config, ownKemKey);
  if (written === undefined) throw new Error('no request');
  return written;
}

/** A request whose opened content is dictated. */
function sealed(plaintext: Uint8Array): Uint8Array {
  const secret = randomBytes(32);
  const ephemeral = native.base.x25519PublicKey(secret);
  const mask = versionMask(native, ephemeral, NODE.publicKey);
  const keys = carrierKeys(native, native.base.x25519(secret, NODE.publicKey)!, mask, ephemeral, NODE.publicKey);
  return concat(ephemeral, mask, sealCarrier(native, keys.request, plaintext));
}

const refusal = (message: Uint8Array) => {
  const answered = answerKktRequest(native, RESPONDER, message);
  return answered.kind === 'refuse' ? answered.reason : answered.kind;
};

test('a context is read as it was written', (t) => {
  const context = fc.record({
    version: fc.integer({ min: 0, max: 1 }),
    sequence: fc.nat(15),
    status: fc.constantFrom(0x00, 0x20, 0x40, 0x60, 0x80, 0xa0, 0xc0, 0xe0),
    mode: fc.constantFrom('one_way' as const, 'mutual' as const),
    role: fc.constantFrom('initiator' as const, 'responder' as const),
    kem: fc.constantFrom('mlkem768' as const, 'mceliece' as const),
    hash: fc.constantFrom('blake3' as const, 'shake256' as const, 'shake128' as const, 'sha256' as const),
    hashLength: fc.integer({ min: 16, max: 255 }),
  });
  fc.assert(fc.property(context, (value) => t.deepEqual(decodeKktContext(encodeKktContext(value)), value)));
});

test('a context of a later version, unknown mode, role, KEM, hash or signature, or a short digest is none', (t) => {
  for (const text of [
    '',
    '100001000000',
    '20000100000000',
    '10080100000000',
    '10020100000000',
    '10000000000000',
    '10000300000000',
    '10000104000000',
    '10000100010000',
    '100001000f0000',
    '10000100000100',
    '1000010000000000',
  ])
    t.is(decodeKktContext(hex(text)), undefined, text);
});

test('a peer config draws its seed before its filler, and its first byte says the hop', (t) => {
  const draw = () => seededRandom([hex('aa'.repeat(16)), hex('bbbbbb')]);
  t.is(toHex(drawPeerConfig('entry', draw())), `00bbbbbb${'aa'.repeat(16)}`);
  t.is(toHex(drawPeerConfig('exit', draw())), `11bbbbbb${'aa'.repeat(16)}`);
  t.is(toHex(seedOf(drawPeerConfig('exit', draw()))), 'aa'.repeat(16));
  t.false(isPeerConfig(new Uint8Array(19)));
});

test('a response answers its request alone', (t) => {
  const [one, two] = [request(), request()];
  const answered = answerKktRequest(native, RESPONDER, one.message);
  if (answered.kind === 'refuse') throw new Error(answered.reason);
  const { response } = answered.value;
  t.deepEqual(readKktResponse(native, two.keys, response.slice(), DIGEST), { kind: 'refuse', reason: 'tag' });
  const read = readKktResponse(native, one.keys, response, DIGEST);
  t.is(read.kind === 'value' && toHex(read.value), toHex(KEM_KEY));
  // The keys were for one response.
  t.deepEqual(readKktResponse(native, one.keys, response, DIGEST), { kind: 'refuse', reason: 'tag' });
});

test('a key whose digest was not announced is refused, whichever hash names it', (t) => {
  for (const hash of ['blake3', 'shake128', 'shake256', 'sha256'] as const) {
    const read = (digest: Uint8Array) => {
      const config = drawPeerConfig('entry', systemRandom);
      const written = writeKktRequest(native, NODE.publicKey, randomBytes(32), hash, config)!;
      const answered = answerKktRequest(native, RESPONDER, written.message);
      if (answered.kind === 'refuse') throw new Error(answered.reason);
      const got = readKktResponse(native, written.keys, answered.value.response, { hash, digest });
      return got.kind === 'refuse' ? got.reason : got.kind;
    };
    t.is(read(native.digest(hash, KEM_KEY)), 'value');
    t.is(read(randomBytes(32)), 'digest');
    t.is(read(native.digest(hash, KEM_KEY).subarray(0, 16)), 'digest');
  }
});

test('each part of a request names its own refusal', (t) => {
  const config = drawPeerConfig('entry', systemRandom);
  t.is(refusal(new Uint8Array(90)), 'length');
  t.is(refusal(randomBytes(91)), 'mask');
  t.is(refusal(sealed(concat(hex('10000100000000'), config))), 'value');
  t.is(refusal(sealed(concat(hex('10010100000000'), config))), 'context');
  t.is(refusal(sealed(concat(hex('11000100000000'), config))), 'context');
  t.is(refusal(sealed(concat(hex('00000100000000'), config))), 'context');
  t.is(refusal(sealed(concat(hex('10200100000000'), config))), 'context');
  t.is(refusal(sealed(concat(hex('10000200000000'), config))), 'kem_not_offered');
  t.is(refusal(sealed(concat(hex('10000100000000'), config.with(0, 0x10)))), 'peer_config');
  const low = new Uint8Array(91);
  low.set(versionMask(native, new Uint8Array(32), NODE.publicKey), 32);
  t.is(refusal(low), 'low_order');
});

test('a mutual request is read, and refused as one', (t) => {
  const { message } = request(undefined, KEM_KEY);
  t.is(message.length, 1275);
  t.is(refusal(message), 'mutual_mode');
  t.is(outcome(new NymResponder(NODE, NOW).receive(message, NOW)), 'mutual_mode');
  // What a node that reads 91 bytes sees of it.
  t.is(refusal(message.slice(0, KKT_REQUEST_LENGTH)), 'tag');
  t.is(refusal(sealed(concat(hex('10000100000000'), KEM_KEY, drawPeerConfig('entry', systemRandom)))), 'length');
});

test('a request with any byte flipped is refused, and so is a response', (t) => {
  const { message, keys } = request();
  for (let at = 0; at < message.length; at++) t.not(refusal(message.with(at, message[at]! ^ 0x40)), 'value');
  const answered = answerKktRequest(native, RESPONDER, message);
  if (answered.kind === 'refuse') throw new Error(answered.reason);
  const { response } = answered.value;
  for (const at of [0, 6, 7, 600, 1190, 1206]) {
    const copy = { request: keys.request.slice(), response: keys.response.slice() };
    t.is(readKktResponse(native, copy, response.with(at, response[at]! ^ 1), DIGEST).kind, 'refuse');
  }
  t.is(readKktResponse(native, keys, response.subarray(1), DIGEST).kind, 'refuse');
});

test('a node key that agrees on nothing gives no request', (t) => {
  const config = drawPeerConfig('entry', systemRandom);
  t.is(writeKktRequest(native, new Uint8Array(32), randomBytes(32), 'blake3', config), undefined);
});
