/** PSQ at a hostile peer: exact lengths, the clock, and what a signature is worth (lp1.md §5, §10-A 3, §10-B 15, 16, §10-C 19). */
import test from 'ava';
import type { CryptoProvider, KemName } from '../../../src/lp/crypto/provider.ts';
import {
  initiatePsq,
  openHandle,
  PSQ_HANDLE_LENGTH,
  PSQ_MESSAGE_LENGTH,
  psqKeySchedule,
  type RespondPsqOptions,
  respondPsq,
  wipePsq,
} from '../../../src/lp/v1/psq.ts';
import { ascii, concat, writeBe16 } from '../../../src/lp/wire/bytes.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { CLIENT, flipped, GATEWAY, LOW_ORDER_POINTS, otherLengths, PROVIDERS, STRANGER, spoiled } from './people.ts';

const [native, portable] = PROVIDERS;
const NOW = 1_764_583_200_123;
const HOUR_MS = 3_600_000;
const INDEX = 0x1234_5678;
const EMPTY = new Uint8Array(0);
const EPHEMERAL = new Uint8Array(32).fill(4);
const TAG = Uint8Array.of(0);

function respondOptions(crypto: CryptoProvider, changes: Partial<RespondPsqOptions> = {}): RespondPsqOptions {
  return {
    kem: 'x25519',
    decapsulate: (ciphertext) => crypto.x25519(GATEWAY.secret, ciphertext),
    responderKey: GATEWAY.x25519,
    clientEd25519: CLIENT.ed25519,
    receiverIndex: INDEX,
    nowUnixMs: NOW,
    futureToleranceMs: 0,
    maxAgeMs: HOUR_MS,
    ...changes,
  };
}

const respond = (message: Uint8Array, changes?: Partial<RespondPsqOptions>) =>
  respondPsq(native, message, respondOptions(native, changes));

function initiate(crypto: CryptoProvider = native, unixMs = NOW) {
  const options = { clientSeed: CLIENT.seed, receiverIndex: INDEX, unixMs };
  return initiatePsq(crypto, seededRandom([EPHEMERAL]), { kem: 'x25519', responderKey: GATEWAY.x25519, ...options })!;
}

interface Forgery {
  readonly seconds?: bigint;
  readonly milliseconds?: number;
  readonly ttlMs?: bigint;
  readonly signer?: Uint8Array;
  readonly credential?: Uint8Array;
}

/** The keys of a client that encapsulated as it should, and the ciphertext with its mac. */
function exchange() {
  const shared = native.x25519(EPHEMERAL, GATEWAY.x25519)!;
  const ctTls = concat(TAG, native.x25519PublicKey(EPHEMERAL));
  const keys = psqKeySchedule(native, concat(TAG, shared), concat(TAG, GATEWAY.x25519), ctTls, INDEX);
  return { keys, enc: concat(ctTls, keys.mac) };
}

function forgedPlaintext(forgery: Forgery = {}): Uint8Array {
  const time = Buffer.alloc(28);
  time.writeBigUInt64BE(forgery.seconds ?? BigInt(Math.floor(NOW / 1_000)), 0);
  time.writeUInt32BE(forgery.milliseconds ?? NOW % 1_000, 8);
  const ttl = forgery.ttlMs ?? BigInt(HOUR_MS);
  time.writeBigUInt64BE(ttl >> 64n, 12);
  time.writeBigUInt64BE(ttl & 0xffff_ffff_ffff_ffffn, 20);
  const signature = native.ed25519Sign(forgery.signer ?? CLIENT.seed, exchange().enc);
  return concat(time, signature, forgery.credential ?? CLIENT.ed25519);
}

function tlsLength(length: number): Uint8Array {
  if (length < 64) return Uint8Array.of(length);
  const out = new Uint8Array(2);
  writeBe16(out, 0, 0x4000 | length);
  return out;
}

/** Sealed with the right key, whatever the plaintext. */
function sealed(plaintext: Uint8Array, header = tlsLength(plaintext.length)): Uint8Array {
  const { keys, enc } = exchange();
  const out = new Uint8Array(plaintext.length + 16);
  native.aeadSeal(out, plaintext, EMPTY, keys.initiatorIv, keys.initiatorKey);
  return concat(enc, out.subarray(plaintext.length), header, out.subarray(0, plaintext.length));
}

const forged = (forgery?: Forgery) => sealed(forgedPlaintext(forgery));

for (const [initiating, responding] of [
  [native, portable],
  [portable, native],
] as const) {
  test(`both sides register the same PSK, and the client opens the handle (${initiating.name} initiates)`, (t) => {
    const { message, ...own } = initiate(initiating);
    t.is(message.length, PSQ_MESSAGE_LENGTH);
    const { handle, ...secrets } = respondPsq(responding, message, respondOptions(responding))!;
    t.deepEqual(secrets, own);
    t.is(handle.length, PSQ_HANDLE_LENGTH);
    t.true(openHandle(initiating, own, handle));
    wipePsq(own);
    t.deepEqual([...own.registeredPsk, ...own.handleKey, ...own.handleIv], [...new Uint8Array(76)]);
  });

  test(`a message that is cut, prolonged or changed in any byte is refused (${responding.name})`, (t) => {
    const { message } = initiate();
    for (const [what, bytes] of [...otherLengths(message), ...flipped(message)])
      t.is(respondPsq(responding, bytes, respondOptions(responding)), undefined, what);
  });
}

