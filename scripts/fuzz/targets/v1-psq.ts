/**
 * PSQ of LP1 (lp1.md §5): what a client may write inside is sealed properly, so that the input gets behind mac and tag.
 * Both providers agree, and a message is accepted if its key is the hello's, its signature good and its time within the
 * bounds, reckoned here with integers of any size. Input: mode, then a raw message or the 124 bytes within.
 */

import type { CryptoProvider } from '../../../src/lp/crypto/provider.ts';
import {
  initiatePsq,
  openHandle,
  PSQ_HANDLE_LENGTH,
  PSQ_MESSAGE_LENGTH,
  psqKeySchedule,
  respondPsq,
} from '../../../src/lp/v1/psq.ts';
import { concat } from '../../../src/lp/wire/bytes.ts';
import { CLIENT, GATEWAY, PROVIDERS, STRANGER } from '../../../test/lp/v1/people.ts';
import { words } from '../arbitraries.ts';
import { type FuzzTarget, oracle, providersFor, sameBytes } from '../target.ts';

const [native, portable] = PROVIDERS;
const INDEX = 0x1234_5678;
const NOW_MS = 1_764_583_200_123;
const FUTURE_MS = 30_000;
const MAX_AGE_MS = 120_000;
const TTL_LIMIT_MS = 3_600_000n;
const PLAINTEXT_LENGTH = 124;
const TAG = Uint8Array.of(0);
const EPHEMERAL = new Uint8Array(32).fill(9);
const MODES = 4;

const CT_TLS = concat(TAG, native.x25519PublicKey(EPHEMERAL));
const SHARED = native.x25519(EPHEMERAL, GATEWAY.x25519) ?? new Uint8Array(32);
const KEYS = psqKeySchedule(native, concat(TAG, SHARED), concat(TAG, GATEWAY.x25519), CT_TLS, INDEX);
const ENC = concat(CT_TLS, KEYS.mac);

function respond(crypto: CryptoProvider, message: Uint8Array) {
  return respondPsq(crypto, message, {
    kem: 'x25519',
    decapsulate: (ciphertext) => crypto.x25519(GATEWAY.secret, ciphertext),
    responderKey: GATEWAY.x25519,
    clientEd25519: CLIENT.ed25519,
    receiverIndex: INDEX,
    nowUnixMs: NOW_MS,
    futureToleranceMs: FUTURE_MS,
    maxAgeMs: MAX_AGE_MS,
  });
}

/** `mode` 1: client's signature and key, 2: a stranger's, 3: as the input has them. */
function sealed(mode: number, input: Uint8Array): Uint8Array {
  const plaintext = new Uint8Array(PLAINTEXT_LENGTH);
  plaintext.set(input.subarray(0, PLAINTEXT_LENGTH));
  if (mode < 3) {
    const signer = mode === 1 ? CLIENT : STRANGER;
    plaintext.set(native.ed25519Sign(signer.seed, ENC), 28);
    plaintext.set(signer.ed25519, 92);
  }
  const out = new Uint8Array(PLAINTEXT_LENGTH + 16);
  native.aeadSeal(out, plaintext, new Uint8Array(0), KEYS.initiatorIv, KEYS.initiatorKey);
  return concat(ENC, out.subarray(PLAINTEXT_LENGTH), Uint8Array.of(0x40, 0x7c), out.subarray(0, PLAINTEXT_LENGTH));
}

/** Independent of the code: a peer may pick any of the bits. */
function isTimely(plaintext: Uint8Array): boolean {
  const view = new DataView(Uint8Array.from({ length: 28 }, (_, i) => plaintext[i] ?? 0).buffer);
  const milliseconds = BigInt(view.getUint32(8));
  const ttl = (view.getBigUint64(12) << 64n) | view.getBigUint64(20);
  const age = BigInt(NOW_MS) - view.getBigUint64(0) * 1_000n - milliseconds;
  const limit = [BigInt(MAX_AGE_MS), ttl, TTL_LIMIT_MS].reduce((least, each) => (each < least ? each : least));
  return milliseconds < 1_000n && -age <= BigInt(FUTURE_MS) && age < limit;
}

