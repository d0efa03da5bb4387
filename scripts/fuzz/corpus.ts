/**
 * The kept corpus: a folder per target, a file per input, named by the input's hash. Small by rule, for it lies in the
 * repository: what does not fit is not kept.
 */
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Kept } from './run-target.ts';

export const CORPUS = fileURLToPath(new URL('corpus', import.meta.url));
export const CORPUS_LIMITS = { files: 120, bytes: 300 * 1_024, fileBytes: 8_192, filesOfTarget: 4 } as const;

export function readCorpus(target: string, root = CORPUS): Uint8Array[] {
  const folder = join(root, target);
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).sort();
  return files.map((file) => Uint8Array.from(readFileSync(join(folder, file))));
}

export interface CorpusSize {
  readonly files: number;
  readonly bytes: number;
}

export function corpusSize(root = CORPUS): CorpusSize {
  const files = globSync('*/*', { cwd: root });
  return { files: files.length, bytes: files.reduce((sum, file) => sum + statSync(join(root, file)).size, 0) };
}

/** Keeps the inputs that brought most, as far as there is room; returns how many. */
export function keepInputs(target: string, kept: readonly Kept[], root = CORPUS): number {
  let room = CORPUS_LIMITS.filesOfTarget - readCorpus(target, root).length;
  let added = 0;
  for (const { input } of kept.toSorted((a, b) => b.gain.blocks - a.gain.blocks)) {
    const { files, bytes } = corpusSize(root);
    if (room <= 0 || files >= CORPUS_LIMITS.files) break;
    if (input.length > CORPUS_LIMITS.fileBytes || bytes + input.length > CORPUS_LIMITS.bytes) continue;
    writeInput(join(root, target), input);
    room--;
    added++;
  }
  return added;
}

/** The path of the file, whose folder is made where it is not there. */
export function writeInput(folder: string, input: Uint8Array): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${createHash('sha256').update(input).digest('hex').slice(0, 16)}.bin`);
  writeFileSync(path, input);
  return path;
}
