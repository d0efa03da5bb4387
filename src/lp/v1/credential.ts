/**
 * CredentialSpendingData (lp1.md §2.7) as an opaque blob: bincode gives it no length, so its end is found by walking its
 * structure. Nothing is said about its value: points and scalars are not even decoded.
 */
import { type BincodeReader, BincodeWriter, decodeBincode } from './bincode.ts';

/** What registration bodies call a credential of this form. */
export const ZK_NYM_KIND = 'zk-nym';
/** With the keys beside it, it has to fit into a registration body of 4 KiB; one ticket takes about 1.5 KiB. */
export const MAX_CREDENTIAL_LENGTH = 3584;
/** The reference spends one ticket at a time: one element in most vectors, a few attributes in the last. */
const MAX_VECTOR_LENGTH = 64;
const PAY_INFO_LENGTH = 72;
const TICKET_TYPES = 4;
const MAX_ORDINAL_DAY = 366;

/** Elements of BLS12-381, in bytes; each has its length before it. */
const G1 = 48;
const G2 = 96;
const SCALAR = 32;

type Element = typeof G1 | typeof G2 | typeof SCALAR;
type Field =
  | { readonly kind: 'elements'; readonly of: readonly Element[] }
  | { readonly kind: 'vector'; readonly of: readonly Element[] }
  | { readonly kind: 'u64' }
  | { readonly kind: 'ticketType' }
  | { readonly kind: 'payInfo' }
  | { readonly kind: 'date' };

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
  { kind: 'ticketType' },
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

/** Reads past a credential and gives its bytes as they came: a view, empty where the reader has a fault. */
export function readCredential(reader: BincodeReader): Uint8Array {
  const start = reader.offset;
  for (const field of LAYOUT) readField(reader, field);
  if (reader.offset - start > MAX_CREDENTIAL_LENGTH) reader.fail('too_long');
  return reader.since(start);
}

/** Whether these bytes are one credential and nothing else. */
export function isCredential(bytes: Uint8Array): boolean {
  return decodeBincode(bytes, readCredential) !== undefined;
}

function readField(reader: BincodeReader, field: Field): void {
  switch (field.kind) {
    case 'elements':
      readElements(reader, field.of);
      return;
    case 'vector': {
      const count = reader.length(MAX_VECTOR_LENGTH);
      for (let i = 0; i < count && reader.fault === undefined; i++) readElements(reader, field.of);
      return;
    }
    case 'u64':
      reader.fixed(8);
      return;
    case 'ticketType':
      if (reader.u8() >= TICKET_TYPES) reader.fail('unknown_tag');
      return;
    case 'payInfo':
      readSized(reader, PAY_INFO_LENGTH);
      return;
    case 'date': {
      reader.u32();
      const day = reader.u16();
      if (day < 1 || day > MAX_ORDINAL_DAY) reader.fail('value');
      return;
    }
  }
}

function readElements(reader: BincodeReader, lengths: readonly Element[]): void {
  for (const length of lengths) readSized(reader, length);
}

function readSized(reader: BincodeReader, length: number): void {
  if (reader.byteString(length).length !== length) reader.fail('value');
}

/**
 * A credential that is worth nothing, for gateways that ask none: the request has no way to leave it out. Neutral
 * elements, empty vectors, value 0. A point is written as the compressed infinity and the day as 1, not as zero bytes,
 * so that a peer which decodes the elements gets as far as finding it worthless.
 */
export function emptyCredential(): Uint8Array {
  const writer = new BincodeWriter();
  for (const field of LAYOUT) {
    switch (field.kind) {
      case 'elements':
        for (const length of field.of) writer.byteString(neutral(length));
        break;
      case 'vector':
      case 'u64':
        writer.u64(0);
        break;
      case 'ticketType':
        writer.u8(0);
        break;
      case 'payInfo':
        writer.byteString(new Uint8Array(PAY_INFO_LENGTH));
        break;
      case 'date':
        writer.u32(1970).u16(1);
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
