/** lp1.json: PSQ with X25519 step by step, and the runs with ML-KEM-768 and X-Wing. */
import type { ExecutionContext } from 'ava';
import type { CryptoProvider, KemName } from '../../../../src/lp/crypto/provider.ts';
import {
  initiatePsq,
  openHandle,
  PSQ_HANDLE_LENGTH,
  PSQ_MESSAGE_LENGTH,
  type PsqKem,
  psqKeySchedule,
  respondPsq,
} from '../../../../src/lp/v1/psq.ts';
import { concat } from '../../../../src/lp/wire/bytes.ts';
import { seededRandom } from '../../../support/seeded-random.ts';
import { toHex, type VectorReader } from '../../../support/vectors.ts';
import { identities, psqTimeMs, sameHex } from './inputs.ts';

type Test = ExecutionContext;
const TAG_X25519 = Uint8Array.of(0x00);

function initiate(v: VectorReader, crypto: CryptoProvider, kem: PsqKem, responderKey: Uint8Array, draws: Uint8Array) {
  const random = seededRandom([draws]);
  const { clientSeed } = identities(v);
  const receiverIndex = v.number('receiver_index');
  const options = { kem, responderKey, clientSeed, receiverIndex, unixMs: psqTimeMs(v) };
  return { result: initiatePsq(crypto, random, options)!, random };
}

function respond(
  v: VectorReader,
  crypto: CryptoProvider,
  message: Uint8Array,
  kem: PsqKem,
  responderKey: Uint8Array,
  decapsulate: (ciphertext: Uint8Array) => Uint8Array | undefined,
) {
  return respondPsq(crypto, message, {
    kem,
    decapsulate,
    responderKey,
    clientEd25519: identities(v).clientEd25519,
    receiverIndex: v.number('receiver_index'),
    nowUnixMs: psqTimeMs(v),
    futureToleranceMs: 0,
    maxAgeMs: 3_600_000,
  });
}

export function checkPsqSchedule(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const { gatewayX25519, gatewaySecret, clientEd25519, clientSeed } = identities(v);
  const ephemeral = v.hex('psq_kem_ephemeral_priv');
  const ciphertext = crypto.x25519PublicKey(ephemeral);
  sameHex(t, ciphertext, v, 'psq_kem_ephemeral_pub');
  const shared = crypto.x25519(ephemeral, gatewayX25519)!;
  sameHex(t, shared, v, 'psq_kem_shared');
  sameHex(t, crypto.x25519(gatewaySecret, ciphertext), v, 'psq_kem_shared');
  const ssTls = concat(TAG_X25519, shared);
  sameHex(t, ssTls.subarray(0, 32), v, 'psq_ikm_prk_truncated32');
  const ctTls = concat(TAG_X25519, ciphertext);
  const index = v.number('receiver_index');
  const keys = psqKeySchedule(crypto, ssTls, concat(TAG_X25519, gatewayX25519), ctTls, index);
  sameHex(t, keys.k0, v, 'psq_k0');
  sameHex(t, keys.km, v, 'psq_km');
  sameHex(t, keys.mac, v, 'psq_mac');
  sameHex(t, keys.kpq, v, 'psq_k_pq');
  sameHex(t, keys.registeredPsk, v, 'psq_registered_psk_aka_nym_pq_shared_secret');
  sameHex(t, keys.initiatorKey, v, 'psq_aead_i_key');
  sameHex(t, keys.initiatorIv, v, 'psq_aead_i_iv');
  sameHex(t, keys.handleKey, v, 'psq_aead_r_key');
  sameHex(t, keys.handleIv, v, 'psq_aead_r_iv');

  const enc = concat(ctTls, keys.mac);
  sameHex(t, enc, v, 'psq_ciphertext_tls_signed');
  sameHex(t, crypto.ed25519Sign(clientSeed, enc), v, 'psq_signature');
  t.true(crypto.ed25519Verify(clientEd25519, enc, v.hex('psq_signature')));
  const message = v.hex('psq_initiator_msg');
  const sealed = concat(message.subarray(65 + 16 + 2), message.subarray(65, 65 + 16));
  const plaintext = new Uint8Array(sealed.length - 16);
  t.true(crypto.aeadOpen(plaintext, sealed, new Uint8Array(0), keys.initiatorIv, keys.initiatorKey));
  sameHex(t, plaintext, v, 'psq_aead_plaintext');
}

