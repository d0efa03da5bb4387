/** `handshakes` and `sizes_and_tags` of nym.json: both roles write the vectors' bytes, from the vectors' derivations. */
import type { ExecutionContext } from 'ava';
import type { NymCrypto, NymHash } from '../../../../src/lp/crypto/nym-provider.ts';
import { KEM_KEY_LENGTH } from '../../../../src/lp/nym/kem-suite.ts';
import { serialisedCiphertext } from '../../../../src/lp/nym/key-schedule.ts';
import { KKT_REQUEST_LENGTH, kktResponseLength, mutualRequestLength } from '../../../../src/lp/nym/kkt.ts';
import { MESSAGE_1_LENGTH, MESSAGE_2_LENGTH } from '../../../../src/lp/nym/psq-message.ts';
import { vector } from '../../../../src/lp/nym/tls-codec.ts';
import { ascii, concat, le32 } from '../../../../src/lp/wire/bytes.ts';
import { toHex, type VectorReader } from '../../../support/vectors.ts';
import { initiatorOf, NOW, type Recorded, recording, replied, responderOf, sent } from './inputs.ts';

type Test = ExecutionContext;
const MCELIECE_CIPHERTEXT_LENGTH = 156;

export function checkSizes(t: Test, v: VectorReader): void {
  const s = v.under('sizes_and_tags');
  t.is(KKT_REQUEST_LENGTH, s.number('kkt_request'));
  t.is(mutualRequestLength('mlkem768'), s.number('kkt_request_mutual'));
  t.is(kktResponseLength('mlkem768'), s.number('kkt_response'));
  t.is(kktResponseLength('mceliece'), s.number('mceliece_kkt_response'));
  t.is(MESSAGE_1_LENGTH, s.number('message_1'));
  t.is(MESSAGE_2_LENGTH, s.number('message_2'));
  const starts = (bytes: Uint8Array, path: string) => t.true(toHex(bytes).startsWith(s.text(path)), path);
  starts(serialisedCiphertext(v.hex('handshakes.0.psq.mlkem_ciphertext')), 'serialised_pq_ciphertext_starts');
  const mlKemKey = concat(Uint8Array.of(1, 0), vector(v.hex('handshakes.0.public_keys.mlkem_public_key')));
  starts(mlKemKey, 'serialised_pq_public_key_starts');
  const secret = s.text('serialised_pq_shared_secret_starts') + v.text('handshakes.0.psq.mlkem_shared_secret');
  t.true(v.text('handshakes.0.psq.k1_hkdf_ikm').endsWith(secret));
  // Classic McEliece is not spoken; its sizes follow from the same codec.
  const key = concat(Uint8Array.of(1, 1), vector(new Uint8Array(KEM_KEY_LENGTH.mceliece)));
  starts(key, 'mceliece_serialised_pq_public_key_starts');
  const ciphertext = concat(Uint8Array.of(1, 1), vector(new Uint8Array(MCELIECE_CIPHERTEXT_LENGTH)));
  starts(ciphertext, 'mceliece_serialised_pq_ciphertext_starts');
  const outer = 44 + vector(ciphertext).length + 33;
  starts(vector(new Uint8Array(outer)), 'mceliece_message_1_vl_header');
  t.is(32 + vector(new Uint8Array(outer)).length + 16 + 25 + 1, s.number('mceliece_message_1'));
  t.is(s.text('mceliece_suite_byte'), '05');
  t.is(
    s.text('mceliece_serialised_pq_shared_secret_starts'),
    `0102${toHex(vector(new Uint8Array(32)).subarray(0, 1))}`,
  );
  t.is(v.hex('registration_bodies.requests.finalise_zknym').length, s.number('finalise_zknym_body'));
}

/** Names, inputs and public keys. */
export function checkMaterial(t: Test, h: VectorReader, crypto: NymCrypto, name: string): void {
  t.is(h.text('name'), name);
  t.is(h.text('peer_config_role'), name);
  t.is(h.number('inputs.lp_version'), 1);
  checkKeys(t, h, crypto);
}

/** The initiator's whole handshake, with the node's messages as the vectors have them. */
export function checkClient(t: Test, h: VectorReader, plain: NymCrypto, hop: 'entry' | 'exit'): void {
  const { crypto, recorded } = recording(plain);
  const initiator = initiatorOf(h, crypto, hop);
  t.deepEqual(sent(initiator.start(NOW)), [h.text('kkt.request')]);
  t.deepEqual(sent(initiator.receive(h.hex('kkt.response'), NOW)), [h.text('psq.message_1')]);
  t.is(toHex(initiator.kemKey!), h.text('public_keys.mlkem_public_key'));
  const established = initiator.receive(h.hex('psq.message_2'), NOW);
  t.is(established.kind === 'established' && established.session.index, h.number('session.receiver_index_number'));
  checkCarrier(t, h, recorded);
  checkSchedule(t, h, recorded);
  t.is(recorded.sealed[0], h.text('kkt.request_plaintext'));
}

