/**
 * One blind RSA key of the issuer (RFC 9578 §6.5): 2048 bits, its public half encoded with the RSASSA-PSS OID, which is
 * what names it, and the raw private operation. Invariant: what leaves `blindSign` was checked against the request, so
 * that a fault of the machine cannot give the key away.
 */
import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
} from 'node:crypto';
import { promisify } from 'node:util';
import { MODULUS_LENGTH } from '../lp/wire/privacy-pass.ts';

export interface BlindKey {
  /** SHA-256 of `spki` in hex: the token_key_id. */
  readonly id: string;
  /** The last byte of the token_key_id. */
  readonly truncatedId: number;
  readonly spki: Uint8Array;
  readonly modulus: Uint8Array;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const PUBLIC_EXPONENT = 65_537;
/** rsaEncryption SubjectPublicKeyInfo of 2048 bits with this exponent: header and algorithm, then the BIT STRING. */
const ENCRYPTION_SPKI_LENGTH = 294;
const ENCRYPTION_HEAD_LENGTH = 19;
const MODULUS_AT = ENCRYPTION_HEAD_LENGTH + 14;
/** RFC 4055 §3.1: id-RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes, as RFC 9578's vectors have it. */
const PSS_HEAD = Buffer.from(
  '30820152303d06092a864886f70d01010a3030a00d300b0609608648016503040202' +
    'a11a301806092a864886f70d010108300b0609608648016503040202a203020130',
  'hex',
);

const generate = promisify(generateKeyPair);

/** On a thread of its own: it takes a tenth of a second. */
export async function generateBlindKey(): Promise<BlindKey> {
  const options = { modulusLength: MODULUS_LENGTH * 8, publicExponent: PUBLIC_EXPONENT };
  const { privateKey } = await generate('rsa', options);
  const key = blindKeyOf(privateKey);
  if (key === undefined) throw new Error('assertion: a fresh key has the size that was asked for');
  return key;
}

/** `undefined` when the PEM is no private key of this kind. */
export function parseBlindKey(pem: Buffer): BlindKey | undefined {
  try {
    return blindKeyOf(createPrivateKey({ key: pem, format: 'pem' }));
  } catch {
    // Nothing of the file's content may reach a log, so the cause ends here.
    return undefined;
  }
}

/** PKCS#8 PEM; secret. */
export function formatBlindKey(key: BlindKey): string {
  return key.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

/** token_key_id in hex of an encoded public key. */
export function tokenKeyId(spki: Uint8Array): string {
  return createHash('sha256').update(spki).digest('hex');
}

/** BlindSign of RFC 9474 §4.3; `blinded` has 256 bytes and is below the modulus. Takes a millisecond, in place. */
export function blindSign(key: BlindKey, blinded: Uint8Array): Uint8Array {
  const signature = privateDecrypt({ key: key.privateKey, padding: constants.RSA_NO_PADDING }, blinded);
  const back = publicEncrypt({ key: key.publicKey, padding: constants.RSA_NO_PADDING }, signature);
  if (!back.equals(blinded)) {
    signature.fill(0);
    throw new Error('assertion: a blind signature verifies (faulty machine?)');
  }
  return Uint8Array.from(signature);
}

function blindKeyOf(privateKey: KeyObject): BlindKey | undefined {
  if (privateKey.asymmetricKeyType !== 'rsa') return undefined;
  const publicKey = createPublicKey(privateKey);
  const der = publicKey.export({ format: 'der', type: 'spki' });
  const details = publicKey.asymmetricKeyDetails;
  if (details?.modulusLength !== MODULUS_LENGTH * 8 || details.publicExponent !== BigInt(PUBLIC_EXPONENT)) {
    return undefined;
  }
  if (der.length !== ENCRYPTION_SPKI_LENGTH) throw new Error('assertion: DER of such a key has one length');
  const spki = Uint8Array.from(Buffer.concat([PSS_HEAD, der.subarray(ENCRYPTION_HEAD_LENGTH)]));
  const id = tokenKeyId(spki);
  return {
    id,
    truncatedId: Number.parseInt(id.slice(-2), 16),
    spki,
    modulus: Uint8Array.from(der.subarray(MODULUS_AT, MODULUS_AT + MODULUS_LENGTH)),
    publicKey,
    privateKey,
  };
}
