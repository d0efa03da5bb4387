/**
 * The node's long-term keys for Nym's protocol (nym.md §3.1): an X25519 key and the seed (d ‖ z) of an ML-KEM-768 key, each
 * in a file of its own with mode 0600, one line of base64. Made once and kept, because directories announce their public
 * halves. Nothing of their content reaches a message.
 */
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { createFile, makeDirectory } from './atomic-file.ts';
import { OperatorError, reasonOf, systemCode } from './operator-error.ts';
import { readPrivateFile } from './private-file.ts';

export type NymKeyKind = 'lp' | 'kem';

const LENGTH: Readonly<Record<NymKeyKind, number>> = { lp: 32, kem: 64 };
const NAME: Readonly<Record<NymKeyKind, string>> = { lp: "node's LP key", kem: "seed of the node's ML-KEM-768 key" };
const OPTION: Readonly<Record<NymKeyKind, string>> = { lp: 'nym.lp_key', kem: 'nym.kem_key' };
/** 88 characters and a line break; more are spaces that an editor left. */
const MAX_FILE_BYTES = 256;

/** The caller wipes it. Throws an OperatorError ERR_NYM_KEY. */
export function readNymKey(path: string, kind: NymKeyKind): Uint8Array<ArrayBuffer> {
  const file = readPrivateFile(path, MAX_FILE_BYTES);
  if (file.kind === 'missing') {
    const remedy = `correct ${OPTION[kind]}, or make one with: lewes keygen --kind nym-${kind} FILE`;
    throw new OperatorError('ERR_NYM_KEY', `there is no file ${path} with the ${NAME[kind]}`, remedy);
  }
  if (file.kind === 'refused') throw new OperatorError('ERR_NYM_KEY', `${path} ${file.problem}`, file.remedy);
  const key = decoded(file.content, kind);
  file.content.fill(0);
  if (key !== undefined) return key;
  throw new OperatorError(
    'ERR_NYM_KEY',
    `${path} is no ${NAME[kind]}`,
    kind === 'lp'
      ? 'give a file with one line of 44 base64 characters, an X25519 key that is clamped'
      : 'give a file with one line of 88 base64 characters, the 64 bytes of d and z',
  );
}

/** Makes it, with the directories above it (0700). Throws an OperatorError: ERR_NYM_KEY, or ERR_NYM_KEY_EXISTS. */
export function createNymKey(path: string, kind: NymKeyKind): void {
  if (write(path, kind)) return;
  throw new OperatorError(
    'ERR_NYM_KEY_EXISTS',
    `${path} is there already and was left as it is`,
    'choose another path, or move the file away if its key is no longer needed',
  );
}

/** Makes it where it is missing. Throws an OperatorError ERR_NYM_KEY. */
export function ensureNymKey(path: string, kind: NymKeyKind): void {
  write(path, kind);
}

/** False: something is there already. */
function write(path: string, kind: NymKeyKind): boolean {
  const key = randomBytes(LENGTH[kind]);
  if (kind === 'lp') {
    key[0] = (key[0] ?? 0) & 248;
    key[31] = ((key[31] ?? 0) & 127) | 64;
  }
  const line = Buffer.from(`${key.toString('base64')}\n`);
  try {
    makeDirectory(dirname(path));
    createFile(path, line);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw new OperatorError(
      'ERR_NYM_KEY',
      `the ${NAME[kind]} cannot be written to ${path} (${reasonOf(error)})`,
      'check that the directory can be written by this user and that its disk is not full',
      { cause: error },
    );
  } finally {
    key.fill(0);
    line.fill(0);
  }
}

function decoded(content: Buffer, kind: NymKeyKind): Uint8Array<ArrayBuffer> | undefined {
  const text = content.toString('latin1').trim();
  const bytes = Buffer.from(text, 'base64');
  // Base64 is lenient here: what does not come back as it stood is something else.
  const sound =
    bytes.length === LENGTH[kind] && bytes.toString('base64') === text && (kind === 'kem' || clamped(bytes));
  const key = new Uint8Array(LENGTH[kind]);
  if (sound) key.set(bytes);
  bytes.fill(0);
  return sound ? key : undefined;
}

function clamped(key: Uint8Array): boolean {
  return ((key[0] ?? 0) & 7) === 0 && ((key[31] ?? 0) & 0xc0) === 0x40;
}
