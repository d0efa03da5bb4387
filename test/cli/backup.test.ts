/** `lewes backup` beside a process that writes the store: this one. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Command } from 'commander';
import { register } from '../../src/cli/backup.ts';
import { backup } from '../../src/cli/backup-run.ts';
import { tempDir } from '../ops/temp-dir.ts';
import { openTestStore, storeDirectory } from '../registration/lmdb-world.ts';

const token = (n: number) => ({ id: new Uint8Array(32).fill(n), payer: 'p', keepUntil: 2 ** 40 });

test('a copy of a store in use has what was acknowledged, for its owner alone, and can be opened', async (t) => {
  const path = storeDirectory(t);
  const store = await openTestStore(t, path);
  await store.transaction((tx) => tx.spend(token(1)));
  const out = join(tempDir(t), 'copy');
  t.is(await backup({ store: path, out, json: true }), 0);
  t.is(statSync(out).mode & 0o777, 0o700);
  // The original goes on, and the copy is what it was.
  t.is(await store.transaction((tx) => tx.spend(token(2))), 'spent_now');
  const copy = await openTestStore(t, out);
  t.deepEqual(copy.counts(), { registrations: 0, tokens: 1 });
  t.is(await copy.transaction((tx) => tx.spend({ ...token(1), payer: 'q' })), 'spent_by_other');
});

test('a copy that is there already, a store that is not, and no place for a copy are said to be that', async (t) => {
  const path = storeDirectory(t);
  await openTestStore(t, path);
  const out = tempDir(t);
  await backup({ store: path, out: join(out, 'copy') });
  await t.throwsAsync(backup({ store: path, out: join(out, 'copy') }), { code: 'STORE_COPY_EXISTS' });
  await t.throwsAsync(backup({ dataDir: out, out: join(out, 'other') }), { code: 'ERR_BACKUP_NO_STORE' });
  await t.throwsAsync(backup({ store: path }), { code: 'ERR_USAGE' });
});

test('the command has an example and says what a restored copy means', (t) => {
  const program = new Command();
  register(program);
  let help = '';
  const command = program.commands[0];
  command?.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  t.regex(help, /Example:\n {2}\$ lewes backup/);
  t.regex(help, /count as unspent again/);
});
