/**
 * The ClientHello at the gateway (lp2.md §4, lp1.md §8.3): the one message whose version byte decides which protocol a
 * handshake speaks. No public-key operation is done for it. A later version's hello keeps the length, so an unknown one
 * gets Error 1; so does LP1's where it is not admitted.
 */
import type { DropReason } from './drop-reason.ts';
import { MAX_VERSION, type ResponderContext } from './responder-context.ts';
import type { HandshakeRecord } from './session.ts';
import type { Now } from './time.ts';
import { busyPacketV1, HandshakeRecordV1 } from './v1/handshake-record.ts';
import { HandshakeRecordV2 } from './v2/handshake-record.ts';
import {
  CLIENT_HELLO_PACKET_LENGTH,
  decodeClientHello,
  ERROR_CODE,
  type ErrorCode,
  encodeErrorPacket,
  saltSeconds,
} from './wire/message.ts';
import {
  BOOTSTRAP_INDEX,
  contentOf,
  counterOf,
  encodeUnsealed,
  isSessionIndex,
  TYPE,
  typeOf,
  VERSION_1,
  versionOf,
} from './wire/packet.ts';

export type HelloOutcome =
  /** `noAnswer`: see `Effects.noAnswer`. */
  | { readonly kind: 'drop'; readonly reason: DropReason; readonly noAnswer: boolean }
  /** Error, Busy or Collision: no record was made. */
  | { readonly kind: 'refused'; readonly packet: Uint8Array }
  /** The stored Ack again. */
  | { readonly kind: 'repeat'; readonly packet: Uint8Array }
  | { readonly kind: 'record'; readonly record: HandshakeRecord };

export interface HelloTable {
  record(handshakeIndex: number, nowMs: number): HandshakeRecord | undefined;
}

const EMPTY = new Uint8Array(0);

export function receiveClientHello(
  context: ResponderContext,
  table: HelloTable,
  packet: Uint8Array,
  source: number,
  now: Now,
): HelloOutcome {
  if (packet.length !== CLIENT_HELLO_PACKET_LENGTH) return drop('length');
  const version = versionOf(packet);
  const isLp1 = version === VERSION_1 && context.lp1 !== undefined;
  if (typeOf(packet) !== TYPE.clientHello) return drop('type', isLp1);
  if (counterOf(packet) !== 0) return drop('counter', isLp1);
  const content = contentOf(packet);
  const hello = decodeClientHello(content);
  if (hello === undefined) return drop('length');
  const index = hello.handshakeIndex;
  if (version !== MAX_VERSION && !isLp1) return refuse(context, index, ERROR_CODE.version, now);
  if (index === BOOTSTRAP_INDEX || (isSessionIndex(index) && !isLp1)) return drop('index_range', isLp1);
  const age = Math.abs(Math.floor(now.unixMs / 1_000) - saltSeconds(hello.salt));
  if (age > context.lifetimes.clockToleranceS) {
    return isLp1 ? drop('clock', true) : refuse(context, index, ERROR_CODE.clock, now);
  }
  const known = table.record(index, now.monotonicMs);
  // Equal content under the other version is another hello: this Ack would be none to its client.
  if (known?.sameHello(content) && versionOf(known.helloReply) === version)
    return { kind: 'repeat', packet: known.helloReply };
  if (isLp1) return helloV1(context, index, content, source, now);
  if (known !== undefined || context.hasIndex(index)) return collision(index, MAX_VERSION);
  return { kind: 'record', record: new HandshakeRecordV2(context, index, content.slice(), source, now.monotonicMs) };
}

/** The index is checked against all that this shard has; an index that is known elsewhere is routed there. */
function helloV1(
  context: ResponderContext,
  index: number,
  content: Uint8Array,
  source: number,
  now: Now,
): HelloOutcome {
  // lp2.md §3: whether a session index is in use is nobody's business.
  if (context.hasIndex(index)) return isSessionIndex(index) ? drop('index_taken', true) : collision(index, VERSION_1);
  if (!context.claimIndex(index)) return { kind: 'refused', packet: busyPacketV1(index) };
  return { kind: 'record', record: new HandshakeRecordV1(context, content.slice(), source, now.monotonicMs) };
}

function collision(index: number, version: number): HelloOutcome {
  return { kind: 'refused', packet: encodeUnsealed(index, 0, TYPE.collision, EMPTY, version) };
}

function drop(reason: DropReason, noAnswer = false): HelloOutcome {
  return { kind: 'drop', reason, noAnswer };
}

function refuse(context: ResponderContext, index: number, code: ErrorCode, now: Now): HelloOutcome {
  const message = { code, gatewayUnixMs: now.unixMs, minVersion: context.minVersion, maxVersion: MAX_VERSION };
  return { kind: 'refused', packet: encodeErrorPacket(index, message) };
}
