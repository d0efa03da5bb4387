/** `subsession.*` of lp2.json: the key schedule of KKpsk0 and both sides of a rekey, packet by packet. */
import type { ExecutionContext } from 'ava';
import type { CryptoProvider, RandomSource } from '../../../../src/lp/crypto/provider.ts';
import { KkInitiator, KkResponder } from '../../../../src/lp/noise/kk.ts';
import { ClientFamily } from '../../../../src/lp/v2/client-family.ts';
import {
  type SessionSecrets,
  sessionSecrets,
  subsessionPrologue,
  subsessionPsk,
  subsessionRoot,
} from '../../../../src/lp/v2/key-schedule.ts';
import { ownPlace, Transport } from '../../../../src/lp/v2/transport.ts';
import { concat } from '../../../../src/lp/wire/bytes.ts';
import { contentOf } from '../../../../src/lp/wire/packet.ts';
import { sealedFrame, startedRekey } from '../../../support/handshake.ts';
import { seededRandom } from '../../../support/seeded-random.ts';
import type { ShardHarness } from '../../../support/shard-harness.ts';
import { toHex, type VectorReader } from '../../../support/vectors.ts';
import { gatewayOf, h2Draws, identities, le32, startTime } from './inputs.ts';
import { checkNoiseState } from './suites.ts';

type Test = ExecutionContext;

export function secretsAt(v: VectorReader): SessionSecrets {
  return {
    initiatorToResponder: v.hex('session_keys.k_i2r'),
    responderToInitiator: v.hex('session_keys.k_r2i'),
    chain: v.hex('session_keys.chain'),
  };
}

/** The client on the session of suites.xwing.h3, nothing sent on it. */
export function clientFamily(v: VectorReader, crypto: CryptoProvider, random: RandomSource): ClientFamily {
  const { clientSecret, clientX25519, gatewayX25519 } = identities(v);
  const keys = { staticSecret: clientSecret, staticPublic: clientX25519, gatewayStatic: gatewayX25519 };
  const top = v.top();
  const index = top.number('suites.xwing.h2.session_index');
  return new ClientFamily(crypto, random, keys, index, secretsAt(top.under('suites.xwing.h3')));
}

/** The gateway after the handshake of suites.xwing, and what it draws from then on. */
export function establishedGateway(v: VectorReader, crypto: CryptoProvider, draws: readonly Uint8Array[]) {
  const top = v.top();
  const gateway = gatewayOf(v, crypto, [...h2Draws(top.under('suites.xwing')), ...draws]);
  for (const path of ['unsealed_packets.client_hello.packet', 'suites.xwing.h1.packet', 'suites.xwing.h3.packet'])
    gateway.harness.packet(top.hex(path));
  return gateway;
}

function kemSeed(v: VectorReader): Uint8Array {
  return v.top().hex('inputs.kk_mlkem768_seed_d_z');
}

/** Index, ephemeral and, with a KEM exchange, coins. */
export function kk2Draws(v: VectorReader): Uint8Array[] {
  const top = v.top();
  const draws = [le32(v.number('kk2.new_index')), top.hex('inputs.kk_ephemeral_gateway')];
  return v.has('mlkem768') ? [...draws, top.hex('inputs.kk_mlkem768_encapsulation_coins')] : draws;
}

export function kk1Draws(v: VectorReader, withKem: boolean): Uint8Array[] {
  const ephemeral = v.top().hex('inputs.kk_ephemeral_client');
  return withKem ? [ephemeral, kemSeed(v)] : [ephemeral];
}

/** The exchange of ML-KEM keys as the vectors describe it: payloads and shared secret, or the plain payloads. */
function exchange(t: Test, v: VectorReader, crypto: CryptoProvider) {
  const index = le32(v.number('kk2.new_index'));
  if (!v.has('mlkem768')) {
    v.skip('mlkem768');
    return { payload1: Uint8Array.of(0), payload2: index, sharedSecret: undefined };
  }
  const kem = crypto.kems['ml-kem-768'];
  const secretKey = kem.secretKeyFromSeed(kemSeed(v));
  const coins = seededRandom([v.top().hex('inputs.kk_mlkem768_encapsulation_coins')]);
  const { ciphertext, sharedSecret } = kem.encapsulate(secretKey.publicKey, coins)!;
  t.is(toHex(crypto.blake3(secretKey.publicKey.bytes)), v.text('mlkem768.encapsulation_key_b3'));
  t.is(toHex(crypto.blake3(ciphertext)), v.text('mlkem768.ciphertext_b3'));
  t.is(toHex(sharedSecret), v.text('mlkem768.ss'));
  const payload1 = concat(Uint8Array.of(1), secretKey.publicKey.bytes);
  return { payload1, payload2: concat(index, ciphertext), sharedSecret };
}