function message(input: Uint8Array): void {
  const mode = (input[0] ?? 0) % MODES;
  const rest = input.subarray(1);
  const bytes = mode === 0 ? rest : sealed(mode, rest);
  const [one, other] = providersFor(input, [native, portable]).map((crypto) => respond(crypto, bytes));
  oracle((one === undefined) === (other === undefined), 'both providers accept, or neither does');
  if (mode === 1) oracle((one !== undefined) === isTimely(rest), 'a good signature is accepted if it is timely');
  if (mode === 2) oracle(one === undefined, 'a stranger signs for nobody else');
  if (one === undefined || other === undefined) return;
  sameBytes(one.handle, other.handle, 'handle');
  sameBytes(one.registeredPsk, other.registeredPsk, 'psk');
  oracle(openHandle(native, one, one.handle), 'the handle opens');
}

/** Input: xored into a genuine handle, and what follows it. */
function handle(input: Uint8Array): void {
  const answered = respond(native, sealed(1, genuinePlaintext()));
  oracle(answered !== undefined, 'the genuine message is accepted');
  const changed = concat(
    Uint8Array.from(answered.handle, (byte, i) => byte ^ (input[i] ?? 0)),
    input.subarray(PSQ_HANDLE_LENGTH),
  );
  const genuine = Buffer.compare(changed, answered.handle) === 0;
  for (const crypto of providersFor(input, [native, portable]))
    oracle(openHandle(crypto, answered, changed) === genuine, 'only the genuine handle');
}

function genuinePlaintext(seconds = BigInt(Math.floor(NOW_MS / 1_000)), ttl = TTL_LIMIT_MS): Uint8Array {
  const plaintext = new Uint8Array(28);
  const view = new DataView(plaintext.buffer);
  view.setBigUint64(0, seconds);
  view.setBigUint64(20, ttl);
  return plaintext;
}

function seeds(): Uint8Array[] {
  const random = { kind: 'seeded' as const, fill: (out: Uint8Array) => void out.fill(3) };
  const options = { kem: 'x25519' as const, responderKey: GATEWAY.x25519, clientSeed: CLIENT.seed };
  const whole = initiatePsq(native, random, { ...options, receiverIndex: INDEX, unixMs: NOW_MS });
  const now = BigInt(Math.floor(NOW_MS / 1_000));
  return [
    Uint8Array.from([0, ...(whole?.message ?? new Uint8Array(PSQ_MESSAGE_LENGTH))]),
    ...[now, now + 30n, now + 31n, now - 119n, now - 120n, 2n ** 53n, 2n ** 64n - 1n].map((seconds) =>
      Uint8Array.from([1, ...genuinePlaintext(seconds)]),
    ),
    Uint8Array.from([1, ...genuinePlaintext(now, 2n ** 64n - 1n)]),
    Uint8Array.from([1, ...genuinePlaintext(now, 0n)]),
    Uint8Array.from([2, ...genuinePlaintext()]),
    Uint8Array.from([3, ...genuinePlaintext(), ...native.ed25519Sign(CLIENT.seed, ENC), ...CLIENT.ed25519]),
  ];
}

const dictionary = words([0, 0, 3, 0xe7], [0, 0, 3, 0xe8], [0x40, 0x7c], [0, 0x36, 0xee, 0x80], [0, 0x1f, 0xff, 0xff]);

export const targets: readonly FuzzTarget[] = [
  { name: 'v1-psq-message', run: message, seeds, dictionary, maxLength: 240, batch: 32 },
  {
    name: 'v1-psq-handle',
    run: handle,
    seeds: () => [new Uint8Array(0), new Uint8Array(31), new Uint8Array(30).fill(1, 16, 17)],
    maxLength: 40,
    batch: 32,
  },
];
