/** `suites.*` of lp2.json: KEM, key transfer, the key schedule step by step, and both roles byte for byte. */
import type { ExecutionContext } from 'ava';
import type { HandshakeStep } from '../../../../src/lp/client-session.ts';
import type { SymmetricState } from '../../../../src/lp/crypto/noise.ts';
import type { CryptoProvider, KemName } from '../../../../src/lp/crypto/provider.ts';
import { Initiator } from '../../../../src/lp/v2/initiator.ts';
import { encodeKemBody, type KemAnnouncement, signedKemMessage } from '../../../../src/lp/v2/kem-key.ts';
import { handshakePrologue, handshakePsk, handshakeRoot, sessionSecrets } from '../../../../src/lp/v2/key-schedule.ts';
import { XkInitiator, XkResponder } from '../../../../src/lp/v2/noise-xk.ts';
import { concat } from '../../../../src/lp/wire/bytes.ts';
import { encodeKktRequest, encodeKktResponse } from '../../../../src/lp/wire/message.ts';
import { encodeUnsealed, TYPE } from '../../../../src/lp/wire/packet.ts';
import { seededRandom } from '../../../support/seeded-random.ts';
import { toHex, type VectorReader } from '../../../support/vectors.ts';
import { announcementOf, clientDraws, coinsOf, gatewayOf, h2Draws, identities, startTime } from './inputs.ts';

type Test = ExecutionContext;
const H3_VARIANTS = ['h3', 'h3_with_early_opaque_frame'] as const;

function noiseState(noise: unknown): SymmetricState {
  return (noise as { symmetric: SymmetricState }).symmetric;
}

export function checkNoiseState(t: Test, v: VectorReader, noise: unknown, what: string): void {
  const { ck, h, k } = noiseState(noise);
  t.is(toHex(ck), v.text('noise_after.ck'), `ck after ${what}`);
  t.is(toHex(h), v.text('noise_after.h'), `h after ${what}`);
  t.is(toHex(k), v.text('noise_after.k'), `k after ${what}`);
}

export function checkKem(t: Test, v: VectorReader, crypto: CryptoProvider, kem: KemName): void {
  const suite = crypto.kems[kem];
  t.is(suite.id, v.number('kem_id'));
  const secretKey = suite.secretKeyFromSeed(v.hex('kem_key_seed'));
  t.is(toHex(secretKey.publicKey.bytes), v.text('kem_public_key'));
  t.is(toHex(crypto.blake3(secretKey.publicKey.bytes)), v.text('kem_public_key_b3'));
  const random = seededRandom([coinsOf(v)]);
  const encapsulation = suite.encapsulate(secretKey.publicKey, random)!;
  t.is(random.remaining, 0);
  t.is(toHex(encapsulation.ciphertext), v.text('ciphertext'));
  t.is(toHex(crypto.blake3(encapsulation.ciphertext)), v.text('ciphertext_b3'));
  t.is(toHex(encapsulation.sharedSecret), v.text('ss'));
  t.is(toHex(secretKey.decapsulate(encapsulation.ciphertext)!), v.text('ss'));
}

export function checkKeyTransfer(t: Test, v: VectorReader, crypto: CryptoProvider, kem: KemName): void {
  const top = v.top();
  const { gatewaySeed, gatewayEd25519 } = identities(v);
  const kemId = v.number('kem_id');
  const index = top.number('inputs.handshake_index');
  const sessionId = top.hex('inputs.kkt_session_id');
  const request = encodeKktRequest({ kemId, sessionId });
  t.is(toHex(request), v.text('kkt_request.content'));
  t.is(toHex(encodeUnsealed(index, 0, TYPE.kktRequest, request)), v.text('kkt_request.packet'));

  const from = top.number('inputs.kem_key_not_before_unix_s');
  const body = encodeKemBody(v.hex('kem_public_key'), from, top.number('inputs.kem_key_not_after_unix_s'));
  t.is(toHex(body), v.text('kem_public_key') + v.text('kkt_response.body_after_public_key'));
  const message = signedKemMessage(gatewayEd25519, kemId, body);
  t.is(toHex(message), v.text('kkt_response.signed_message_prefix') + toHex(body));
  t.is(toHex(crypto.blake3(message)), v.text('kkt_response.signed_message_b3'));
  const signature = crypto.ed25519Sign(gatewaySeed, message);
  t.is(toHex(signature), v.text('kkt_response.signature'));
  const response = encodeKktResponse(kemId, body, sessionId, signature);
  t.is(toHex(response.subarray(0, 7)), v.text('kkt_response.context'));
  t.is(toHex(encodeUnsealed(index, 0, TYPE.kktResponse, response)), v.text('kkt_response.packet'));
  t.is(toHex(announcementOf(v, crypto, kem).keyId), v.text('key_id'));
}

