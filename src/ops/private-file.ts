/**
 * Small files with a secret: read whole, and only where nobody but their owner can reach them. What is wrong is a value, so
 * that each kind of file says in its own words what to do.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { reasonOf, systemCode } from './operator-error.ts';

export type PrivateFile =
  /** The caller wipes it. */
  | { readonly kind: 'content'; readonly content: Buffer }
  | { readonly kind: 'missing' }
  /** `problem` continues "<path> …". */
  | { readonly kind: 'refused'; readonly problem: string; readonly remedy: string };

export function readPrivateFile(path: string, maxBytes: number): PrivateFile {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return { kind: 'missing' };
    return unreadable(error);
  }
  try {
    // The open file is asked, not the path: nobody can exchange it in between.
    const { mode, size, isFile } = statOf(file);
    if (!isFile) return { kind: 'refused', problem: 'is not a regular file', remedy: 'correct the path' };
    if ((mode & 0o077) !== 0) {
      const shown = (mode & 0o777).toString(8).padStart(4, '0');
      const problem = `has mode ${shown}, so other users may reach the secret key`;
      return { kind: 'refused', problem, remedy: `run: chmod 600 ${path} (and make a new key if others read it)` };
    }
    if (size > maxBytes) return { kind: 'refused', problem: 'is too long for a key', remedy: 'correct the path' };
    const content = Buffer.alloc(size);
    return { kind: 'content', content: content.subarray(0, readSync(file, content)) };
  } catch (error) {
    return unreadable(error);
  } finally {
    closeSync(file);
  }
}

function statOf(file: number): { readonly mode: number; readonly size: number; readonly isFile: boolean } {
  const stats = fstatSync(file);
  return { mode: stats.mode, size: stats.size, isFile: stats.isFile() };
}

function unreadable(error: unknown): PrivateFile {
  const remedy = 'give this user the right to read it (owner and mode of the file and of the directories above it)';
  return { kind: 'refused', problem: `cannot be read (${reasonOf(error)})`, remedy };
}
