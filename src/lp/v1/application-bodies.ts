/**
 * What LP1 carries inside EncryptedData (lp1.md §2.4, §2.6, §2.8): registration requests and responses, and forwards.
 * Nothing on the wire says which of them a payload is (§8.5), so decoding is strict: every bound is checked, every byte
 * is used (§10-C 30), and no payload reads as two of them. Byte strings of a decoded body are views into the payload.
 */
import type { ForwardTarget } from '../wire/application-frame.ts';
import {
  KEY_BASE58_LENGTH,
  KEY_BASE64_LENGTH,
  keyFromBase58,
  keyFromBase64,
  keyToBase58,
  keyToBase64,
} from '../wire/key-text.ts';
import { MAX_PACKET_LENGTH, MIN_PACKET_LENGTH } from '../wire/packet.ts';
import { type BincodeReader, BincodeWriter, decodeBincode } from './bincode.ts';
import { readCredential } from './credential.ts';
import {
  formatSocketAddress,
  type IpAddress,
  MAX_SOCKET_ADDRESS_LENGTH,
  parseSocketAddress,
  type SocketAddress,
} from './socket-address.ts';

const KEY_LENGTH = 32;
/** What this side writes; registration.md has the same bound for texts. */
const MAX_ERROR_LENGTH = 256;
/** The reference puts texts of its own errors there, and nothing bounds them. */
const MAX_READ_ERROR_LENGTH = 1024;

/** V1MixnetEntry, V1MixnetExit, V1WireguardEntry, V1WireguardExit. */
export const TICKET_TYPE = { mixnetEntry: 0, mixnetExit: 1, wireguardEntry: 2, wireguardExit: 3 } as const;
export type TicketType = (typeof TICKET_TYPE)[keyof typeof TICKET_TYPE];
const TICKET_TYPES: readonly TicketType[] = [0, 1, 2, 3];

export interface LpRegistrationRequest {
  /** 32 bytes; also there in mixnet mode, where it means nothing. */
  readonly wgPublicKey: Uint8Array;
  /** As credential.ts has it. */
  readonly credential: Uint8Array;
  readonly ticketType: TicketType;
  readonly mode: { readonly kind: 'dvpn' } | { readonly kind: 'mixnet'; readonly clientId: Uint8Array };
  /** Informational. */
  readonly clientIp: IpAddress;
  /** Unix seconds, any of 64 bits: whoever subtracts from it stays with bigint (§10-C 19c). */
  readonly timestamp: bigint;
}

export interface GatewayData {
  /** The gateway's WireGuard key. */
  readonly publicKey: Uint8Array;
  /** May be unspecified (§10-C 32). */
  readonly endpoint: SocketAddress;
  readonly ipv4: Uint8Array;
  readonly ipv6: Uint8Array;
}

export type LpRegistrationResponse =
  /** `gatewayData`: absent for mixnet. `allocatedBandwidth`: bytes, 0 to 2⁶³ − 1. */
  | { readonly success: true; readonly gatewayData?: GatewayData; readonly allocatedBandwidth: bigint }
  | { readonly success: false; readonly error: string };

export interface ForwardData {
  /** Family 4 or 6. */
  readonly target: ForwardTarget;
  readonly packet: Uint8Array;
}

export type TransportPayload =
  | { readonly kind: 'registration'; readonly request: LpRegistrationRequest }
  | { readonly kind: 'forward'; readonly forward: ForwardData }
  | { readonly kind: 'unknown' };

/** What a client's payload is (§8.5). */
export function decodeTransportPayload(payload: Uint8Array): TransportPayload {
  const request = decodeRegistrationRequest(payload);
  if (request !== undefined) return { kind: 'registration', request };
  const forward = decodeForwardData(payload);
  return forward === undefined ? { kind: 'unknown' } : { kind: 'forward', forward };
}

export function encodeRegistrationRequest(request: LpRegistrationRequest): Uint8Array {
  const { mode, clientIp } = request;
  const writer = new BincodeWriter()
    .text(keyToBase64(key32(request.wgPublicKey)))
    .fixed(request.credential)
    .u32(request.ticketType);
  if (mode.kind === 'dvpn') writer.u32(0);
  else writer.u32(1).fixed(key32(mode.clientId));
  writeIp(writer, clientIp);
  return writer.u64(request.timestamp).finish();
}

