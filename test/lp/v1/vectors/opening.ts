/** lp1.json: identities, ClientHello with its answers, key transfer, and the forwarded ClientHello. */
import type { ExecutionContext } from 'ava';
import type { CryptoProvider } from '../../../../src/lp/crypto/provider.ts';
import { decodeForwardData, encodeForwardData } from '../../../../src/lp/v1/application-bodies.ts';
import { decodeHelloV1, encodeHelloV1 } from '../../../../src/lp/v1/hello.ts';
import { answerKktRequest, checkKktResponse, encodeKktRequest } from '../../../../src/lp/v1/kkt.ts';
import { encodeSalt, saltSeconds } from '../../../../src/lp/wire/message.ts';
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
import { identities, packetOf, sameFrame, sameHex } from './inputs.ts';

type Test = ExecutionContext;
const EMPTY = new Uint8Array(0);

export function checkIdentities(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  for (const who of ['client', 'gateway']) {
    const seed = v.hex(`${who}_ed25519_seed`);
    const ed25519 = crypto.ed25519PublicKey(seed);
    const secret = crypto.x25519SecretOfEd25519(seed);
    sameHex(t, ed25519, v, `${who}_ed25519_pub`);
    sameHex(t, secret, v, `${who}_x25519_priv_unclamped`);
    sameHex(t, crypto.x25519PublicKey(secret), v, `${who}_x25519_pub`);
    sameHex(t, crypto.x25519PublicOfEd25519(ed25519), v, `${who}_x25519_pub`);
  }
}

/** An unsealed packet both ways. */
function checkUnsealed(t: Test, v: VectorReader, path: string, index: number, type: number, content: Uint8Array): void {
  sameFrame(t, encodeUnsealed(index, 0, type, content, VERSION_1), v, path);
  const packet = packetOf(v, path);
  t.deepEqual(
    [receiverIndex(packet), counterOf(packet), versionOf(packet), typeOf(packet), toHex(contentOf(packet))],
    [index, 0, VERSION_1, type, toHex(content)],
    path,
  );
}

export function checkHello(t: Test, v: VectorReader): void {
  const id = identities(v);
  const index = v.number('receiver_index');
  const salt = encodeSalt(v.number('salt_timestamp'), new Uint8Array(24).fill(0xa5));
  sameHex(t, salt, v, 'salt');
  const hello = { receiverIndex: index, x25519: id.clientX25519, ed25519: id.clientEd25519, salt };
  const content = encodeHelloV1(hello);
  sameHex(t, content, v, 'client_hello_content');
  checkUnsealed(t, v, 'client_hello_framed', 0, TYPE.clientHello, content);
  const decoded = decodeHelloV1(contentOf(packetOf(v, 'client_hello_framed')))!;
  t.deepEqual(decoded, hello);
  t.is(saltSeconds(decoded.salt), v.number('salt_timestamp'));
  checkUnsealed(t, v, 'ack_framed', index, TYPE.ack, EMPTY);
  checkUnsealed(t, v, 'collision_framed', index, TYPE.collision, EMPTY);
}

export function checkKeyTransfer(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const id = identities(v);
  const index = v.number('receiver_index');
  const sessionId = v.hex('kkt_session_id');
  const request = encodeKktRequest(crypto, sessionId, id.clientSeed);
  sameHex(t, request, v, 'kkt_request_frame');
  t.is(request.length, v.number('kkt_lengths.request'));
  checkUnsealed(t, v, 'kkt_request_framed', index, TYPE.kktRequest, request);

  const response = answerKktRequest(crypto, v.hex('kkt_request_frame'), id)!;
  sameHex(t, response, v, 'kkt_response_frame');
  t.is(response.length, v.number('kkt_lengths.response'));
  checkUnsealed(t, v, 'kkt_response_framed', index, TYPE.kktResponse, response);
  t.true(checkKktResponse(crypto, v.hex('kkt_response_frame'), { sessionId, ...id }));
  sameHex(t, crypto.blake3(id.gatewayX25519), v, 'kem_key_hash_blake3');
}

export function checkForward(t: Test, v: VectorReader): void {
  const path = 'forward_packet_data_example';
  const ip = Uint8Array.of(1, 2, 3, 4);
  const target = { identity: identities(v).gatewayEd25519, family: 4, ip, port: 41_264 } as const;
  const packet = packetOf(v, 'client_hello_framed');
  sameHex(t, encodeForwardData(target, packet), v, path);
  t.deepEqual(decodeForwardData(v.hex(path)), { target, packet });
}
