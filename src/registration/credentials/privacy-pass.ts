/**
 * `credentials.kind = "privacy-pass"`: tokens of type 2 (RFC 9578 §6) that an issuer has signed for this gateway alone.
 * Invariant: while a key can verify a token, the store may not forget it, so a token's `keepUntil` lies behind the moment
 * from which its key is expired, and that moment can be brought forward but never put off (registration.md, rules 2, 7).
 */
import { constants, createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { sameBytes } from '../../lp/wire/bytes.ts';
import { decodeToken, encodeTokenChallenge, PRIVACY_PASS, type Token } from '../../lp/wire/privacy-pass.ts';
import type { Credential, Price } from '../../lp/wire/registration-body.ts';
import type { CredentialRefusal, CredentialVerifier, Grant, Verdict } from './verifier.ts';

/** A key of the issuer that this gateway trusts. */
export interface IssuerPublicKey {
  /** DER-encoded SubjectPublicKeyInfo with the RSASSA-PSS OID, as the issuer's directory gives it. */
  readonly spki: Uint8Array;
  /**
   * Unix seconds from which on its tokens are `credential_expired`. It must not become later from one start of the gateway
   * to the next: spent tokens are forgotten by it. Without it they are never forgotten.
   */
  readonly notAfter?: number;
  /** Expired from now on. */
  readonly retired?: boolean;
}

export interface PrivacyPassOptions {
  readonly issuerName: string;
  /** The gateway's identity in base58. */
  readonly originInfo: string;
  readonly keys: readonly IssuerPublicKey[];
  /** What one token buys: bytes, and seconds of lifetime. */
  readonly price: Price & { readonly tokens: 1 };
}

export interface PrivacyPassVerifier extends CredentialVerifier {
  /** The encoded TokenChallenge: the same for all clients, for as long as issuer and identity stay. */
  readonly challenge: Uint8Array;
  /** Replaces the keys (rotation); all or, where it throws PrivacyPassConfigError, none. */
  setKeys(keys: readonly IssuerPublicKey[]): void;
}

export type PrivacyPassConfigCode = 'CREDENTIALS_CHALLENGE' | 'CREDENTIALS_KEY' | 'CREDENTIALS_PRICE';

/** What the operator configured and cannot work. */
export class PrivacyPassConfigError extends Error {
  readonly code: PrivacyPassConfigCode;

  constructor(code: PrivacyPassConfigCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PrivacyPassConfigError';
    this.code = code;
  }
}

interface KnownKey {
  readonly key: KeyObject;
  readonly notAfter: number;
  readonly retired: boolean;
}

const MODULUS_BITS = 2_048;
const SALT_LENGTH = 48;
/** An issuer has three keys at a time, and announces retired ones for a while. */
const MAX_KEYS = 256;
/** Expiry dates remembered of keys that are no longer listed. */
const MAX_REMEMBERED = 1_024;
/** A wall clock that was fast by less than this, and was set back, revives no key whose tokens were forgotten. */
const CLOCK_MARGIN_S = 86_400;

/** Throws PrivacyPassConfigError. */
export function createPrivacyPass({ issuerName, originInfo, keys, price }: PrivacyPassOptions): PrivacyPassVerifier {
  const grant = grantOf(price);
  const challenge = challengeOf(issuerName, originInfo);
  const digest = sha256(challenge);
  const expiries = new Map<string, number>();
  let known = knownKeys(keys, expiries);
  const refused = (code: CredentialRefusal): Verdict => ({ kind: 'refused', code });

  function judge({ kind, token: bytes }: Credential, now: number): Verdict {
    if (kind !== PRIVACY_PASS) return refused('credential_kind');
    const token = decodeToken(bytes);
    if (token === undefined) return refused('credential_invalid');
    if (!sameBytes(token.challengeDigest, digest)) return refused('credential_wrong_challenge');
    const issuer = known.get(hex(token.tokenKeyId));
    if (issuer === undefined) return refused('credential_invalid');
    if (issuer.retired || now >= issuer.notAfter) return refused('credential_expired');
    if (!isSigned(token, issuer.key)) return refused('credential_invalid');
    const keepUntil = Math.min(issuer.notAfter + CLOCK_MARGIN_S, Number.MAX_SAFE_INTEGER);
    return { kind: 'accepted', tokenId: sha256(token.tokenKeyId, token.nonce), keepUntil, grant };
  }

  return {
    challenge,
    offer: () => ({ kind: 'price', challenge, issuer: issuerName, price }),
    verify: async (credential, now) => judge(credential, now),
    setKeys(next) {
      known = knownKeys(next, expiries);
    },
  };
}

/** In place, since it takes less than a tenth of a millisecond; the key carries hash, mask and salt length. */
function isSigned({ signed, authenticator }: Token, key: KeyObject): boolean {
  return verify(
    'sha384',
    signed,
    { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: SALT_LENGTH },
    authenticator,
  );
}

/** By token_key_id in hex. Notes new expiry dates in `expiries` once every key is found good. */
function knownKeys(keys: readonly IssuerPublicKey[], expiries: Map<string, number>): ReadonlyMap<string, KnownKey> {
  if (keys.length > MAX_KEYS) throw new PrivacyPassConfigError('CREDENTIALS_KEY', `more than ${MAX_KEYS} issuer keys`);
  const known = new Map<string, KnownKey>();
  for (const { spki, notAfter = Number.MAX_SAFE_INTEGER, retired = false } of keys) {
    const key = publicKeyOf(spki);
    if (!Number.isSafeInteger(notAfter) || notAfter < 0) {
      throw new PrivacyPassConfigError('CREDENTIALS_KEY', 'the end of an issuer key is not a time in unix seconds');
    }
    const id = hex(sha256(spki));
    const earliest = Math.min(notAfter, expiries.get(id) ?? notAfter, known.get(id)?.notAfter ?? notAfter);
    known.set(id, { key, notAfter: earliest, retired: retired || known.get(id)?.retired === true });
  }
  for (const [id, { notAfter }] of known) {
    expiries.delete(id);
    expiries.set(id, notAfter);
  }
  for (const id of expiries.keys()) {
    if (expiries.size <= MAX_REMEMBERED) break;
    expiries.delete(id);
  }
  return known;
}

function publicKeyOf(spki: Uint8Array): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new PrivacyPassConfigError('CREDENTIALS_KEY', 'an issuer key is no SubjectPublicKeyInfo', { cause });
  }
  const { modulusLength, hashAlgorithm, mgf1HashAlgorithm, saltLength } = key.asymmetricKeyDetails ?? {};
  const fits =
    key.asymmetricKeyType === 'rsa-pss' &&
    modulusLength === MODULUS_BITS &&
    hashAlgorithm === 'sha384' &&
    mgf1HashAlgorithm === 'sha384' &&
    saltLength === SALT_LENGTH;
  if (fits) return key;
  throw new PrivacyPassConfigError(
    'CREDENTIALS_KEY',
    'an issuer key is not an RSASSA-PSS key of 2048 bits with SHA-384 and 48 bytes of salt (token type 2)',
  );
}

function challengeOf(issuerName: string, originInfo: string): Uint8Array {
  if (originInfo === '') throw new PrivacyPassConfigError('CREDENTIALS_CHALLENGE', 'the gateway has no identity');
  try {
    return encodeTokenChallenge({ issuerName, originInfo });
  } catch (cause) {
    throw new PrivacyPassConfigError('CREDENTIALS_CHALLENGE', 'the issuer name has to have 1 to 256 bytes', { cause });
  }
}

function grantOf({ tokens, bandwidth, lifetime }: Price): Grant {
  const sound = [bandwidth, lifetime].every((value) => Number.isSafeInteger(value) && value > 0);
  if (tokens === 1 && sound) return { bandwidth, lifetimeSeconds: lifetime };
  throw new PrivacyPassConfigError('CREDENTIALS_PRICE', 'one token has to buy some bytes and some seconds');
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return Uint8Array.from(hash.digest());
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