export function checkSubsessionKeys(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const top = v.top();
  const id = identities(v);
  const n = v.number('n');
  const prologue = subsessionPrologue(v.number('parent_index'), n);
  t.is(toHex(prologue), v.text('prologue'));
  const chain = v.hex('parent_chain');
  const psk = subsessionPsk(crypto, chain, n);
  t.is(toHex(psk), v.text('psk'));
  const statics = { initiatorStatic: id.clientX25519, responderStatic: id.gatewayX25519 };
  const client = new KkInitiator(
    crypto,
    prologue,
    { ...statics, staticSecret: id.clientSecret },
    psk,
    top.hex('inputs.kk_ephemeral_client'),
  );
  const gateway = new KkResponder(crypto, prologue, { ...statics, staticSecret: id.gatewaySecret }, psk);
  const { payload1, payload2, sharedSecret } = exchange(t, v, crypto);
  const message1 = client.writeMessage1(payload1)!;
  t.is(toHex(concat(le32(n), message1)), v.text('kk1.content'));
  checkNoiseState(t, v.under('kk1'), client, 'KK1');
  t.is(toHex(gateway.readMessage1(message1)!), toHex(payload1));
  checkNoiseState(t, v.under('kk1'), gateway, 'KK1 at the gateway');
  const written = gateway.writeMessage2(top.hex('inputs.kk_ephemeral_gateway'), payload2)!;
  t.is(toHex(concat(le32(n), written.message)), v.text('kk2.content'));
  const read = client.readMessage2(written.message)!;
  for (const { chainingKey, handshakeHash } of [written, read]) {
    t.is(toHex(chainingKey), v.text('ck'));
    t.is(toHex(handshakeHash), v.text('h'));
  }
  t.is(toHex(subsessionRoot(crypto, read.chainingKey, read.handshakeHash, undefined)), v.text('R_before_ratchet'));
  const root = subsessionRoot(crypto, read.chainingKey, read.handshakeHash, sharedSecret);
  t.is(toHex(root), v.text('R'));
  const secrets = sessionSecrets(crypto, root, chain);
  t.is(toHex(secrets.initiatorToResponder), v.text('session_keys.k_i2r'));
  t.is(toHex(secrets.responderToInitiator), v.text('session_keys.k_r2i'));
  t.is(toHex(secrets.chain), v.text('session_keys.chain'));
}

/** KK1 to Ready between ClientFamily and Shard; returns the gateway's reply to Ready. */
function rekey(
  t: Test,
  v: VectorReader,
  client: ClientFamily,
  harness: ShardHarness,
  now: { monotonicMs: number; unixMs: number },
): Uint8Array {
  const kk1 = startedRekey(client, v.has('mlkem768'), now)!;
  t.is(toHex(kk1), v.text('kk1.packet'));
  checkCounter(t, v, 'kk1');
  const [kk2] = harness.replies(kk1);
  t.is(toHex(kk2!), v.text('kk2.packet'));
  checkCounter(t, v, 'kk2');
  const rekeyed = client.receive(kk2!, now);
  t.deepEqual(rekeyed.kind === 'rekeyed' ? rekeyed.packets.map(toHex) : rekeyed.kind, [v.text('ready')]);
  t.is(client.index, v.number('kk2.new_index'));
  const [reply] = harness.replies(v.hex('ready'));
  return reply!;
}

function checkCounter(t: Test, v: VectorReader, message: string): void {
  const packet = v.hex(`${message}.packet`);
  t.is(Number(new DataView(packet.buffer).getBigUint64(4, true)), v.number(`${message}.counter`));
}

/** The content of a sealed packet of the vectors. */
function opened(v: VectorReader, crypto: CryptoProvider, index: number, secrets: SessionSecrets, path: string) {
  const transport = Transport.make(index, ownPlace(), 'responder', secrets, new Uint8Array(32), 0);
  const packet = v.hex(path);
  if (transport.open(crypto, packet) !== undefined) throw new Error(`${path} does not open`);
  return contentOf(packet);
}

/** A first rekey, data on the successor and late data on the parent, then a second rekey with ML-KEM. */
export function checkTwoRekeys(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  v.skip('parent');
  const first = v.under('first');
  const second = v.under('second_on_the_first_successor_with_kem');
  const { harness, random } = establishedGateway(v, crypto, [...kk2Draws(first), ...kk2Draws(second)]);
  const clientRandom = seededRandom([...kk1Draws(first, false), ...kk1Draws(second, true)]);
  const client = clientFamily(v, crypto, clientRandom);
  const now = startTime(v);
  t.is(first.number('parent_index'), client.index);
  const lateContent = opened(
    first,
    crypto,
    client.index,
    secretsAt(v.top().under('suites.xwing.h3')),
    'late_data_on_parent',
  );
  t.true(lateContent.length > 5);
  const ack = rekey(t, first, client, harness, now);
  t.is(toHex(ack), first.text('ack_to_ready'));
  t.is(client.receive(ack, now).kind, 'opened');

  const content = opened(first, crypto, client.index, secretsAt(first), 'data_i2r_counter_1');
  const data = sealedFrame(client, content)!;
  t.is(toHex(data), first.text('data_i2r_counter_1'));
  const [echo] = harness.replies(data);
  t.is(toHex(echo!), first.text('echo_r2i_counter_1'));
  const frame = client.receive(echo!, now);
  t.is(frame.kind === 'frame' ? toHex(frame.bytes) : frame.kind, toHex(content));
  const [answer] = harness.replies(first.hex('late_data_on_parent'));
  t.is(toHex(answer!), first.text('its_answer_on_successor'));
  const late = client.receive(answer!, now);
  t.is(late.kind === 'frame' ? toHex(late.bytes) : late.kind, toHex(lateContent));

  harness.later(second.number('monotonic_s_after_first') * 1_000);
  const secondAck = rekey(t, second, client, harness, harness.now);
  t.is(toHex(secondAck), second.text('ack_to_ready'));
  t.is(client.receive(secondAck, harness.now).kind, 'opened');
  t.deepEqual([random.remaining, clientRandom.remaining], [0, 0]);
  t.is(client.rekeys, 2);
}

/** Attempt 3 as the first that arrives. */
export function checkFirstWithKem(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const { harness, random } = establishedGateway(v, crypto, kk2Draws(v));
  const clientRandom = seededRandom(kk1Draws(v, true));
  const client = clientFamily(v, crypto, clientRandom);
  const { current } = client as unknown as { current: { attempts: number } };
  current.attempts = v.number('n') - 1;
  const ack = rekey(t, v, client, harness, startTime(v));
  t.is(client.receive(ack, startTime(v)).kind, 'opened');
  t.deepEqual([random.remaining, clientRandom.remaining], [0, 0]);
}
