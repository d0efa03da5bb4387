/**
 * The flow of lp1.md §7.2 byte by byte, with both providers: a whole gateway and a whole client replay lp1.json with its
 * ephemerals and its clock, and every packet of either side is the vector's.
 */
import test from 'ava';
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import type { ClientSessionV1 } from '../../src/lp/v1/client-session.ts';
import type { FamilyV1 } from '../../src/lp/v1/family.ts';
import type { GatewaySessionV1 } from '../../src/lp/v1/gateway-family.ts';
import { InitiatorV1 } from '../../src/lp/v1/initiator.ts';
import { ascii, le32 } from '../../src/lp/wire/bytes.ts';
import { encodeFrames } from '../../src/lp/wire/framing.ts';
import { PROVIDERS } from '../lp/v1/people.ts';
import { identities, packetOf } from '../lp/v1/vectors/inputs.ts';
import {
  answerIndex,
  familyOf,
  onlyReply,
  onlyRequest,
  packetOfStep,
  refusal,
  unansweredOf,
} from '../support/lp1-shard.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { ShardHarness } from '../support/shard-harness.ts';
import { sessionsOf } from '../support/shard-state.ts';
import { loadVectors, toHex, VectorReader } from '../support/vectors.ts';

const vectors = new VectorReader(loadVectors('lp1.json'));
const PSQ_BACKDATE_MS = 30_000;

function framed(packet: Uint8Array): string {
  return toHex(encodeFrames('be32', [packet]));
}

/** Draws Noise's ephemeral and the subsession's, and nothing else. */
function gateway(crypto: CryptoProvider) {
  const random = seededRandom([vectors.hex('noise_e_r_priv'), vectors.hex('kk_e_r_priv')]);
  const gatewaySeed = identities(vectors).gatewaySeed;
  const unixMs = vectors.number('salt_timestamp') * 1_000;
  return { random, harness: new ShardHarness({ crypto, random, gatewaySeed, unixMs, lp1: true }) };
}

/** Index, salt, KKT session id, PSQ's ephemeral, Noise's, the subsession's, the new index. */
function client(crypto: CryptoProvider, harness: ShardHarness) {
  const random = seededRandom([
    le32(vectors.number('receiver_index')),
    vectors.hex('salt').slice(8),
    vectors.hex('kkt_session_id'),
    vectors.hex('psq_kem_ephemeral_priv'),
    vectors.hex('noise_e_i_priv'),
    vectors.hex('kk_e_i_priv'),
    le32(vectors.number('new_receiver_index')),
  ]);
  const { clientSeed, gatewayEd25519, gatewayX25519 } = identities(vectors);
  const options = { crypto, random, clientSeed, gatewayEd25519, gatewayX25519, clockOffsetMs: 0 };
  return { random, initiator: new InitiatorV1(options, harness.now) };
}

/** The client tells PSQ a time of 30 s ago: at this time it tells the vector's. */
function atPsqTime(harness: ShardHarness): void {
  const salt = vectors.number('salt_timestamp') * 1_000;
  const psq = vectors.number('psq_ts_secs') * 1_000 + vectors.number('psq_ts_millis');
  harness.later(psq + PSQ_BACKDATE_MS - salt);
}

/** The family behind the gateway's session with this index. */
function gatewayFamily(harness: ShardHarness, index: number): FamilyV1 {
  const sessions = sessionsOf(harness.shard) as unknown as GatewaySessionV1[];
  const family = sessions.find((session) => session.index === index)?.family;
  return (family as unknown as { family: FamilyV1 }).family;
}

const OPENING = [
  ['client_hello_framed', 'ack_framed'],
  ['kkt_request_framed', 'kkt_response_framed'],
  ['handshake1_framed_cleartext', 'handshake2_framed_outer_aead'],
  ['handshake3_framed_outer_aead', 'later_upstream_final_ack_framed_outer_aead'],
] as const;