/** Prologue, psk, and Noise messages 1 and 2 of both roles, with the state after each. */
function walkTwoMessages(t: Test, v: VectorReader, crypto: CryptoProvider, kem: KemName) {
  const top = v.top();
  const id = identities(v);
  const announcement = announcementOf(v, crypto, kem);
  const hello = top.hex('unsealed_packets.client_hello.content');
  const prologue = handshakePrologue(crypto, hello, id.gatewayEd25519, announcement);
  t.is(toHex(prologue), v.text('prologue'));
  const ciphertext = v.hex('ciphertext');
  const salt = top.hex('unsealed_packets.client_hello.salt');
  const psk = handshakePsk(crypto, v.hex('ss'), announcement.publicKeyHash, ciphertext, salt);
  t.is(toHex(psk), v.text('psk'));

  const ephemeral = top.hex('inputs.noise_ephemeral_client');
  const client = new XkInitiator(crypto, prologue, id.clientSecret, id.gatewayX25519, ephemeral);
  const gateway = new XkResponder(crypto, prologue, id.gatewayX25519);
  t.is(v.text('h1.noise_message_1_payload'), 'the ciphertext');
  const message1 = client.writeMessage1(ciphertext)!;
  t.is(toHex(concat(Uint8Array.of(v.number('kem_id')), announcement.keyId, message1)), v.text('h1.content'));
  checkNoiseState(t, v.under('h1'), client, 'message 1');
  t.is(toHex(gateway.readMessage1(message1, id.gatewaySecret)!), v.text('ciphertext'));
  checkNoiseState(t, v.under('h1'), gateway, 'message 1 at the gateway');

  const payload = v.hex('h2.payload_of_noise_message_2');
  t.is(v.number('h2.gateway_unix_ms'), top.number('inputs.gateway_unix_ms'));
  t.deepEqual([...payload.subarray(12)], [top.number('inputs.min_version'), top.number('inputs.max_version')]);
  const message2 = gateway.writeMessage2(top.hex('inputs.noise_ephemeral_gateway'), psk, payload)!;
  t.is(toHex(message2), v.text('h2.content'));
  checkNoiseState(t, v.under('h2'), gateway, 'message 2');
  t.is(toHex(client.readMessage2(message2, psk, () => true)!), toHex(payload));
  checkNoiseState(t, v.under('h2'), client, 'message 2 at the client');
  return { client, gateway };
}

export function checkKeySchedule(t: Test, v: VectorReader, crypto: CryptoProvider, kem: KemName): void {
  for (const variant of H3_VARIANTS) {
    const h3 = v.under(variant);
    const { client, gateway } = walkTwoMessages(t, v, crypto, kem);
    const payload = h3.hex('payload_of_noise_message_3');
    t.is(toHex(payload), v.top().text('identity.client.ed25519_public') + h3.text('early_frame'));
    const message3 = client.writeMessage3(payload)!;
    t.is(toHex(message3), h3.text('content'));
    const read = gateway.readMessage3(message3)!;
    t.is(toHex(read.initiatorStatic), v.top().text('identity.client.x25519_public'));
    t.is(toHex(read.payload), toHex(payload));
    for (const { chainingKey, handshakeHash } of [client, read]) {
      t.is(toHex(chainingKey), h3.text('ck'));
      t.is(toHex(handshakeHash), h3.text('h'));
    }
    checkDh(t, h3, crypto);
    const root = handshakeRoot(crypto, read.chainingKey, read.handshakeHash);
    t.is(toHex(root), h3.text('R'));
    const secrets = sessionSecrets(crypto, root, new Uint8Array(32));
    t.is(toHex(secrets.initiatorToResponder), h3.text('session_keys.k_i2r'));
    t.is(toHex(secrets.responderToInitiator), h3.text('session_keys.k_r2i'));
    t.is(toHex(secrets.chain), h3.text('session_keys.chain'));
    t.deepEqual([...root], [...new Uint8Array(32)], 'the root is wiped');
  }
}

function checkDh(t: Test, h3: VectorReader, crypto: CryptoProvider): void {
  const top = h3.top();
  const { clientSecret, gatewayX25519 } = identities(h3);
  const client = top.hex('inputs.noise_ephemeral_client');
  const gateway = crypto.x25519PublicKey(top.hex('inputs.noise_ephemeral_gateway'));
  t.is(toHex(crypto.x25519(client, gatewayX25519)!), h3.text('dh.es'));
  t.is(toHex(crypto.x25519(client, gateway)!), h3.text('dh.ee'));
  t.is(toHex(crypto.x25519(clientSecret, gateway)!), h3.text('dh.se'));
}

