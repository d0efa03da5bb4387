/**
 * What a client pays with (nym.md §8.2, §8.3): a zk-nym, or the text of an upgrade-mode token, and the kind of ticket. A
 * zk-nym is opaque here: bincode gives it no length, so its end is found by walking its structure, and nothing is said
 * about its value.
 */
import { decodeVarBincode, type VarBincodeReader, VarBincodeWriter } from './bincode.ts';

/** V1MixnetEntry, V1MixnetExit, V1WireguardEntry, V1WireguardExit. */
export const NYM_TICKET = { mixnetEntry: 0, mixnetExit: 1, wireguardEntry: 2, wireguardExit: 3 } as const;
export type NymTicket = (typeof NYM_TICKET)[keyof typeof NYM_TICKET];
const TICKETS: readonly NymTicket[] = [0, 1, 2, 3];

/** One ticket takes 1,237 to 1,241 bytes; the registrar's bodies have 4 KiB. */
export const MAX_CLAIM_LENGTH = 3_584;
const MAX_VECTOR_LENGTH = 64;
const MAX_TOKEN_LENGTH = 3_072;
const PAY_INFO_LENGTH = 72;
const MAX_ORDINAL_DAY = 366;
/** A signed 32-bit year in zigzag. */
const MAX_ZIGZAG_YEAR = 2 ** 32 - 1;
const ZIGZAG_1970 = 2 * 1970;

/** Elements of BLS12-381, in bytes; each has its length before it. */
const G1 = 48;
const G2 = 96;
const SCALAR = 32;

type Element = typeof G1 | typeof G2 | typeof SCALAR;
type Field =
  | { readonly kind: 'elements' | 'vector'; readonly of: readonly Element[] }
  | { readonly kind: 'u64' | 'ticket' | 'payInfo' | 'date' };

const elements = (...of: Element[]): Field => ({ kind: 'elements', of });
const vector = (...of: Element[]): Field => ({ kind: 'vector', of });

/** In the order of the wire. A signature is two elements of G1. */
const LAYOUT: readonly Field[] = [
  elements(G2, G2), // kappa, kappa_e
  elements(G1, G1, G1, G1), // sig, sig_exp
  vector(G2), // kappa_k
  vector(G1, G1), // omega
  vector(G1), // ss
  vector(G1), // tt
  vector(G1), // aa
  { kind: 'u64' }, // spend_value
  elements(G1), // cc
  { kind: 'ticket' }, // t_type
  elements(SCALAR, SCALAR, SCALAR), // zk_proof: challenge, response_r, response_r_e
  vector(SCALAR), // responses_r_k
  vector(SCALAR), // responses_l
  vector(SCALAR), // responses_o_a
  elements(SCALAR), // response_o_c
  vector(SCALAR), // responses_mu
  vector(SCALAR), // responses_o_mu
  vector(SCALAR), // responses_attributes
  { kind: 'payInfo' },
  { kind: 'date' }, // spend_date
  { kind: 'u64' }, // epoch_id
];

export interface BandwidthClaim {
  readonly kind: 'zk_nym' | 'upgrade_mode';
  readonly ticket: NymTicket;
  /** Credential and ticket kind as they are on the wire: a view. */
  readonly bytes: Uint8Array;
  /** The credential alone: a zk-nym's bytes, or the token's text. */
  readonly credential: Uint8Array;
}

/** Reads past a claim; what it gives is worth nothing where the reader has failed. */
export function readClaim(reader: VarBincodeReader): BandwidthClaim {
  const start = reader.offset;
  const kind = reader.variant(2) === 0 ? 'zk_nym' : 'upgrade_mode';
  const credential = kind === 'zk_nym' ? readZkNym(reader) : new TextEncoder().encode(reader.text(MAX_TOKEN_LENGTH));
  const ticket = TICKETS[reader.variant(TICKETS.length)] ?? NYM_TICKET.mixnetEntry;
  if (reader.offset - start > MAX_CLAIM_LENGTH) reader.fail();
  return { kind, ticket, bytes: reader.since(start), credential };
}

/** These bytes as one claim and nothing else. */
export function decodeClaim(bytes: Uint8Array): BandwidthClaim | undefined {
  return decodeVarBincode(bytes, readClaim);
}

/** A claim by a zk-nym or a token that somebody else has made; `undefined` where these bytes are none. */
export function encodeClaim(
  kind: BandwidthClaim['kind'],
  credential: Uint8Array,
  ticket: NymTicket,
): Uint8Array | undefined {
  const writer = new VarBincodeWriter();
  if (kind === 'zk_nym') writer.u8(0).fixed(credential);
  else writer.u8(1).byteString(credential);
  const bytes = writer.u8(ticket).finish();
  return decodeClaim(bytes) === undefined ? undefined : bytes;
}

function readZkNym(reader: VarBincodeReader): Uint8Array {
  const start = reader.offset;
  for (const field of LAYOUT) readField(reader, field);
  return reader.since(start);
}

function readField(reader: VarBincodeReader, field: Field): void {
  switch (field.kind) {
    case 'elements':
      readElements(reader, field.of);
      return;
    case 'vector': {
      const count = reader.integer(MAX_VECTOR_LENGTH);
      for (let i = 0; i < count && !reader.failed; i++) readElements(reader, field.of);
      return;
    }
    case 'u64':
      reader.u64();
      return;
    case 'ticket':
      if (reader.u8() >= TICKETS.length) reader.fail();
      return;
    case 'payInfo':
      readSized(reader, PAY_INFO_LENGTH);
      return;
    case 'date': {
      reader.integer(MAX_ZIGZAG_YEAR);
      if (reader.integer(MAX_ORDINAL_DAY) === 0) reader.fail();
      return;
    }
  }
}

function readElements(reader: VarBincodeReader, lengths: readonly Element[]): void {
  for (const length of lengths) readSized(reader, length);
}

function readSized(reader: VarBincodeReader, length: number): void {
  if (reader.byteString(length).length !== length) reader.fail();
}

/**
 * A zk-nym that is worth nothing, for a node that verifies none (a mock): neutral elements, empty vectors, value 0. A point
 * is the compressed infinity, so that a peer which decodes the elements gets as far as finding it worthless.
 */
export function worthlessZkNym(): Uint8Array {
  const writer = new VarBincodeWriter();
  for (const field of LAYOUT) {
    switch (field.kind) {
      case 'elements':
        for (const length of field.of) writer.byteString(neutral(length));
        break;
      case 'vector':
      case 'u64':
      case 'ticket':
        writer.u8(0);
        break;
      case 'payInfo':
        writer.byteString(new Uint8Array(PAY_INFO_LENGTH));
        break;
      case 'date':
        writer.u64(ZIGZAG_1970).u8(1);
        break;
    }
  }
  return writer.finish();
}

function neutral(length: Element): Uint8Array {
  const bytes = new Uint8Array(length);
  if (length !== SCALAR) bytes[0] = 0xc0;
  return bytes;
}
