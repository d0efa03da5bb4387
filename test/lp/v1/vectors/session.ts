/** lp1.json: session keys, the Noise handshake with its packets, data both ways, and a subsession up to its first data. */
import type { ExecutionContext } from 'ava';
import type { CryptoProvider } from '../../../../src/lp/crypto/provider.ts';
import { KkInitiator, KkResponder } from '../../../../src/lp/noise/kk.ts';
import { type NoiseKeys, split } from '../../../../src/lp/noise/split.ts';
import { outerKey, sessionPsk, subsessionPsk } from '../../../../src/lp/v1/key-schedule.ts';
import { XkInitiatorV1, XkResponderV1 } from '../../../../src/lp/v1/noise-xk.ts';
import { openOuter, sealOuter } from '../../../../src/lp/v1/outer.ts';
import { ascii, concat, writeLe16, writeLe32 } from '../../../../src/lp/wire/bytes.ts';
import {
  contentOf,
  counterOf,
  encodeUnsealed,
  receiverIndex,
  TYPE,
  typeOf,
  VERSION_1,
  versionOf,
} from '../../../../src/lp/wire/packet.ts';
import { toHex, type VectorReader } from '../../../support/vectors.ts';
import { identities, le64, packetOf, sameFrame, sameHex } from './inputs.ts';

type Test = ExecutionContext;
const EMPTY = new Uint8Array(0);

export function checkKeySchedule(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const id = identities(v);
  const ecdh = crypto.x25519(id.clientSecret, id.gatewayX25519)!;
  sameHex(t, ecdh, v, 'static_static_ecdh');
  sameHex(t, crypto.x25519(id.gatewaySecret, id.clientX25519), v, 'static_static_ecdh');
  const psq = v.hex('psq_registered_psk_aka_nym_pq_shared_secret');
  const psk = sessionPsk(crypto, ecdh, psq, v.hex('salt'));
  sameHex(t, psk, v, 'noise_psk');
  sameHex(t, outerKey(crypto, psk), v, 'outer_aead_key');
  const first = subsessionPsk(crypto, psq, 0);
  sameHex(t, first, v, 'subsession_psk_index0');
  sameHex(t, subsessionPsk(crypto, psq, 1), v, 'subsession_psk_index1');
  sameHex(t, outerKey(crypto, first), v, 'subsession_outer_key_index0');
}

interface OuterPacket {
  readonly key: Uint8Array;
  readonly index: number;
  readonly counter: number;
  readonly type: number;
  readonly content: Uint8Array;
}

/** A sealed packet both ways. */
function checkOuter(t: Test, v: VectorReader, crypto: CryptoProvider, path: string, expected: OuterPacket): void {
  const { key, index, counter, type, content } = expected;
  sameFrame(t, sealOuter(crypto, key, index, counter, type, content), v, path);
  const packet = packetOf(v, path);
  t.deepEqual([receiverIndex(packet), counterOf(packet)], [index, counter], path);
  t.true(openOuter(crypto, key, packet), path);
  t.deepEqual([versionOf(packet), typeOf(packet), toHex(contentOf(packet))], [VERSION_1, type, toHex(content)], path);
}

function checkKeys(t: Test, v: VectorReader, keys: NoiseKeys, prefix: string): void {
  sameHex(t, keys.initiatorToResponder, v, `${prefix}_i2r_key`);
  sameHex(t, keys.responderToInitiator, v, `${prefix}_r2i_key`);
}

/** `LE16 length ‖ PSQ message ‖ Noise message` (§6.2). */
function withPsq(psqMessage: Uint8Array, noiseMessage: Uint8Array): Uint8Array {
  const length = new Uint8Array(2);
  writeLe16(length, 0, psqMessage.length);
  return concat(length, psqMessage, noiseMessage);
}

export function checkNoiseHandshake(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const id = identities(v);
  const psk = v.hex('noise_psk');
  const client = new XkInitiatorV1(crypto, id.clientSecret, id.gatewayX25519, v.hex('noise_e_i_priv'));
  const gateway = new XkResponderV1(crypto, id.gatewayX25519);
  sameHex(t, client.writeMessage1(), v, 'noise_msg1');
  t.true(gateway.readMessage1(v.hex('noise_msg1'), id.gatewaySecret));
  sameHex(t, gateway.writeMessage2(v.hex('noise_e_r_priv')), v, 'noise_msg2');
  t.true(client.readMessage2(v.hex('noise_msg2')));
  const written = client.writeMessage3(psk)!;
  sameHex(t, written.message, v, 'noise_msg3');
  t.is(written.message.length, v.number('noise_msg3_len'));
  const read = gateway.readMessage3(v.hex('noise_msg3'), psk)!;
  t.is(toHex(read.initiatorStatic), toHex(id.clientX25519));
  for (const { keys, handshakeHash } of [written, read]) {
    checkKeys(t, v, keys, 'noise');
    sameHex(t, handshakeHash, v, 'handshake_hash');
  }
  client.wipe();
  gateway.wipe();
}

