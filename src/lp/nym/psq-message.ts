/**
 * The layout of PSQ's two messages (nym.md §5.3, §5.5). One suite, both layers with their own associated data, a
 * post-quantum part always there: every length is fixed, and anything else is refused before it costs a DH (§15 N1–N3).
 */
import { ascii, concat, sameBytes } from '../wire/bytes.ts';
import type { NymDropReason } from './drop-reason.ts';
import { KEM_CIPHERTEXT_LENGTH } from './kem-suite.ts';
import { authenticator, serialisedCiphertext } from './key-schedule.ts';
import { TlsReader, vector } from './tls-codec.ts';

const KEY_LENGTH = 32;
const TAG_LENGTH = 16;
/** X25519, ML-KEM-768, X25519 authentication, AES-128-GCM, HKDF-SHA256. */
const SUITE = 0x04;
const REGISTRATION = 0x01;
const QUERY = 0x00;
const X25519_AUTHENTICATOR = 0x00;
const ML_KEM = 0x00;

export const OUTER_AAD = ascii('NYM-PQ-AAD-INIT-OUTER-V1');
export const INNER_AAD = ascii('NYM-PQ-AAD-INIT-INNER-V1');
export const ANSWER_AAD = ascii('NYM-PQ-AAD-RESP-V1');
/** `VL` of nothing: what the innermost layer and message 2 carry. */
export const NO_PAYLOAD = Uint8Array.of(0);

/** Payload kind, sealed nothing, its associated data, ciphertext, authenticator. */
const OUTER_LENGTH = 1 + 2 + TAG_LENGTH + 25 + (2 + 1 + 1 + 2 + KEM_CIPHERTEXT_LENGTH) + 33;
export const MESSAGE_1_LENGTH = KEY_LENGTH + 2 + OUTER_LENGTH + TAG_LENGTH + 25 + 1;
export const MESSAGE_2_LENGTH = KEY_LENGTH + 2 + TAG_LENGTH + 19 + 1;

/** Ciphertext ‖ tag as a vector of the ciphertext and the tag behind it. */
function sealedFields(sealed: Uint8Array): Uint8Array {
  const end = sealed.length - TAG_LENGTH;
  return concat(vector(sealed.subarray(0, end)), sealed.subarray(end));
}

/** Ciphertext ‖ tag in one array of its own; `undefined` where the ciphertext has another length than this. */
function readSealed(reader: TlsReader, length: number): Uint8Array | undefined {
  return reader.vectorLength() === length ? reader.fixed(length + TAG_LENGTH) : undefined;
}

type Decoded<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'refuse'; readonly reason: NymDropReason };

function refuse(reason: NymDropReason): { readonly kind: 'refuse'; readonly reason: NymDropReason } {
  return { kind: 'refuse', reason };
}

/** Message 1 around its sealed outer plaintext, or message 2. */
interface Envelope {
  readonly ephemeral: Uint8Array;
  readonly sealed: Uint8Array;
}

function encodeEnvelope({ ephemeral, sealed }: Envelope, aad: Uint8Array): Uint8Array {
  return concat(ephemeral, sealedFields(sealed), vector(aad), Uint8Array.of(SUITE));
}

function decodeEnvelope(
  message: Uint8Array,
  messageLength: number,
  sealedLength: number,
  aad: Uint8Array,
): Decoded<Envelope> {
  if (message.length !== messageLength) return refuse('length');
  const reader = new TlsReader(message);
  const ephemeral = reader.fixed(KEY_LENGTH);
  const sealed = readSealed(reader, sealedLength);
  const aadThere = reader.vector();
  const suite = reader.u8();
  if (sealed === undefined || reader.failed) return refuse('content');
  if (!sameBytes(aadThere, aad)) return refuse('aad');
  if (suite !== SUITE) return refuse('suite');
  return reader.finish() ? { kind: 'value', value: { ephemeral, sealed } } : refuse('content');
}

export const encodeMessage1 = (envelope: Envelope): Uint8Array => encodeEnvelope(envelope, OUTER_AAD);
export const decodeMessage1 = (message: Uint8Array): Decoded<Envelope> =>
  decodeEnvelope(message, MESSAGE_1_LENGTH, OUTER_LENGTH, OUTER_AAD);
export const encodeMessage2 = (envelope: Envelope): Uint8Array => encodeEnvelope(envelope, ANSWER_AAD);
export const decodeMessage2 = (message: Uint8Array): Decoded<Envelope> =>
  decodeEnvelope(message, MESSAGE_2_LENGTH, NO_PAYLOAD.length, ANSWER_AAD);

/** What message 1's outer layer hides. */
export interface Registration {
  /** `NO_PAYLOAD` under k1. */
  readonly sealed: Uint8Array;
  readonly ciphertext: Uint8Array;
  /** The client's X25519 key. */
  readonly client: Uint8Array;
}

export function encodeRegistration({ sealed, ciphertext, client }: Registration): Uint8Array {
  return concat(
    Uint8Array.of(REGISTRATION),
    sealedFields(sealed),
    vector(INNER_AAD),
    vector(serialisedCiphertext(ciphertext)),
    authenticator(client),
  );
}

export function decodeRegistration(plaintext: Uint8Array): Decoded<Registration> {
  const reader = new TlsReader(plaintext);
  const payloadKind = reader.u8();
  if (payloadKind === QUERY) return refuse('query');
  if (payloadKind !== REGISTRATION) return refuse('content');
  const sealed = readSealed(reader, NO_PAYLOAD.length);
  const aad = reader.vector();
  const ciphertext = decodeCiphertext(reader.vector());
  const authenticatorKind = reader.u8();
  const client = reader.fixed(KEY_LENGTH);
  if (sealed === undefined || authenticatorKind !== X25519_AUTHENTICATOR || reader.failed) return refuse('content');
  if (!sameBytes(aad, INNER_AAD)) return refuse('aad');
  if (ciphertext.kind === 'refuse') return ciphertext;
  if (!reader.finish()) return refuse('content');
  return { kind: 'value', value: { sealed, ciphertext: ciphertext.value, client } };
}

function decodeCiphertext(field: Uint8Array): Decoded<Uint8Array> {
  const reader = new TlsReader(field);
  const option = reader.u8();
  if (field.length > 0 && option === 0) return refuse('no_post_quantum');
  const tag = reader.u8();
  const ciphertext = reader.vector();
  const good = option === 1 && tag === ML_KEM && ciphertext.length === KEM_CIPHERTEXT_LENGTH && reader.finish();
  return good ? { kind: 'value', value: ciphertext } : refuse('content');
}