test('what the forgeries below start from is accepted', (t) => {
  t.deepEqual(forged(), initiate().message);
  t.not(respond(forged()), undefined);
});

test('a message for another index, another responder key or from another client is refused', (t) => {
  const { message } = initiate();
  t.is(respond(message, { receiverIndex: INDEX + 1 }), undefined);
  t.is(respond(message, { responderKey: STRANGER.x25519 }), undefined);
  t.is(respond(message, { decapsulate: (ct) => native.x25519(STRANGER.secret, ct) }), undefined);
  t.is(respond(message, { clientEd25519: STRANGER.ed25519 }), undefined);
});

test('a signature counts only with the key of the ClientHello, under the credential of the ClientHello', (t) => {
  t.is(respond(forged({ signer: STRANGER.seed })), undefined);
  t.is(respond(forged({ credential: STRANGER.ed25519 })), undefined);
  t.is(respond(forged({ signer: STRANGER.seed, credential: STRANGER.ed25519 })), undefined);
});

test('fault 3: the last byte of the shared secret changes no key, every other does', (t) => {
  const { keys } = exchange();
  const shared = concat(TAG, native.x25519(EPHEMERAL, GATEWAY.x25519)!);
  const pk = concat(TAG, GATEWAY.x25519);
  const ct = concat(TAG, native.x25519PublicKey(EPHEMERAL));
  t.deepEqual(psqKeySchedule(native, spoiled(shared, 32, 0xff), pk, ct, INDEX), keys);
  for (let i = 0; i < 32; i++) t.notDeepEqual(psqKeySchedule(native, spoiled(shared, i, 1), pk, ct, INDEX).k0, keys.k0);
});

test('fault 15: a handle that is cut, prolonged or changed in any byte does not open', (t) => {
  const own = initiate();
  const { handle } = respond(own.message)!;
  for (const [what, bytes] of [...otherLengths(handle), ...flipped(handle)])
    t.false(openHandle(native, own, bytes), what);
  t.true(openHandle(native, own, handle));
});

test('fault 15: another text under the right key is no handle', (t) => {
  const { keys } = exchange();
  for (const [text, opens] of [
    ['nym-lp-handle', true],
    ['nym-lp-handlf', false],
    ['NYM-LP-HANDLE', false],
  ] as const) {
    const out = new Uint8Array(text.length + 16);
    native.aeadSeal(out, ascii(text), EMPTY, keys.handleIv, keys.handleKey);
    const handle = concat(out.subarray(text.length), Uint8Array.of(text.length), out.subarray(0, text.length));
    t.is(openHandle(native, keys, handle), opens, text);
  }
});

test('fault 16: a clock that is ahead is tolerated exactly as far as is allowed', (t) => {
  const { message } = initiate(native, NOW + 5_000);
  t.is(respond(message), undefined);
  t.is(respond(message, { futureToleranceMs: 4_999 }), undefined);
  t.not(respond(message, { futureToleranceMs: 5_000 }), undefined);
});

test('fault 16: a clock that is ahead within one second is told by its milliseconds', (t) => {
  const { message } = initiate(native, NOW + 1);
  t.is(respond(message), undefined);
  t.not(respond(message, { futureToleranceMs: 1 }), undefined);
});

test('fault 16: a message is refused at the oldest age that is allowed, and at an hour at the latest', (t) => {
  for (const [maxAgeMs, limit] of [
    [30_000, 30_000],
    [HOUR_MS, HOUR_MS],
    [10 * HOUR_MS, HOUR_MS],
  ] as const) {
    t.not(respond(initiate(native, NOW - limit + 1).message, { maxAgeMs }), undefined);
    t.is(respond(initiate(native, NOW - limit).message, { maxAgeMs }), undefined);
  }
});

test('fault 16: the TTL of the message counts where it is the shortest bound', (t) => {
  const nowUnixMs = NOW + 1_000;
  for (const [ttlMs, accepted] of [
    [0n, false],
    [1_000n, false],
    [1_001n, true],
    [2n ** 32n, true],
    [2n ** 128n - 1n, true],
  ] as const) {
    t.is(respond(forged({ ttlMs }), { nowUnixMs }) !== undefined, accepted, `${ttlMs}`);
    t.is(respond(forged({ ttlMs }), { nowUnixMs: NOW + HOUR_MS }), undefined, `${ttlMs} after an hour`);
  }
});