export function decodeRegistrationRequest(bytes: Uint8Array): LpRegistrationRequest | undefined {
  return decodeBincode(bytes, (reader) => ({
    wgPublicKey: readKeyText(reader, KEY_BASE64_LENGTH, keyFromBase64),
    credential: readCredential(reader),
    ticketType: TICKET_TYPES[reader.variant(TICKET_TYPES.length)] ?? TICKET_TYPE.mixnetEntry,
    mode: reader.variant(2) === 0 ? { kind: 'dvpn' } : { kind: 'mixnet', clientId: reader.fixed(KEY_LENGTH) },
    clientIp: readIp(reader),
    timestamp: reader.wideU64(),
  }));
}

/** The gateway's key as text: the fixed profile (§2.8). */
export function encodeRegistrationResponse(response: LpRegistrationResponse): Uint8Array {
  const writer = new BincodeWriter().bool(response.success);
  if (!response.success) {
    const error = new TextEncoder().encode(response.error);
    if (error.length > MAX_ERROR_LENGTH) throw new Error('assertion: an error text has at most 256 bytes');
    return writer.bool(true).byteString(error).bool(false).i64(0n).finish();
  }
  if (response.allocatedBandwidth < 0n) throw new Error('assertion: bandwidth is not negative');
  return writer
    .bool(false)
    .option(response.gatewayData, (data) => {
      writer.text(keyToBase58(key32(data.publicKey)));
      writeIp(writer, data.endpoint);
      writer.u16(data.endpoint.port).fixed(data.ipv4).fixed(data.ipv6);
    })
    .i64(response.allocatedBandwidth)
    .finish();
}

/**
 * Either form of the gateway's key: text (fixed profile) or 32 raw bytes (tip). Only one of them uses up the bytes of a
 * genuine response: the forms differ in length, and the text is checked digit by digit.
 */
export function decodeRegistrationResponse(bytes: Uint8Array): LpRegistrationResponse | undefined {
  const read = (readKey: (reader: BincodeReader) => Uint8Array) =>
    decodeBincode(bytes, (reader) => readResponse(reader, readKey));
  return (
    read((reader) => readKeyText(reader, KEY_BASE58_LENGTH.max, keyFromBase58)) ??
    read((reader) => reader.fixed(KEY_LENGTH))
  );
}

function readResponse(
  reader: BincodeReader,
  readKey: (reader: BincodeReader) => Uint8Array,
): LpRegistrationResponse | undefined {
  const success = reader.bool();
  const error = reader.option(() => reader.text(MAX_READ_ERROR_LENGTH));
  const gatewayData = reader.option(() => ({
    publicKey: readKey(reader),
    endpoint: { ...readIp(reader), port: reader.u16() },
    ipv4: reader.fixed(4),
    ipv6: reader.fixed(16),
  }));
  const allocatedBandwidth = reader.i64();
  if (!success) return error === undefined || gatewayData !== undefined ? undefined : { success, error };
  if (error !== undefined || allocatedBandwidth < 0n) return undefined;
  return { success, allocatedBandwidth, ...(gatewayData && { gatewayData }) };
}

/** The target has an address. */
export function encodeForwardData(target: ForwardTarget, packet: Uint8Array): Uint8Array {
  const { identity, family, ip, port } = target;
  if (family === 0) throw new Error('assertion: LP1 forwards to an address');
  return new BincodeWriter()
    .fixed(key32(identity))
    .text(formatSocketAddress({ family, ip, port }))
    .byteString(packet)
    .finish();
}

export function decodeForwardData(payload: Uint8Array): ForwardData | undefined {
  return decodeBincode(payload, (reader) => {
    const identity = reader.fixed(KEY_LENGTH);
    const address = parseSocketAddress(reader.text(MAX_SOCKET_ADDRESS_LENGTH));
    const packet = reader.byteString(MAX_PACKET_LENGTH);
    if (address === undefined || packet.length < MIN_PACKET_LENGTH) return undefined;
    return { target: { identity, ...address }, packet };
  });
}

function readKeyText(reader: BincodeReader, max: number, decode: (text: string) => Uint8Array | undefined): Uint8Array {
  const key = decode(reader.text(max));
  if (key === undefined) reader.fail('value');
  return key ?? new Uint8Array(0);
}

function readIp(reader: BincodeReader): IpAddress {
  return reader.variant(2) === 0 ? { family: 4, ip: reader.fixed(4) } : { family: 6, ip: reader.fixed(16) };
}

function writeIp(writer: BincodeWriter, address: IpAddress): void {
  const { family, ip } = address;
  if (ip.length !== (family === 4 ? 4 : 16)) throw new Error('assertion: an address has the bytes of its family');
  writer.u32(family === 4 ? 0 : 1).fixed(ip);
}

function key32(bytes: Uint8Array): Uint8Array {
  if (bytes.length !== KEY_LENGTH) throw new Error('assertion: keys and ids have 32 bytes');
  return bytes;
}