for (const crypto of PROVIDERS) {
  test(`every packet of the gateway is the vector's, from the ClientHello to data on the new index (${crypto.name})`, (t) => {
    const { harness, random } = gateway(crypto);
    for (const [request, reply] of OPENING) {
      if (request === 'handshake1_framed_cleartext') atPsqTime(harness);
      t.is(framed(onlyReply(harness.packet(packetOf(vectors, request)))), vectors.text(reply), reply);
    }
    // The vectors' payloads are no messages of a gateway's: it opens them and has no answer. So the reply is sealed by the
    // family under the shard's session, with the counter and the nonce that it has by now.
    t.is(refusal(harness, packetOf(vectors, 'data1_framed')), 'unknown_payload, noAnswer true');
    const index = vectors.number('receiver_index');
    const reply = gatewayFamily(harness, index).current.transport.sealData(vectors.hex('reply1_plaintext'));
    t.is(framed(reply!), vectors.text('reply1_framed_note_same_key_nonce_as_handshake3'));
    t.is(framed(onlyReply(harness.packet(packetOf(vectors, 'kk1_framed')))), vectors.text('kk2_framed'));
    const effects = harness.packet(packetOf(vectors, 'ready_framed'));
    const { key, body } = onlyRequest(effects);
    t.deepEqual(unansweredOf(effects), [false]);
    const newIndex = vectors.number('new_receiver_index');
    t.is(toHex(body), toHex(le32(newIndex)));
    t.deepEqual(answerIndex(harness, key, true), [{ kind: 'indexTaken', index: newIndex, live: true }]);
    t.is(refusal(harness, packetOf(vectors, 'sub_data1_framed')), 'unknown_payload, noAnswer true');
    t.is(random.remaining, 0);
  });

  test(`every packet of the client is the vector's, from the ClientHello to data on the new index (${crypto.name})`, (t) => {
    // Its clock alone: the gateway's side is the vector's bytes.
    const { harness } = gateway(crypto);
    const { initiator, random } = client(crypto, harness);
    let step = initiator.start(harness.now);
    for (const [request, reply] of OPENING) {
      t.is(framed(packetOfStep(step)), vectors.text(request), request);
      if (request === 'kkt_request_framed') atPsqTime(harness);
      step = initiator.receive(packetOf(vectors, reply), harness.now);
    }
    t.is(step.kind, 'established');
    const { session } = step as unknown as { session: ClientSessionV1 };
    const family = familyOf(session);
    t.is(framed(family.current.transport.sealData(vectors.hex('data1_plaintext'))!), vectors.text('data1_framed'));
    const reply = family.receive(packetOf(vectors, 'reply1_framed_note_same_key_nonce_as_handshake3'), harness.now);
    t.is(reply.kind === 'data' ? toHex(reply.payload) : reply.kind, vectors.text('reply1_plaintext'));
    const kk1 = session.startRekey(undefined, harness.now);
    t.is(kk1.kind === 'packet' ? framed(kk1.packet) : kk1.kind, vectors.text('kk1_framed'));
    const rekeyed = session.receive(packetOf(vectors, 'kk2_framed'), harness.now);
    t.is(rekeyed.kind === 'rekeyed' ? framed(rekeyed.packets[0]!) : rekeyed.kind, vectors.text('ready_framed'));
    t.is(session.index, vectors.number('new_receiver_index'));
    const data = family.current.transport.sealData(ascii('on the new session'));
    t.is(framed(data!), vectors.text('sub_data1_framed'));
    t.is(random.remaining, 0);
  });
}

test('a ClientHello for the index of the vectors, once it is taken, gets the Collision of the vectors', (t) => {
  const { harness } = gateway(PROVIDERS[0]);
  harness.packet(packetOf(vectors, 'client_hello_framed'));
  const other = packetOf(vectors, 'client_hello_framed');
  other[110]! ^= 1;
  t.is(framed(onlyReply(harness.packet(other))), vectors.text('collision_framed'));
});
