/** A directory of its own for one test, removed with everything in it when the test ends. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

export function tempDir(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'lewes-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
