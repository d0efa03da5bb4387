/**
 * The gateway's identity file: an Ed25519 key as PKCS#8 PEM with mode 0600. Reading refuses what others may read;
 * creating never overwrites and leaves nothing half-written. The seed leaves this module only in a holder that wipes.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { dirname } from 'node:path';
import { Secret } from '../lp/crypto/secret.ts';
import { createFile, makeDirectory } from './atomic-file.ts';
import { OperatorError, reasonOf, systemCode } from './operator-error.ts';

export interface Identity {
  /** Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Ed25519 seed, 32 bytes; the caller wipes it. */
  readonly seed: Secret;
}

/** A PKCS#8 PEM of an Ed25519 key has 119 bytes; comments before it are allowed. */
const MAX_FILE_BYTES = 16_384;
/** RFC 8410 §7: everything before the seed in the DER form without a public key. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SEED_LENGTH = 32;
const SPKI_PREFIX_LENGTH = 12;

/**
 * Reads an identity. Throws an OperatorError: ERR_IDENTITY_MISSING, ERR_IDENTITY_UNREADABLE, ERR_IDENTITY_MODE,
 * ERR_IDENTITY_MALFORMED or ERR_IDENTITY_TYPE.
 */
export function readIdentity(path: string): Identity {
  const pem = readPrivateFile(path);
  try {
    return identityOf(path, parsePrivateKey(path, pem));
  } finally {
    pem.fill(0);
  }
}

/**
 * Creates an identity and the directories above it (0700). Throws an OperatorError: ERR_IDENTITY_EXISTS, or
 * ERR_IDENTITY_UNWRITABLE.
 */
export function createIdentity(path: string): Identity {
  const { privateKey } = generateKeyPairSync('ed25519');
  try {
    makeDirectory(dirname(path));
  } catch (error) {
    throw unwritable(path, error);
  }
  try {
    // node:crypto gives PEM as a string only; it is garbage after this line, and the file has the same content.
    createFile(path, privateKey.export({ format: 'pem', type: 'pkcs8' }));
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw unwritable(path, error);
    throw new OperatorError(
      'ERR_IDENTITY_EXISTS',
      `${path} is there already and was left as it is`,
      'choose another path, or move the file away if its identity is no longer needed',
    );
  }
  return identityOf(path, privateKey);
}

function unwritable(path: string, error: unknown): OperatorError {
  return new OperatorError(
    'ERR_IDENTITY_UNWRITABLE',
    `the identity cannot be written to ${path} (${reasonOf(error)})`,
    'check that the directory can be written by this user and that its disk is not full',
    { cause: error },
  );
}

function readPrivateFile(path: string): Buffer {
  const file = openPrivateFile(path);
  try {
    // The open file is asked, not the path: nobody can exchange it in between.
    const stat = fstatSync(file);
    if (!stat.isFile()) throw malformed(path, 'is not a regular file');
    if ((stat.mode & 0o077) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      throw new OperatorError(
        'ERR_IDENTITY_MODE',
        `${path} has mode ${mode}, so other users may reach the secret key`,
        `run: chmod 600 ${path} (and make a new identity if others could have read it)`,
      );
    }
    if (stat.size > MAX_FILE_BYTES) throw malformed(path, `has ${stat.size} bytes, which is no key file`);
    const content = Buffer.alloc(stat.size);
    return content.subarray(0, readSync(file, content));
  } finally {
    closeSync(file);
  }
}

function openPrivateFile(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') {
      throw new OperatorError(
        'ERR_IDENTITY_MISSING',
        `there is no identity file ${path}`,
        `correct the path, or make one with: lewes keygen ${path}`,
      );
    }
    throw new OperatorError(
      'ERR_IDENTITY_UNREADABLE',
      `the identity file ${path} cannot be read (${reasonOf(error)})`,
      'give this user the right to read it (owner and mode of the file and of the directories above it)',
      { cause: error },
    );
  }
}

function parsePrivateKey(path: string, pem: Buffer): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: 'pem' });
  } catch (error) {
    // The cause is not passed on: nothing of the file's content may reach a log.
    if (systemCode(error) === 'ERR_MISSING_PASSPHRASE') throw malformed(path, 'is encrypted with a passphrase');
    throw malformed(path, 'is not a PKCS#8 PEM private key');
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new OperatorError(
      'ERR_IDENTITY_TYPE',
      `${path} holds a key of type ${key.asymmetricKeyType ?? 'unknown'}, and an identity is an Ed25519 key`,
      `give an Ed25519 key, or make one with: lewes keygen FILE`,
    );
  }
  return key;
}

function malformed(path: string, what: string): OperatorError {
  return new OperatorError(
    'ERR_IDENTITY_MALFORMED',
    `${path} ${what}`,
    'give an unencrypted Ed25519 key in PKCS#8 PEM form, as lewes keygen writes it',
  );
}

function identityOf(path: string, key: KeyObject): Identity {
  const der = key.export({ format: 'der', type: 'pkcs8' });
  try {
    const known =
      der.length === PKCS8_PREFIX.length + SEED_LENGTH && der.subarray(0, PKCS8_PREFIX.length).equals(PKCS8_PREFIX);
    if (!known) throw malformed(path, 'has an unknown PKCS#8 form');
    const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
    return {
      publicKey: Uint8Array.from(spki.subarray(SPKI_PREFIX_LENGTH)),
      seed: new Secret(Uint8Array.from(der.subarray(PKCS8_PREFIX.length))),
    };
  } finally {
    der.fill(0);
  }
}
