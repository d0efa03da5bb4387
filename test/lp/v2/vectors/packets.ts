/** The sections of lp2.json that are about single values and packets: primitives, unsealed packets, frames, transport. */
import type { ExecutionContext } from 'ava';
import ipaddr from 'ipaddr.js';
import type { CryptoProvider } from '../../../../src/lp/crypto/provider.ts';
import { ownPlace, Transport } from '../../../../src/lp/v2/transport.ts';
import {
  type AddressFamily,
  decodeFailure,
  decodeForward,
  decodeForwardResponse,
  decodeFrame,
  encodeFailure,
  encodeForward,
  encodeForwardResponse,
  encodeFrame,
} from '../../../../src/lp/wire/application-frame.ts';
import { ascii } from '../../../../src/lp/wire/bytes.ts';
import { encodeFrames, FrameCutter, type Framing } from '../../../../src/lp/wire/framing.ts';
import {
  decodeBusy,
  decodeClientHello,
  decodeError,
  encodeBusyPacket,
  encodeClientHello,
  encodeErrorPacket,
  encodeSalt,
  saltSeconds,
} from '../../../../src/lp/wire/message.ts';
import {
  contentOf,
  counterOf,
  encodeUnsealed,
  receiverIndex,
  TYPE,
  typeOf,
  versionOf,
} from '../../../../src/lp/wire/packet.ts';
import { decodeMap } from '../../../../src/lp/wire/strict-messagepack.ts';
import { toHex, type VectorReader } from '../../../support/vectors.ts';

type Test = ExecutionContext;
const EMPTY = new Uint8Array(0);

function cut(stream: Uint8Array): { packets: string[]; cutter: FrameCutter } {
  const packets: string[] = [];
  const cutter = new FrameCutter({ admit: () => true, packet: (packet) => packets.push(toHex(packet)) });
  cutter.push(stream);
  return { packets, cutter };
}

function checkFrame(t: Test, framing: Framing, frame: Uint8Array, packet: string): void {
  t.is(toHex(encodeFrames(framing, [Uint8Array.from(Buffer.from(packet, 'hex'))])), toHex(frame));
  const { packets, cutter } = cut(frame);
  t.deepEqual(packets, [packet]);
  t.is(cutter.framing, framing);
}

export function checkPrimitives(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const p = v.under('primitives');
  const abc = ascii('abc');
  t.is(toHex(crypto.blake3(abc)), p.text('b3_of_abc'));
  t.is(toHex(crypto.kdf('psk', abc)), p.text('kdf_label_psk_of_abc'));
  t.is(p.text('kdf_context_of_label_psk'), 'lewes-protocol v2 psk');
  for (const who of ['client', 'gateway']) {
    const seed = v.hex(`inputs.${who}_ed25519_seed`);
    const id = v.under(`identity.${who}`);
    t.is(toHex(crypto.ed25519PublicKey(seed)), id.text('ed25519_public'));
    t.is(toHex(crypto.x25519SecretOfEd25519(seed)), id.text('x25519_secret_unclamped'));
    t.is(toHex(crypto.x25519PublicKey(id.hex('x25519_secret_unclamped'))), id.text('x25519_public'));
    t.is(toHex(crypto.x25519PublicOfEd25519(id.hex('ed25519_public'))!), id.text('x25519_public'));
  }
  checkNonce(t, p.hex('aead_key'), p.hex('aead_counter_0x0102030405_nonce'), crypto);
}

/** A packet that is sealed by hand under the nonce of the vectors opens at its counter. */
function checkNonce(t: Test, key: Uint8Array, nonce: Uint8Array, crypto: CryptoProvider): void {
  const packet = encodeUnsealed(0x8000_0001, 0x0102030405, TYPE.ack, EMPTY);
  crypto.aeadSeal(packet.subarray(12), packet.subarray(12, 18), packet.subarray(0, 12), nonce, key);
  const none = new Uint8Array(32);
  const secrets = { initiatorToResponder: key, responderToInitiator: none, chain: none };
  const transport = Transport.make(0x8000_0001, ownPlace(), 'responder', secrets, none, 0);
  t.is(transport.open(crypto, packet), undefined);
}

