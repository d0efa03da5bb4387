/** The version of this package, from the package.json above this file: two levels in a clone, three below dist/. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const MAX_LEVELS = 4;

export function packageVersion(): string {
  let directory = import.meta.dirname;
  for (let level = 0; level < MAX_LEVELS; level++) {
    directory = dirname(directory);
    const version = versionIn(join(directory, 'package.json'));
    if (version !== undefined) return version;
  }
  throw new Error('the package.json of lewes is missing');
}

function versionIn(file: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  const manifest: unknown = JSON.parse(text);
  if (typeof manifest !== 'object' || manifest === null) return undefined;
  const { name, version } = { name: undefined, version: undefined, ...manifest } as Record<string, unknown>;
  return name === 'lewes' && typeof version === 'string' ? version : undefined;
}