/** The responder's, with the client's messages. */
export function checkNode(t: Test, h: VectorReader, plain: NymCrypto): void {
  const { crypto, recorded } = recording(plain);
  const responder = responderOf(h, crypto);
  t.is(replied(responder.receive(h.hex('kkt.request'), NOW)), h.text('kkt.response'));
  const accepted = responder.receive(h.hex('psq.message_1'), NOW);
  t.is(replied(accepted), h.text('psq.message_2'));
  t.is(accepted.kind === 'established' && accepted.channel.index, h.number('session.receiver_index_number'));
  t.is(accepted.kind === 'established' && toHex(accepted.client), h.text('public_keys.client_lp_public_key'));
  checkCarrier(t, h, recorded);
  checkSchedule(t, h, recorded);
  t.is(h.text('kkt.response_plaintext_is'), 'response_context, then mlkem_public_key');
  t.is(recorded.sealed[0], h.text('kkt.response_context') + h.text('public_keys.mlkem_public_key'));
}

/** With the KEM key known, both messages leave at once, and the answers are the same. */
export function checkPipelined(t: Test, h: VectorReader, crypto: NymCrypto, hop: 'entry' | 'exit'): void {
  const initiator = initiatorOf(h, crypto, hop, { kemKey: h.hex('public_keys.mlkem_public_key') });
  t.deepEqual(sent(initiator.start(NOW)), [h.text('kkt.request'), h.text('psq.message_1')]);
  t.is(initiator.receive(h.hex('kkt.response'), NOW).kind, 'wait');
  t.is(initiator.receive(h.hex('psq.message_2'), NOW).kind, 'established');
}

function checkKeys(t: Test, h: VectorReader, crypto: NymCrypto): void {
  const { base } = crypto;
  const publicOf = (path: string) => toHex(base.x25519PublicKey(h.hex(path)));
  t.is(publicOf('inputs.client_lp_private_key'), h.text('public_keys.client_lp_public_key'));
  t.is(publicOf('inputs.node_lp_private_key'), h.text('public_keys.node_lp_public_key'));
  t.is(publicOf('inputs.kkt_ephemeral_private_key'), h.text('kkt.ephemeral_public_key'));
  t.is(publicOf('inputs.psq_initiator_ephemeral_private_key'), h.text('psq.initiator_ephemeral_public_key'));
  t.is(publicOf('inputs.psq_responder_ephemeral_private_key'), h.text('psq.responder_ephemeral_public_key'));
  const secret = base.kems['ml-kem-768'].secretKeyFromSeed(h.hex('inputs.mlkem_key_seed_d_then_z'));
  t.is(toHex(secret.publicKey.bytes), h.text('public_keys.mlkem_public_key'));
  t.is(toHex(secret.decapsulate(h.hex('psq.mlkem_ciphertext'))!), h.text('psq.mlkem_shared_secret'));
  for (const hash of ['blake3', 'shake256', 'shake128', 'sha256'] satisfies NymHash[]) {
    const digest = crypto.digest(hash, secret.publicKey.bytes);
    t.is(toHex(digest), h.text(`public_keys.mlkem_public_key_digests.${hash}`), hash);
  }
}

function checkCarrier(t: Test, h: VectorReader, { derived }: Recorded): void {
  const material = h.text('kkt.shared_secret') + h.text('kkt.carrier_context');
  t.true(h.text('kkt.carrier_context').startsWith(h.text('kkt.version_mask')));
  t.deepEqual(derived.slice(0, 2), [
    { context: 'CARRIER_V1_KDF_TX', material, out: h.text('kkt.key_request') },
    { context: 'CARRIER_V1_KDF_RX', material, out: h.text('kkt.key_response') },
  ]);
  t.is(derived[2]!.out.slice(0, 8), h.text('session.receiver_index_wire_bytes'));
  t.is(toHex(le32(h.number('session.receiver_index_number'))), h.text('session.receiver_index_wire_bytes'));
}

function checkSchedule(t: Test, h: VectorReader, { sha256, hkdf }: Recorded): void {
  const transcripts = ['tx0', 'tx1', 'tx2'];
  t.deepEqual(
    sha256,
    transcripts.map((tx) => h.text(`psq.${tx}_sha256_input`)),
  );
  const ks = h.text('session.session_key');
  const keyed = { ikm: `01${ks}`, salt: '' };
  t.deepEqual(hkdf, [
    ...transcripts.map((tx, i) => ({
      ikm: h.text(`psq.k${i}_hkdf_ikm`),
      salt: '',
      info: h.text(`psq.${tx}`),
      out: h.text(`psq.k${i}`),
    })),
    {
      ikm: h.text('session.session_key_hkdf_ikm'),
      salt: '',
      info: h.text('session.session_key_hkdf_info'),
      out: ks,
    },
    { ...keyed, info: h.text('session.binder_hkdf_info'), out: h.text('session.binder') },
    ...['i2r', 'r2i'].map((direction) => ({
      ...keyed,
      info: h.text(`session.channel_key_${direction}_hkdf_info`),
      out: h.text(`session.channel_key_${direction}`),
    })),
  ]);
}

/** Local to the reference and never sent: nothing here needs it, but the derivation is the same. */
export function checkSessionId(t: Test, h: VectorReader, crypto: NymCrypto): void {
  const ikm = concat(Uint8Array.of(1), h.hex('session.session_key'));
  const extracted = crypto.hkdfExtract(ascii('session key salt'), ikm);
  const id = crypto.hkdfExpand(extracted, ascii('session key id'), 32);
  t.is(toHex(id), h.text('session.session_id'));
}