export function checkUnsealedPackets(t: Test, v: VectorReader): void {
  const u = v.under('unsealed_packets');
  const hello = u.under('client_hello');
  const handshakeIndex = v.number('inputs.handshake_index');
  const seconds = v.number('inputs.salt_unix_s');
  const salt = encodeSalt(seconds, v.hex('inputs.salt_random'));
  t.is(toHex(salt), hello.text('salt'));
  t.is(saltSeconds(salt), seconds);
  const content = encodeClientHello({ handshakeIndex, salt });
  t.is(toHex(content), hello.text('content'));
  t.deepEqual(decodeClientHello(content), { handshakeIndex, salt });
  t.is(toHex(encodeUnsealed(0, 0, TYPE.clientHello, content)), hello.text('packet'));
  checkFrame(t, 'be16', hello.hex('frame_be16'), hello.text('packet'));
  checkFrame(t, 'be32', hello.hex('frame_be32'), hello.text('packet'));
  t.is(toHex(encodeUnsealed(handshakeIndex, 0, TYPE.ack, EMPTY)), u.text('ack'));
  checkFrame(t, 'be16', u.hex('ack_frame_be16'), u.text('ack'));
  t.is(toHex(encodeUnsealed(handshakeIndex, 0, TYPE.collision, EMPTY)), u.text('collision'));
  checkHints(t, v, handshakeIndex);
}

const ERRORS = [
  [1, 'error_1_version_not_supported'],
  [2, 'error_2_clock_out_of_tolerance'],
  [3, 'error_3_suite_not_offered'],
  [4, 'error_4_kem_key_unknown'],
] as const;

function checkHints(t: Test, v: VectorReader, index: number): void {
  const u = v.under('unsealed_packets');
  for (const [code, name] of ERRORS) {
    const message = {
      code,
      gatewayUnixMs: v.number('inputs.gateway_unix_ms'),
      minVersion: v.number('inputs.min_version'),
      maxVersion: v.number('inputs.max_version'),
    };
    t.is(toHex(encodeErrorPacket(index, message)), u.text(name));
    const packet = u.hex(name);
    t.deepEqual([receiverIndex(packet), counterOf(packet), versionOf(packet), typeOf(packet)], [index, 0, 2, 14]);
    t.deepEqual(decodeError(contentOf(packet)), message);
  }
  t.is(toHex(encodeBusyPacket(index, 2)), u.text('busy_retry_after_2_s'));
  t.is(decodeBusy(contentOf(u.hex('busy_retry_after_2_s'))), 2);
}

export function checkApplicationFrames(t: Test, v: VectorReader): void {
  for (const [, c] of v.members('application_frames')) {
    const name = c.text('name');
    const bytes = c.hex('frame');
    const frame = decodeFrame(bytes)!;
    t.is(frame.kind, c.number('kind'), name);
    t.is(frame.requestId, c.number('request_id'), name);
    const body = bodyOf(t, c, frame.kind, frame.body);
    t.is(toHex(encodeFrame(frame.kind, frame.requestId, body)), toHex(bytes), name);
  }
}

/** The body, encoded from the fields; decoding what is there must give the same fields. */
function bodyOf(t: Test, c: VectorReader, kind: number, there: Uint8Array): Uint8Array {
  const fields = c.under('fields');
  switch (kind) {
    case 0:
      return fields.hex('bytes');
    case 1: {
      const decoded = decodeMap(there, { bytes: 4_096, depth: 4, textBytes: 256 });
      const map = decoded.kind === 'value' ? decoded.value : new Map<string, never>();
      t.is(map.get('example'), fields.text('message_pack_of.example'));
      t.is(map.get('n'), fields.number('message_pack_of.n'));
      t.is(`binary ${toHex(map.get('key') as Uint8Array)}`, fields.text('message_pack_of.key'));
      return there;
    }
    case 2:
      fields.skip('message_pack_of.ok');
      t.is(toHex(there), '81a26f6bc3', 'a map of ok to true');
      return there;
    case 3:
      return forwardBody(t, fields, there);
    case 4: {
      const response = decodeForwardResponse(there)!;
      const packets = [c.top().hex('unsealed_packets.ack'), c.top().hex('unsealed_packets.collision')];
      const count = fields.number('packets');
      t.deepEqual(response.packets.map(toHex), packets.slice(0, count).map(toHex));
      return encodeForwardResponse({ status: fields.number('status'), packets: packets.slice(0, count) });
    }
    default: {
      const failure = { code: fields.number('code'), text: fields.text('text') };
      t.deepEqual(decodeFailure(there), failure);
      return encodeFailure(failure);
    }
  }
}

