/**
 * The ClientHello at the gateway (lp2.md §4): the one message whose version byte decides which protocol a handshake
 * speaks. No public-key operation is done for it. A later version's hello keeps the length, so an unknown one gets Error 1.
 */
import type { DropReason } from './drop-reason.ts';
import type { HandshakeRecord } from './session.ts';
import type { Now } from './time.ts';
import { HandshakeRecordV2 } from './v2/handshake-record.ts';
import type { ResponderContext } from './v2/responder-context.ts';
import { MAX_VERSION, MIN_VERSION } from './v2/responder-context.ts';
import {
  CLIENT_HELLO_PACKET_LENGTH,
  decodeClientHello,
  ERROR_CODE,
  type ErrorCode,
  encodeErrorPacket,
  saltSeconds,
} from './wire/message.ts';
import { contentOf, counterOf, encodeUnsealed, isSessionIndex, TYPE, typeOf, versionOf } from './wire/packet.ts';

export type HelloOutcome =
  | { readonly kind: 'drop'; readonly reason: DropReason }
  /** Error or Collision: no record was made. */
  | { readonly kind: 'refused'; readonly packet: Uint8Array }
  /** The stored Ack again. */
  | { readonly kind: 'repeat'; readonly packet: Uint8Array }
  | { readonly kind: 'record'; readonly record: HandshakeRecord };

export interface HelloTable {
  record(handshakeIndex: number, nowMs: number): HandshakeRecord | undefined;
}

export function receiveClientHello(
  context: ResponderContext,
  table: HelloTable,
  packet: Uint8Array,
  source: number,
  now: Now,
): HelloOutcome {
  if (packet.length !== CLIENT_HELLO_PACKET_LENGTH) return { kind: 'drop', reason: 'length' };
  if (typeOf(packet) !== TYPE.clientHello) return { kind: 'drop', reason: 'type' };
  if (counterOf(packet) !== 0) return { kind: 'drop', reason: 'counter' };
  const content = contentOf(packet);
  const hello = decodeClientHello(content);
  if (hello === undefined) return { kind: 'drop', reason: 'length' };
  const index = hello.handshakeIndex;
  if (versionOf(packet) !== MAX_VERSION) return refuse(index, ERROR_CODE.version, now);
  if (index === 0 || isSessionIndex(index)) return { kind: 'drop', reason: 'index_range' };
  const age = Math.abs(Math.floor(now.unixMs / 1_000) - saltSeconds(hello.salt));
  if (age > context.lifetimes.clockToleranceS) return refuse(index, ERROR_CODE.clock, now);
  const known = table.record(index, now.monotonicMs);
  if (known !== undefined) {
    if (known.sameHello(content)) return { kind: 'repeat', packet: known.helloReply };
    return { kind: 'refused', packet: encodeUnsealed(index, 0, TYPE.collision, new Uint8Array(0)) };
  }
  return { kind: 'record', record: new HandshakeRecordV2(context, index, content.slice(), source, now.monotonicMs) };
}

function refuse(index: number, code: ErrorCode, now: Now): HelloOutcome {
  const message = { code, gatewayUnixMs: now.unixMs, minVersion: MIN_VERSION, maxVersion: MAX_VERSION };
  return { kind: 'refused', packet: encodeErrorPacket(index, message) };
}