export function checkHandshakePackets(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const index = v.number('receiver_index');
  const key = v.hex('outer_aead_key');
  const first = withPsq(v.hex('psq_initiator_msg'), v.hex('noise_msg1'));
  sameHex(t, first, v, 'handshake1_content');
  t.is(first.length, v.number('handshake1_content_len'));
  const packet = encodeUnsealed(index, 1, TYPE.handshake, first, VERSION_1);
  sameFrame(t, packet, v, 'handshake1_framed_cleartext');
  const second = withPsq(v.hex('psq_responder_msg'), v.hex('noise_msg2'));
  sameHex(t, second, v, 'handshake2_content');
  t.is(second.length, v.number('handshake2_content_len'));
  const { handshake: type } = TYPE;
  checkOuter(t, v, crypto, 'handshake2_framed_outer_aead', { key, index, counter: 1, type, content: second });
  const third = { key, index, counter: 2, type, content: v.hex('noise_msg3') };
  checkOuter(t, v, crypto, 'handshake3_framed_outer_aead', third);
  const ack = { key, index, counter: 0, type: TYPE.ack, content: EMPTY };
  checkOuter(t, v, crypto, 'later_upstream_final_ack_framed_outer_aead', ack);
}

/** `00000000 ‖ LE64 n`: the other way round than the outer nonce. */
function noiseNonce(n: number): Uint8Array {
  return concat(new Uint8Array(4), le64(n));
}

/** The transport message of Noise with nonce n: both ways. */
function sealInner(t: Test, crypto: CryptoProvider, key: Uint8Array, n: number, plaintext: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(plaintext.length + 16);
  crypto.aeadSeal(sealed, plaintext, EMPTY, noiseNonce(n), key);
  const opened = new Uint8Array(plaintext.length);
  t.true(crypto.aeadOpen(opened, sealed, EMPTY, noiseNonce(n), key));
  t.deepEqual(opened, plaintext);
  return sealed;
}

export function checkData(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const index = v.number('receiver_index');
  const key = v.hex('outer_aead_key');
  const type = TYPE.encryptedData;
  for (const [name, noiseKey, frame, counter] of [
    ['data1', 'noise_i2r_key', 'data1_framed', 3],
    ['reply1', 'noise_r2i_key', 'reply1_framed_note_same_key_nonce_as_handshake3', 2],
  ] as const) {
    const content = sealInner(t, crypto, v.hex(noiseKey), 0, v.hex(`${name}_plaintext`));
    sameHex(t, content, v, `${name}_noise_ciphertext`);
    checkOuter(t, v, crypto, frame, { key, index, counter, type, content });
  }
  // §10-B 5: handshake 3 and the first reply are sealed under one key and nonce, so the types cancel out of the sum.
  const [a, b] = ['handshake3_framed_outer_aead', 'reply1_framed_note_same_key_nonce_as_handshake3'].map((path) =>
    packetOf(v, path).subarray(12, 18),
  );
  t.is(toHex(a!.map((byte, i) => byte ^ b![i]!)), '000000000300');
}

/** KK1 and KK2 of the subsession that the client starts. */
function walkKk(t: Test, v: VectorReader, crypto: CryptoProvider): NoiseKeys {
  const id = identities(v);
  const psk = v.hex('subsession_psk_index0');
  const statics = { initiatorStatic: id.clientX25519, responderStatic: id.gatewayX25519 };
  const clientKeys = { staticSecret: id.clientSecret, ...statics };
  const client = new KkInitiator(crypto, EMPTY, clientKeys, psk, v.hex('kk_e_i_priv'));
  const gateway = new KkResponder(crypto, EMPTY, { staticSecret: id.gatewaySecret, ...statics }, psk);
  sameHex(t, client.writeMessage1(EMPTY), v, 'kk1_noise');
  t.is(gateway.readMessage1(v.hex('kk1_noise'))?.length, 0);
  const written = gateway.writeMessage2(v.hex('kk_e_r_priv'), EMPTY)!;
  sameHex(t, written.message, v, 'kk2_noise');
  const read = client.readMessage2(v.hex('kk2_noise'))!;
  t.is(read.payload.length, 0);
  t.is(toHex(read.handshakeHash), toHex(written.handshakeHash));
  const keys = split(crypto, read.chainingKey);
  t.deepEqual(split(crypto, written.chainingKey), keys);
  return keys;
}

/** `LE64 length ‖ Noise message` (§2.5). */
function kkContent(message: Uint8Array): Uint8Array {
  return concat(le64(message.length), message);
}

export function checkSubsession(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const keys = walkKk(t, v, crypto);
  checkKeys(t, v, keys, 'subsession_noise');
  const index = v.number('receiver_index');
  const key = v.hex('outer_aead_key');
  const kk1 = { key, index, counter: 4, type: TYPE.subsessionKk1, content: kkContent(v.hex('kk1_noise')) };
  checkOuter(t, v, crypto, 'kk1_framed', kk1);
  const kk2 = { key, index, counter: 3, type: TYPE.subsessionKk2, content: kkContent(v.hex('kk2_noise')) };
  checkOuter(t, v, crypto, 'kk2_framed', kk2);
  const newIndex = v.number('new_receiver_index');
  t.is(newIndex, 0x0bad_cafe);
  const content = new Uint8Array(4);
  writeLe32(content, 0, newIndex);
  checkOuter(t, v, crypto, 'ready_framed', { key, index, counter: 5, type: TYPE.subsessionReady, content });
  const data = sealInner(t, crypto, keys.initiatorToResponder, 0, ascii('on the new session'));
  const promotedKey = v.hex('subsession_outer_key_index0');
  const first = { key: promotedKey, index: newIndex, counter: 0, type: TYPE.encryptedData, content: data };
  checkOuter(t, v, crypto, 'sub_data1_framed', first);
}