function forwardBody(t: Test, fields: VectorReader, there: Uint8Array): Uint8Array {
  const top = fields.top();
  const ip = fields.has('ip') ? Uint8Array.from(ipaddr.parse(fields.text('ip')).toByteArray()) : EMPTY;
  if (ip.length === 0) t.is(fields.number('family'), 0);
  const family: AddressFamily = ip.length === 0 ? 0 : ip.length === 4 ? 4 : 6;
  const target = {
    identity: top.hex('identity.gateway.ed25519_public'),
    family,
    ip,
    port: family === 0 ? 0 : fields.number('port'),
  };
  const replies = fields.number('replies');
  const decoded = decodeForward(there)!;
  t.deepEqual({ ...decoded.target }, target);
  t.is(decoded.replies, replies);
  t.is(decoded.packets.length, fields.number('packets'));
  t.is(toHex(decoded.packets[0]!), top.text('unsealed_packets.client_hello.packet'));
  t.is(toHex(decoded.packets[1]!), top.text('suites.xwing.kkt_request.packet'));
  return encodeForward({ target, replies, packets: decoded.packets });
}

export function checkTransport(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const tr = v.under('transport');
  const index = tr.number('session_index');
  const secrets = {
    initiatorToResponder: tr.hex('session_keys.k_i2r'),
    responderToInitiator: tr.hex('session_keys.k_r2i'),
    chain: tr.hex('session_keys.chain'),
  };
  const session = v.under(tr.text('session'));
  t.is(session.text('session_keys.chain'), tr.text('session_keys.chain'));
  const make = (role: 'initiator' | 'responder') =>
    Transport.make(index, ownPlace(), role, secrets, new Uint8Array(32), 0);
  for (const section of ['data', 'control']) {
    // One receiver for each direction: the counters ascend.
    const receivers = { i2r: make('responder'), r2i: make('initiator') };
    for (const [, c] of tr.members(section)) {
      const direction = c.text('direction') as 'i2r' | 'r2i';
      const counter = c.number('counter');
      const sender = make(direction === 'i2r' ? 'initiator' : 'responder');
      (sender as unknown as { sendCounter: number }).sendCounter = counter;
      const packet = sender.seal(crypto, c.number('type'), c.hex('content'))!;
      t.is(toHex(packet), c.text('packet'));
      t.is(counterOf(packet), counter);
      if (c.has('nonce')) t.is(c.text('nonce').slice(8), toHex(packet.subarray(4, 12)));
      if (c.has('name')) c.skip('name');
      if (c.has('frame_be16')) checkFrame(t, 'be16', c.hex('frame_be16'), c.text('packet'));
      t.is(receivers[direction].open(crypto, packet), undefined);
      t.is(typeOf(packet), c.number('type'));
      t.is(toHex(contentOf(packet)), c.text('content'));
      t.is(receivers[direction].open(crypto, c.hex('packet')), 'duplicate');
    }
  }
}

export function checkFraming(t: Test, v: VectorReader): void {
  const f = v.under('negative_framing');
  f.skip('how');
  for (const [, c] of f.members('cases')) {
    // Whole, and byte by byte: the end is the same.
    for (const step of [Number.POSITIVE_INFINITY, 1]) {
      const packets: string[] = [];
      const cutter = new FrameCutter({ admit: () => false, packet: (packet) => packets.push(toHex(packet)) });
      const stream = c.hex('stream_bytes');
      for (let at = 0; at < stream.length; at += step) cutter.push(stream.subarray(at, at + step));
      t.is(cutter.broken ? 'close' : 'keep_open', c.text('expected'), c.text('name'));
      t.deepEqual(packets, [], c.text('name'));
      if (!cutter.broken) t.false(cutter.midFrame, c.text('name'));
    }
  }
}

/** Where the packet of each column stands. */
const SIZE_PATHS: Record<string, (suite: string) => string> = {
  hello: () => 'unsealed_packets.client_hello.packet',
  ack: () => 'unsealed_packets.ack',
  kkt_request: (suite) => `suites.${suite}.kkt_request.packet`,
  kkt_response: (suite) => `suites.${suite}.kkt_response.packet`,
  h1: (suite) => `suites.${suite}.h1.packet`,
  h2: (suite) => `suites.${suite}.h2.packet`,
  h3: (suite) => `suites.${suite}.h3.packet`,
  kk1: () => 'subsession.first.kk1.packet',
  kk1_kem: () => 'subsession.first_with_kem.kk1.packet',
  kk2: () => 'subsession.first.kk2.packet',
  kk2_kem: () => 'subsession.first_with_kem.kk2.packet',
};

/** The packets themselves are compared with ours elsewhere. */
export function checkPacketSizes(t: Test, v: VectorReader): void {
  const columns = v.members('packet_sizes.columns').map(([i]) => v.text(`packet_sizes.columns.${i}`));
  t.deepEqual(columns, Object.keys(SIZE_PATHS));
  for (const suite of ['xwing', 'mlkem768']) {
    columns.forEach((column, i) => {
      const size = v.number(`packet_sizes.${suite}.${i}`);
      t.is(v.hex(SIZE_PATHS[column]!(suite)).length, size, `${column} of ${suite}`);
    });
  }
}