export function initiatorOf(
  v: VectorReader,
  crypto: CryptoProvider,
  kem: KemName,
  draws: readonly Uint8Array[],
  more: { kemKey?: KemAnnouncement; earlyFrame?: Uint8Array; pinnedHashes?: Uint8Array[]; unixMs?: number } = {},
) {
  const { clientSeed, gatewayEd25519, gatewayX25519 } = identities(v);
  const random = seededRandom([...clientDraws(v), ...draws]);
  const now = { ...startTime(v), ...(more.unixMs === undefined ? {} : { unixMs: more.unixMs }) };
  const initiator = new Initiator(
    {
      crypto,
      random,
      clientSeed,
      gatewayEd25519,
      gatewayX25519,
      kem,
      kemKey: more.kemKey,
      pinnedHashes: more.pinnedHashes ?? [],
      clockOffsetMs: 0,
      earlyFrame: more.earlyFrame ?? new Uint8Array(0),
    },
    now,
  );
  return { initiator, random, now };
}

export function sent(step: HandshakeStep): string[] {
  return step.kind === 'send' ? step.packets.map(toHex) : [step.kind];
}

/** Initiator and Shard with dictated randomness: every packet of both sides. With `kkt`: from a first contact on. */
export function checkBothRoles(t: Test, v: VectorReader, crypto: CryptoProvider, kem: KemName): void {
  for (const variant of H3_VARIANTS) {
    for (const kkt of [true, false]) walkHandshake(t, v, crypto, kem, variant, kkt);
  }
}

function walkHandshake(
  t: Test,
  v: VectorReader,
  crypto: CryptoProvider,
  kem: KemName,
  variant: (typeof H3_VARIANTS)[number],
  kkt: boolean,
): void {
  const top = v.top();
  const h3 = v.under(variant);
  const { harness, random: gatewayRandom } = gatewayOf(v, crypto, h2Draws(v));
  const draws = [
    ...(kkt ? [top.hex('inputs.kkt_session_id')] : []),
    top.hex('inputs.noise_ephemeral_client'),
    coinsOf(v),
  ];
  const kemKey = kkt ? {} : { kemKey: announcementOf(v, crypto, kem) };
  const earlyFrame = h3.hex('early_frame');
  const { initiator, random, now } = initiatorOf(v, crypto, kem, draws, { earlyFrame, ...kemKey });
  t.is(initiator.index, top.number('inputs.handshake_index'));

  const hello = top.text('unsealed_packets.client_hello.packet');
  const h1 = v.text('h1.packet');
  const start = initiator.start(now);
  t.deepEqual(sent(start), [hello, kkt ? v.text('kkt_request.packet') : h1]);
  if (start.kind !== 'send') return;
  const [ack] = harness.replies(start.packets[0]!);
  t.is(toHex(ack!), top.text('unsealed_packets.ack'));
  t.is(initiator.receive(ack!, now).kind, 'wait');
  if (kkt) {
    const [response] = harness.replies(start.packets[1]!);
    t.is(toHex(response!), v.text('kkt_response.packet'));
    t.deepEqual(sent(initiator.receive(response!, now)), [h1]);
  }
  t.is(random.remaining, 0);
  const [h2] = harness.replies(v.hex('h1.packet'));
  t.is(toHex(h2!), v.text('h2.packet'));
  t.is(gatewayRandom.remaining, 0);
  t.deepEqual(sent(initiator.receive(h2!, now)), [h3.text('packet')]);
  t.is(initiator.gatewayUnixMs, v.number('h2.gateway_unix_ms'));
  const replies = harness.replies(h3.hex('packet'));
  t.deepEqual(replies.map(toHex), [h3.text('reply.packet')]);
  t.deepEqual(harness.replies(h3.hex('packet')).map(toHex), [h3.text('reply.packet')], 'the stored reply again');
  checkReplyParts(t, h3, crypto);

  const established = initiator.receive(replies[0]!, now);
  if (established.kind !== 'established') {
    t.fail(established.kind);
    return;
  }
  t.is(established.session.index, v.number('h2.session_index'));
  const { received } = established;
  if (received.kind === 'frame') t.is(toHex(received.bytes), toHex(earlyFrame));
  else t.is(received.kind, 'opened');
  t.is(received.kind === 'frame', variant !== 'h3');
}

function checkReplyParts(t: Test, h3: VectorReader, crypto: CryptoProvider): void {
  const reply = h3.under('reply');
  const packet = reply.hex('packet');
  const plaintext = reply.hex('plaintext');
  t.is(toHex(packet.subarray(0, 12)), reply.text('aad'));
  t.is(plaintext[4], reply.number('type'));
  t.is(new DataView(packet.buffer).getUint32(0, true), reply.number('session_index'));
  t.is(Number(new DataView(packet.buffer).getBigUint64(4, true)), reply.number('counter'));
  const key = h3.hex(`session_keys.${reply.text('sealed_by')}`);
  const out = new Uint8Array(plaintext.length);
  t.true(crypto.aeadOpen(out, packet.slice(12), packet.slice(0, 12), new Uint8Array(12), key));
  t.is(toHex(out), toHex(plaintext));
}
