/**
 * Privacy Pass tokens made with the issuer's private key and no issuer between: what a client gets in the end, without the
 * cost of blinding, for loads of many tokens (RFC 9578 §6).
 */
import { constants, createHash, randomBytes, sign } from 'node:crypto';
import type { BlindKey } from '../../src/issuer/blind-key.ts';
import { decodeToken, TOKEN_TYPE } from '../../src/lp/wire/privacy-pass.ts';

const SALT_LENGTH = 48;

/** A token for the challenge, with a nonce of its own. */
export function mintToken(key: BlindKey, challenge: Uint8Array): Uint8Array {
  const type = Buffer.of(TOKEN_TYPE >> 8, TOKEN_TYPE & 0xff);
  const signed = Buffer.concat([type, randomBytes(32), sha256(challenge), Buffer.from(key.id, 'hex')]);
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  const authenticator = sign('sha384', signed, { key: key.privateKey, padding, saltLength: SALT_LENGTH });
  return Uint8Array.from(Buffer.concat([signed, authenticator]));
}

/** Under which name a gateway's store keeps a token that was spent. */
export function tokenIdOf(token: Uint8Array): Uint8Array {
  const decoded = decodeToken(token);
  if (decoded === undefined) throw new Error('this is no token');
  return sha256(Buffer.concat([decoded.tokenKeyId, decoded.nonce]));
}

function sha256(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(createHash('sha256').update(bytes).digest());
}
