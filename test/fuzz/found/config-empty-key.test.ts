/** Found by the fuzzer (target `config`): what has no name is complained of by no name at all. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type LoadedConfig, loadConfig } from '../../../src/ops/config/index.ts';
import { tempDir } from '../../ops/temp-dir.ts';

const unnamed = (loaded: LoadedConfig) => (loaded.ok ? ['no error'] : loaded.errors.filter(({ path }) => path === ''));

test('the message for --set without a key says what it speaks of', (t) => {
  t.deepEqual(unnamed(loadConfig({ set: ['=1'], listen: [] })), []);
});

test('the message for an empty key in a file says what it speaks of', (t) => {
  const file = join(tempDir(t), 'lewes.toml');
  writeFileSync(file, '"" = 1\n');
  t.deepEqual(unnamed(loadConfig({ file, set: [], listen: [] })), []);
});
