/**
 * The gateway's WireGuard key: 32 bytes in base64 with mode 0600, as `wg genkey` writes it. Made once and kept, because
 * clients have its public half in their tunnels' configuration. Nothing of its content reaches a message.
 */
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { createFile, makeDirectory } from './atomic-file.ts';
import { OperatorError, reasonOf, systemCode } from './operator-error.ts';
import { readPrivateFile } from './private-file.ts';

const KEY_LENGTH = 32;
/** 44 characters and a line break; more are spaces that an editor left. */
const MAX_FILE_BYTES = 256;
/** 43 digits and the filling; the last digit has two bits that do not belong to the key. */
const BASE64_KEY = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

/** In a buffer of its own, which the caller wipes or moves away. Throws an OperatorError ERR_WIREGUARD_KEY. */
export function readWireGuardKey(path: string): Uint8Array<ArrayBuffer> {
  const file = readPrivateFile(path, MAX_FILE_BYTES);
  if (file.kind === 'missing') {
    throw new OperatorError(
      'ERR_WIREGUARD_KEY',
      `there is no WireGuard key ${path}`,
      'correct wireguard.private_key, or make one with: (umask 077; wg genkey > FILE)',
    );
  }
  if (file.kind === 'refused') throw new OperatorError('ERR_WIREGUARD_KEY', `${path} ${file.problem}`, file.remedy);
  const key = decoded(file.content);
  file.content.fill(0);
  if (key !== undefined) return key;
  throw new OperatorError(
    'ERR_WIREGUARD_KEY',
    `${path} is no WireGuard key`,
    'give a file with one line of 44 base64 characters, as "wg genkey" prints it',
  );
}

/** Makes it where it is missing, with the directories above it (0700). Throws an OperatorError ERR_WIREGUARD_KEY. */
export function ensureWireGuardKey(path: string): void {
  try {
    makeDirectory(dirname(path));
  } catch (error) {
    throw unwritable(path, error);
  }
  const key = randomBytes(KEY_LENGTH);
  key[0] = (key[0] ?? 0) & 248;
  key[31] = ((key[31] ?? 0) & 127) | 64;
  const line = Buffer.from(`${key.toString('base64')}\n`);
  try {
    createFile(path, line);
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw unwritable(path, error);
  } finally {
    key.fill(0);
    line.fill(0);
  }
}

function unwritable(path: string, error: unknown): OperatorError {
  return new OperatorError(
    'ERR_WIREGUARD_KEY',
    `the WireGuard key cannot be written to ${path} (${reasonOf(error)})`,
    'check that the directory can be written by this user and that its disk is not full',
    { cause: error },
  );
}

function decoded(content: Buffer): Uint8Array<ArrayBuffer> | undefined {
  const text = content.toString('latin1').trim();
  if (!BASE64_KEY.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64');
  const key = new Uint8Array(KEY_LENGTH);
  key.set(bytes);
  bytes.fill(0);
  return key;
}
