/**
 * Tokens fetched ahead, one per line in base64, in a file that several processes may share. Invariant: who takes or adds
 * tokens holds the lock beside the file, and a token is removed from the disk before it is handed out: it may get lost
 * in a crash, but is never used twice. A file that other users can read is refused: its tokens are money.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sameBytes } from '../lp/wire/bytes.ts';
import { decodeToken, TOKEN_LENGTH } from '../lp/wire/privacy-pass.ts';
import { systemTimers, type Timers } from '../system/timers.ts';
import { withFileLock } from './file-lock.ts';
import { TokenError } from './token-error.ts';
import type { TokenSource } from './token-source.ts';

export interface FileTokenSourceOptions {
  readonly signal?: AbortSignal;
  readonly timers?: Timers;
}

const FILE_MODE = 0o600;
const LINE_LENGTH = Math.ceil(TOKEN_LENGTH / 3) * 4;
/** 17,000 tokens. */
const MAX_FILE_BYTES = 8_388_608;

/** Gives tokens for any gateway that the file has tokens for, in the file's order. */
export function fileTokenSource(path: string, options: FileTokenSourceOptions = {}): TokenSource {
  return {
    async token(challenge) {
      const digest = createHash('sha256').update(challenge).digest();
      const token = await underLock(path, options, () => takeToken(path, digest));
      if (token !== undefined) return token;
      throw new TokenError(
        'no_tokens',
        `${path} has no token for this gateway; fetch some with: lewes token --issuer URL --gateway IDENTITY --out ${path}`,
      );
    },
    giveBack: (token) => appendToken(path, token, options),
  };
}

/** Adds a token at the end; makes the file where it is missing. Rejects with TokenError. */
export async function appendToken(
  path: string,
  token: Uint8Array,
  options: FileTokenSourceOptions = {},
): Promise<void> {
  await underLock(path, options, () => {
    const lines = readLines(path) ?? [];
    replace(path, [...lines, Buffer.from(token).toString('base64')]);
  });
}

/** Whether tokens can be added: before any is paid for. Throws TokenError. */
export function checkTokenFile(path: string): void {
  try {
    readLines(path);
  } catch (cause) {
    throw told(path, cause);
  }
}

function takeToken(path: string, digest: Uint8Array): Uint8Array | undefined {
  const lines = readLines(path) ?? [];
  for (const [at, line] of lines.entries()) {
    const token = Uint8Array.from(Buffer.from(line, 'base64'));
    const decoded = decodeToken(token);
    if (decoded === undefined || !sameBytes(decoded.challengeDigest, digest)) continue;
    replace(path, lines.toSpliced(at, 1));
    return token;
  }
  return undefined;
}

/** `undefined` where there is no file. */
function readLines(path: string): readonly string[] | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile() || stat.size > MAX_FILE_BYTES) throw unusable(path, 'it is no file of tokens');
    if ((stat.mode & 0o077) !== 0) throw unusable(path, `other users can read it; run: chmod 600 ${path}`);
    const lines = readFileSync(file, 'latin1').split('\n');
    for (const [at, line] of lines.entries()) {
      const sound = line === '' || (line.length === LINE_LENGTH && /^[A-Za-z0-9+/]+$/.test(line));
      if (!sound) throw unusable(path, `line ${at + 1} is no token; remove it`);
    }
    return lines.filter((line) => line !== '');
  } finally {
    closeSync(file);
  }
}

/** Whole or not at all, and on the disk when it returns. The lock makes the temporary name free. */
function replace(path: string, lines: readonly string[]): void {
  const temporary = `${path}.new`;
  rmSync(temporary, { force: true });
  const file = openSync(temporary, 'wx', FILE_MODE);
  try {
    writeFileSync(file, lines.map((line) => `${line}\n`).join(''));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const directory = openSync(dirname(join(path)), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

async function underLock<T>(path: string, options: FileTokenSourceOptions, work: () => T): Promise<T> {
  const { signal, timers = systemTimers } = options;
  try {
    return await withFileLock(`${path}.lock`, { timers, signal }, work);
  } catch (error) {
    if (signal?.aborted === true) throw new TokenError('aborted', 'aborted while waiting for the file', signal.reason);
    throw told(path, error);
  }
}

function told(path: string, error: unknown): TokenError {
  if (error instanceof TokenError) return error;
  return unusable(path, error instanceof Error ? error.message : String(error), error);
}

function unusable(path: string, why: string, cause?: unknown): TokenError {
  return new TokenError('token_file', `the file of tokens ${path} cannot be used: ${why}`, cause);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
