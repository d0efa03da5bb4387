/**
 * The seven bytes that head a KKT frame (nym.md §4.3): what is asked, by whom, about which KEM key. Decoding is total, and
 * takes what the reference takes; what else a side refuses is its own matter.
 */
import { NYM_HASH_ID, type NymHash } from '../crypto/nym-provider.ts';
import { DIGEST_LENGTH, hashOfId, kemOfId, NYM_KEM_ID, type NymKem } from './kem-suite.ts';

export const KKT_CONTEXT_LENGTH = 7;
export const KKT_VERSION = 1;
const MIN_HASH_LENGTH = 16;
const ED25519_SIGNATURE_ID = 0x00;

export const KKT_STATUS = {
  ok: 0x00,
  invalidRequestFormat: 0x20,
  invalidResponseFormat: 0x40,
  unsupportedCiphersuite: 0x60,
  unsupportedVersion: 0x80,
  invalidKey: 0xa0,
  timeout: 0xc0,
  unverifiedKemKey: 0xe0,
} as const;
const STATUS_MASK = 0xe0;
const MODE_MASK = 0x1c;
const ROLE_MASK = 0x03;
const MUTUAL = 0x04;

export interface KktContext {
  readonly version: number;
  /** 0 in a request, 1 in its response. */
  readonly sequence: number;
  readonly status: number;
  readonly mode: 'one_way' | 'mutual';
  readonly role: 'initiator' | 'responder';
  readonly kem: NymKem;
  readonly hash: NymHash;
  /** 16 to 255. */
  readonly hashLength: number;
}

export function encodeKktContext(context: KktContext): Uint8Array {
  const { version, sequence, status, mode, role, kem, hash, hashLength } = context;
  return Uint8Array.of(
    (version << 4) | sequence,
    status | (mode === 'mutual' ? MUTUAL : 0) | (role === 'responder' ? 1 : 0),
    NYM_KEM_ID[kem],
    NYM_HASH_ID[hash],
    hashLength === DIGEST_LENGTH ? 0 : hashLength,
    ED25519_SIGNATURE_ID,
    0,
  );
}

/** Byte 6 is ignored. */
export function decodeKktContext(bytes: Uint8Array): KktContext | undefined {
  if (bytes.length !== KKT_CONTEXT_LENGTH) return undefined;
  const [first = 0, flags = 0, kemId = 0, hashId = 0, lengthByte = 0, signatureId = 0] = bytes;
  const kem = kemOfId(kemId);
  const hash = hashOfId(hashId);
  const mode = modeOf(flags & MODE_MASK);
  const role = roleOf(flags & ROLE_MASK);
  const hashLength = lengthByte === 0 ? DIGEST_LENGTH : lengthByte;
  if (kem === undefined || hash === undefined || mode === undefined || role === undefined) return undefined;
  if (first >>> 4 > KKT_VERSION || hashLength < MIN_HASH_LENGTH || signatureId !== ED25519_SIGNATURE_ID)
    return undefined;
  return {
    version: first >>> 4,
    sequence: first & 0x0f,
    status: flags & STATUS_MASK,
    mode,
    role,
    kem,
    hash,
    hashLength,
  };
}

function modeOf(bits: number): KktContext['mode'] | undefined {
  if (bits === 0) return 'one_way';
  return bits === MUTUAL ? 'mutual' : undefined;
}

function roleOf(bits: number): KktContext['role'] | undefined {
  if (bits === 0) return 'initiator';
  return bits === 1 ? 'responder' : undefined;
}
