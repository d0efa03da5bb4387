/**
 * The structures of Privacy Pass that this project exchanges, for token type 2 only (RFC 9577 §2, RFC 9578 §6): the
 * challenge of registration.md, the token that answers it, the request for one. Decoders are total and take exactly the
 * right length; byte strings of their results are views. Nothing here is checked by cryptography.
 */
import { ascii, concat, readBe16, sameBytes, writeBe16 } from './bytes.ts';

/** Blind RSA with 2048 bits, publicly verifiable. */
export const TOKEN_TYPE = 0x0002;
/** The `kind` of a credential that is such a token. */
export const PRIVACY_PASS = 'privacy-pass';
/** The length of the modulus, and so of a blinded message and of a signature (Nk). */
export const MODULUS_LENGTH = 256;
const TOKEN_KEY_ID_LENGTH = 32;
const NONCE_LENGTH = 32;
const DIGEST_LENGTH = 32;
const TYPE_LENGTH = 2;
/** What the signature of a token is made over. */
const SIGNED_LENGTH = TYPE_LENGTH + NONCE_LENGTH + DIGEST_LENGTH + TOKEN_KEY_ID_LENGTH;
export const TOKEN_LENGTH = SIGNED_LENGTH + MODULUS_LENGTH;
export const TOKEN_REQUEST_LENGTH = TYPE_LENGTH + 1 + MODULUS_LENGTH;
const MAX_CONTEXT_LENGTH = 32;
/** A registration answer has 256 bytes at most for the issuer's name; more is no name. */
const MAX_ISSUER_NAME_LENGTH = 256;
const MAX_ORIGIN_LENGTH = 256;

export interface TokenChallenge {
  readonly issuerName: string;
  /** The gateway's identity in base58. */
  readonly originInfo: string;
}

/** With an empty redemption context, so that it is the same for all. Throws RangeError for a name that does not fit. */
export function encodeTokenChallenge({ issuerName, originInfo }: TokenChallenge): Uint8Array {
  const issuer = ascii(issuerName);
  const origin = ascii(originInfo);
  if (issuer.length < 1 || issuer.length > MAX_ISSUER_NAME_LENGTH) throw new RangeError('the issuer name has 1 to 256');
  if (origin.length > MAX_ORIGIN_LENGTH) throw new RangeError('the origin info has at most 256 bytes');
  return concat(be16(TOKEN_TYPE), be16(issuer.length), issuer, new Uint8Array(1), be16(origin.length), origin);
}

/** `undefined` for anything but a whole challenge of token type 2; a redemption context is allowed and left out. */
export function decodeTokenChallenge(bytes: Uint8Array): TokenChallenge | undefined {
  let offset = 0;
  let whole = true;
  const take = (length: number): Uint8Array => {
    const part = bytes.subarray(offset, offset + length);
    whole &&= part.length === length;
    offset += length;
    return part;
  };
  const type = readBe16(take(2), 0);
  const issuer = take(readBe16(take(2), 0));
  const contextLength = take(1)[0] ?? 0;
  take(contextLength);
  const origin = take(readBe16(take(2), 0));
  if (!whole || offset !== bytes.length || type !== TOKEN_TYPE) return undefined;
  if (contextLength !== 0 && contextLength !== MAX_CONTEXT_LENGTH) return undefined;
  if (issuer.length < 1 || issuer.length > MAX_ISSUER_NAME_LENGTH || origin.length > MAX_ORIGIN_LENGTH)
    return undefined;
  const issuerName = text(issuer);
  const originInfo = text(origin);
  return issuerName === undefined || originInfo === undefined ? undefined : { issuerName, originInfo };
}

export interface Token {
  readonly nonce: Uint8Array;
  /** SHA-256 of the challenge that it answers. */
  readonly challengeDigest: Uint8Array;
  /** SHA-256 of the issuer's public key in its encoded form. */
  readonly tokenKeyId: Uint8Array;
  /** Everything before the authenticator. */
  readonly signed: Uint8Array;
  /** RSASSA-PSS signature of `signed`. */
  readonly authenticator: Uint8Array;
}

/** `undefined` for another length or token type. */
export function decodeToken(bytes: Uint8Array): Token | undefined {
  if (bytes.length !== TOKEN_LENGTH || readBe16(bytes, 0) !== TOKEN_TYPE) return undefined;
  const digestAt = TYPE_LENGTH + NONCE_LENGTH;
  const keyAt = digestAt + DIGEST_LENGTH;
  return {
    nonce: bytes.subarray(TYPE_LENGTH, digestAt),
    challengeDigest: bytes.subarray(digestAt, keyAt),
    tokenKeyId: bytes.subarray(keyAt, SIGNED_LENGTH),
    signed: bytes.subarray(0, SIGNED_LENGTH),
    authenticator: bytes.subarray(SIGNED_LENGTH),
  };
}

export interface TokenRequest {
  /** The last byte of the id of the key that is to sign. */
  readonly truncatedKeyId: number;
  readonly blinded: Uint8Array;
}

/** `undefined` for another length or token type. */
export function decodeTokenRequest(bytes: Uint8Array): TokenRequest | undefined {
  if (bytes.length !== TOKEN_REQUEST_LENGTH || readBe16(bytes, 0) !== TOKEN_TYPE) return undefined;
  return { truncatedKeyId: bytes[TYPE_LENGTH] ?? 0, blinded: bytes.subarray(TYPE_LENGTH + 1) };
}

function be16(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  writeBe16(bytes, 0, value);
  return bytes;
}

/** Valid UTF-8 that comes out again as it went in (a decoder would drop a byte order mark). */
function text(bytes: Uint8Array): string | undefined {
  const decoded = new TextDecoder().decode(bytes);
  return sameBytes(ascii(decoded), bytes) ? decoded : undefined;
}
