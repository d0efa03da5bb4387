/**
 * The files of the issuer's keys in one directory: `keys.json` says which there are and when each begins and ends, and
 * `<id>.pem` holds a private key (PKCS#8, mode 0600) for as long as it may sign. Every file is whole or absent.
 */
import { closeSync, fstatSync, openSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { createFile, makeDirectory, replaceFile } from '../ops/atomic-file.ts';
import { OperatorError, reasonOf, systemCode } from '../ops/operator-error.ts';
import { type BlindKey, formatBlindKey, parseBlindKey, tokenKeyId } from './blind-key.ts';

/** Unix seconds; notBefore ≤ issueUntil ≤ notAfter. */
export interface KeyDates {
  readonly notBefore: number;
  /** When its successor takes over. */
  readonly issueUntil: number;
  /** From when on its tokens are expired. Never put off. */
  readonly notAfter: number;
}

export interface KeyRecord extends KeyDates {
  /** token_key_id in hex. */
  readonly id: string;
  readonly spki: Uint8Array;
}

const MANIFEST = 'keys.json';
/** Far more than rotation ever keeps. */
const MAX_RECORDS = 1_000;
const MAX_FILE_BYTES = 1_048_576;

const seconds = z.int().min(0);
const manifestSchema = z.strictObject({
  version: z.literal(1),
  keys: z
    .array(
      z
        .strictObject({
          id: z.string().regex(/^[0-9a-f]{64}$/),
          spki: z.base64().max(1_024),
          notBefore: seconds,
          issueUntil: seconds,
          notAfter: seconds,
        })
        .refine((key) => key.notBefore <= key.issueUntil && key.issueUntil <= key.notAfter),
    )
    .max(MAX_RECORDS),
});

/** Throws OperatorError ERR_ISSUER_KEYS. A directory that is not there has no keys. */
export function readKeyRecords(directory: string): readonly KeyRecord[] {
  const path = join(directory, MANIFEST);
  const text = readPrivate(path)?.toString('utf8');
  if (text === undefined) return [];
  const parsed = manifestSchema.safeParse(parseJson(text));
  if (!parsed.success) throw broken(path, 'is no list of keys');
  return parsed.data.keys.map(({ spki, ...key }) => {
    const bytes = Uint8Array.from(Buffer.from(spki, 'base64'));
    if (tokenKeyId(bytes) !== key.id) throw broken(path, `has a key under a name that is not its own (${key.id})`);
    return { ...key, spki: bytes };
  });
}

/** Throws OperatorError ERR_ISSUER_KEYS. */
export function writeKeyRecords(directory: string, records: readonly KeyRecord[]): void {
  const keys = records.map(({ id, spki, notBefore, issueUntil, notAfter }) => {
    return { id, spki: Buffer.from(spki).toString('base64'), notBefore, issueUntil, notAfter };
  });
  write(directory, () =>
    replaceFile(join(directory, MANIFEST), `${JSON.stringify({ version: 1, keys }, undefined, 2)}\n`),
  );
}

/** `undefined` when it is not there (any more). Throws OperatorError ERR_ISSUER_KEYS. */
export function readPrivateKey(directory: string, id: string): BlindKey | undefined {
  const path = join(directory, `${id}.pem`);
  const pem = readPrivate(path);
  if (pem === undefined) return undefined;
  try {
    const key = parseBlindKey(pem);
    if (key?.id !== id) throw broken(path, 'does not hold the private key that its name says');
    return key;
  } finally {
    pem.fill(0);
  }
}

/** Throws OperatorError ERR_ISSUER_KEYS. */
export function writePrivateKey(directory: string, key: BlindKey): void {
  write(directory, () => {
    makeDirectory(directory);
    createFile(join(directory, `${key.id}.pem`), formatBlindKey(key));
  });
}

/** Throws OperatorError ERR_ISSUER_KEYS. */
export function removePrivateKey(directory: string, id: string): void {
  write(directory, () => rmSync(join(directory, `${id}.pem`), { force: true }));
}

function readPrivate(path: string): Buffer | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw broken(path, `cannot be read (${reasonOf(error)})`, error);
  }
  try {
    // The open file is asked, not the path: nobody can exchange it in between.
    const stat = fstatSync(file);
    if (!stat.isFile() || stat.size > MAX_FILE_BYTES) throw broken(path, 'is no file of this kind');
    if ((stat.mode & 0o077) !== 0) throw broken(path, 'can be reached by other users (its mode has to be 0600)');
    const content = Buffer.alloc(stat.size);
    return content.subarray(0, readSync(file, content));
  } finally {
    closeSync(file);
  }
}

function write(directory: string, work: () => void): void {
  try {
    work();
  } catch (cause) {
    throw new OperatorError(
      'ERR_ISSUER_KEYS',
      `the issuer's keys cannot be written to ${directory} (${reasonOf(cause)})`,
      'check that this user may write there and that the disk is not full',
      { cause },
    );
  }
}

function broken(path: string, what: string, cause?: unknown): OperatorError {
  return new OperatorError(
    'ERR_ISSUER_KEYS',
    `${path} ${what}`,
    "restore the directory of the issuer's keys from a backup; with a new one, tokens that are out are worth nothing",
    cause === undefined ? undefined : { cause },
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
