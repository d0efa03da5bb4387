/**
 * Small files that are there whole or not at all: written and synced under a temporary name in the same directory, then
 * renamed (replacing) or linked (exclusive). Mode 0600 from the first byte on; nothing is left behind by a failure.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** Replaces `path`. Throws system errors. */
export function replaceFile(path: string, content: string | Uint8Array): void {
  throughTemporary(path, content, (temporary) => renameSync(temporary, path));
}

/** Creates `path`; throws a system error with code EEXIST where it is there already, whatever it is. */
export function createFile(path: string, content: string | Uint8Array): void {
  throughTemporary(path, content, (temporary) => linkSync(temporary, path));
}

/** Creates the directory and those above it that are missing, all with mode 0700. */
export function makeDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE });
}

function throughTemporary(path: string, content: string | Uint8Array, place: (temporary: string) => void): void {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  const file = openSync(temporary, 'wx', FILE_MODE);
  try {
    try {
      writeFileSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    place(temporary);
    syncDirectory(dirname(path));
  } finally {
    // After a rename it is gone; after a link it is the second name of the file.
    rmSync(temporary, { force: true });
  }
}

/** Makes the new name itself durable. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