export function checkPsqMessages(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const { gatewayX25519, gatewaySecret } = identities(v);
  const { result, random } = initiate(v, crypto, 'x25519', gatewayX25519, v.hex('psq_kem_ephemeral_priv'));
  t.is(random.remaining, 0);
  sameHex(t, result.message, v, 'psq_initiator_msg');
  t.is(PSQ_MESSAGE_LENGTH, v.number('psq_initiator_msg_len'));
  const answer = respond(v, crypto, v.hex('psq_initiator_msg'), 'x25519', gatewayX25519, (ciphertext) =>
    crypto.x25519(gatewaySecret, ciphertext),
  )!;
  sameHex(t, answer.handle, v, 'psq_responder_msg');
  t.is(PSQ_HANDLE_LENGTH, v.number('psq_responder_msg_len'));
  for (const { registeredPsk, handleKey, handleIv } of [result, answer]) {
    sameHex(t, registeredPsk, v, 'psq_registered_psk_aka_nym_pq_shared_secret');
    sameHex(t, handleKey, v, 'psq_aead_r_key');
    sameHex(t, handleIv, v, 'psq_aead_r_iv');
  }
  t.true(openHandle(crypto, result, v.hex('psq_responder_msg')));
}

interface KemRun {
  readonly kem: KemName;
  readonly prefix: 'mlkem768' | 'xwing';
  readonly seed: string;
  /** What encapsulating draws, in its order. */
  readonly draws: readonly string[];
  /** TLS encodings of §5.1, without the values themselves. */
  readonly tag: number;
}

export const KEM_RUNS: readonly KemRun[] = [
  {
    kem: 'ml-kem-768',
    prefix: 'mlkem768',
    seed: 'mlkem768_keygen_seed_d_z',
    draws: ['mlkem768_encaps_coins'],
    tag: 0x03,
  },
  {
    kem: 'x-wing',
    prefix: 'xwing',
    seed: 'xwing_seed',
    draws: ['xwing_mlkem_coins', 'xwing_x25519_eph_priv'],
    tag: 0x05,
  },
];

export function checkKemRun(t: Test, v: VectorReader, crypto: CryptoProvider, run: KemRun): void {
  const { kem, prefix, tag } = run;
  const name = (what: string) => `${prefix}_${what}`;
  const suite = crypto.kems[kem];
  const secretKey = suite.secretKeyFromSeed(v.hex(run.seed));
  const publicKey = secretKey.publicKey.bytes;
  sameHex(t, crypto.sha256(publicKey), v, name('pk_sha256'));
  const draws = concat(...run.draws.map((path) => v.hex(path)));
  const { ciphertext, sharedSecret } = suite.encapsulate(secretKey.publicKey, seededRandom([draws]))!;
  sameHex(t, crypto.sha256(ciphertext), v, name('ct_sha256'));
  sameHex(t, sharedSecret, v, name('ss'));
  sameHex(t, secretKey.decapsulate(ciphertext), v, name('ss'));
  const ctTls = concat(Uint8Array.of(tag, 0x44, 0x40), ciphertext);
  const pkTls = concat(Uint8Array.of(tag, 0x44, 0xa0), publicKey);
  const keys = psqKeySchedule(
    crypto,
    concat(Uint8Array.of(tag), sharedSecret),
    pkTls,
    ctTls,
    v.number('receiver_index'),
  );
  sameHex(t, keys.k0, v, name('psq_k0'));
  sameHex(t, keys.registeredPsk, v, name('psq_registered_psk'));

  const { result, random } = initiate(v, crypto, kem, publicKey, draws);
  t.is(random.remaining, 0);
  t.is(result.message.length, v.number(name('initiator_msg_len')));
  sameHex(t, crypto.sha256(result.message), v, name('initiator_msg_sha256'));
  sameHex(t, result.registeredPsk, v, name('psq_registered_psk'));
  const answer = respond(v, crypto, result.message, kem, publicKey, (ct) => secretKey.decapsulate(ct))!;
  t.is(toHex(answer.registeredPsk), toHex(result.registeredPsk));
  t.true(openHandle(crypto, result, answer.handle));
}

/** The file states that noble agreed with it: so does each provider, above. */
export function checkNobleAgreed(t: Test, v: VectorReader): void {
  t.is(v.text('xwing_noble_pk_matches'), 'true');
  t.is(v.text('xwing_noble_decaps_matches'), 'true');
}
