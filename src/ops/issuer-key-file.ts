/** Public keys of an issuer from files: SubjectPublicKeyInfo as PEM. The bytes are kept as they stand, for their hash is the key's name. */
import { readFileSync, statSync } from 'node:fs';
import { OperatorError, reasonOf } from './operator-error.ts';

const MAX_FILE_BYTES = 65_536;
const PEM = /-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----/g;

/** All keys of the file, at least one. Whether each is of the right type, the verifier says. Throws an OperatorError ERR_ISSUER_KEY. */
export function readIssuerKeys(path: string): readonly Uint8Array[] {
  const keys = [...textOf(path).matchAll(PEM)].map(([, base64 = '']) => Uint8Array.from(Buffer.from(base64, 'base64')));
  if (keys.length > 0) return keys;
  throw refused(`${path} has no public key`, 'give a PEM file that begins with -----BEGIN PUBLIC KEY-----');
}

function textOf(path: string): string {
  try {
    if (statSync(path).size > MAX_FILE_BYTES) throw new Error(`it is longer than ${MAX_FILE_BYTES} bytes`);
    return readFileSync(path, 'latin1');
  } catch (error) {
    throw refused(`${path} cannot be read (${reasonOf(error)})`, 'correct the path in credentials.keys', error);
  }
}

function refused(what: string, remedy: string, cause?: unknown): OperatorError {
  return new OperatorError('ERR_ISSUER_KEY', what, remedy, { cause });
}