test('fault 19a: an authenticated plaintext of any other length is refused and breaks nothing', (t) => {
  const whole = forgedPlaintext();
  for (let length = 0; length <= 130; length++) {
    const plaintext = new Uint8Array(length);
    plaintext.set(whole.subarray(0, length));
    t.is(respond(sealed(plaintext)) !== undefined, length === whole.length, `${length} bytes`);
  }
});

test('fault 19a: a length of the ciphertext that is not minimal, or not its own, is refused', (t) => {
  const plaintext = forgedPlaintext();
  for (const header of [[], [124], [0x80, 0, 0, 124], [0x40, 123], [0x40, 125], [0xc0, 124], [0, 124]])
    t.is(respond(sealed(plaintext, Uint8Array.from(header))), undefined, String(header));
});

test('fault 19b: no second and millisecond that a peer can write overflows', (t) => {
  const now = BigInt(Math.floor(NOW / 1_000));
  for (const [seconds, milliseconds] of [
    [2n ** 64n - 1n, 1_000],
    [2n ** 64n - 1n, 0xffff_ffff],
    [2n ** 64n - 1n, 0],
    [2n ** 63n, 0],
    [2n ** 53n, 0],
    [2n ** 53n - 1n, 999],
    [2n ** 32n + now, 0],
    [now, 1_000],
    [now - 1n, 1_000],
    [now - 100n, 0xffff_ffff],
    [0n, 0],
    [0n, 0xffff_ffff],
  ] as const) {
    const message = forged({ seconds, milliseconds, ttlMs: 2n ** 128n - 1n });
    t.is(respond(message), undefined, `${seconds} s ${milliseconds} ms`);
    t.is(respond(message, { futureToleranceMs: 1_000 }), undefined, `${seconds} s ${milliseconds} ms, tolerated`);
  }
});

test('ephemerals and responder keys of small order, and keys of another length, give nothing', (t) => {
  const { message } = initiate();
  const options = { clientSeed: CLIENT.seed, receiverIndex: INDEX, unixMs: NOW };
  for (const crypto of PROVIDERS) {
    for (const point of LOW_ORDER_POINTS) {
      const bytes = message.slice();
      bytes.set(point, 1);
      t.is(respondPsq(crypto, bytes, respondOptions(crypto)), undefined);
    }
    for (const responderKey of [...LOW_ORDER_POINTS, new Uint8Array(31), EMPTY])
      t.is(initiatePsq(crypto, seededRandom([EPHEMERAL]), { kem: 'x25519', responderKey, ...options }), undefined);
  }
});

test('the shared secret is wiped whether the message is accepted or refused', (t) => {
  for (const message of [
    forged(),
    forged({ signer: STRANGER.seed }),
    spoiled(forged(), 40, 1),
    spoiled(forged(), 70, 1),
  ]) {
    let shared: Uint8Array | undefined;
    respond(message, {
      decapsulate: (ciphertext) => {
        shared = native.x25519(GATEWAY.secret, ciphertext);
        return shared;
      },
    });
    t.deepEqual(shared, new Uint8Array(32));
  }
});

for (const [kem, coins, length] of [
  ['ml-kem-768', 32, 1_265],
  ['x-wing', 64, 1_297],
] as const satisfies readonly (readonly [KemName, number, number])[]) {
  const suite = native.kems[kem];
  const secretKey = suite.secretKeyFromSeed(new Uint8Array(suite.seedLength).fill(7));
  const responderKey = secretKey.publicKey.bytes;
  const options = { kem, clientSeed: CLIENT.seed, receiverIndex: INDEX, unixMs: NOW } as const;
  const draws = () => seededRandom([new Uint8Array(coins).fill(8)]);
  const changes = { kem, responderKey, decapsulate: (ct: Uint8Array) => secretKey.decapsulate(ct) } as const;

  test(`both sides register the same PSK with ${kem}`, (t) => {
    const { message, ...own } = initiatePsq(native, draws(), { ...options, responderKey })!;
    t.is(message.length, length);
    const { handle, ...secrets } = respond(message, changes)!;
    t.deepEqual(secrets, own);
    t.true(openHandle(native, own, handle));
    t.is(respond(message), undefined, 'where X25519 is expected');
  });

  test(`a ${kem} message that is cut, prolonged or changed is refused`, (t) => {
    const { message } = initiatePsq(native, draws(), { ...options, responderKey })!;
    for (const [what, bytes] of otherLengths(message)) t.is(respond(bytes, changes), undefined, what);
    for (let at = 0; at < message.length; at += at < 8 || at > 1_080 ? 1 : 37)
      t.is(respond(spoiled(message, at, 0x80), changes), undefined, `byte ${at}`);
  });

  test(`a key that is no ${kem} key gets no message`, (t) => {
    for (const key of [new Uint8Array(responderKey.length).fill(0xff), responderKey.subarray(1), EMPTY])
      t.is(initiatePsq(native, draws(), { ...options, responderKey: key }), undefined);
  });
}
