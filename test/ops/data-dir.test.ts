import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { defaultDataDir, openDataDir, readAdmin } from '../../src/ops/data-dir.ts';
import { OperatorError } from '../../src/ops/operator-error.ts';
import { tempDir } from './temp-dir.ts';

/** A pid that lived and is gone: no child of this test has it any more. */
const deadPid = () => spawnSync(process.execPath, ['--version']).pid;

test('the default is lewes in the XDG state directory, and a relative XDG_STATE_HOME is ignored', (t) => {
  t.is(defaultDataDir({ XDG_STATE_HOME: '/s' }, '/h/u'), '/s/lewes');
  t.is(defaultDataDir({ XDG_STATE_HOME: 's' }, '/h/u'), '/h/u/.local/state/lewes');
  t.is(defaultDataDir({}, '/h/u'), '/h/u/.local/state/lewes');
});

test('a missing directory is made for its owner alone', (t) => {
  const path = join(tempDir(t), 'a', 'lewes');
  const directory = openDataDir(path);
  t.is(statSync(path).mode & 0o777, 0o700);
  t.is(directory.identityFile, join(path, 'identity.pem'));
  directory.release();
  t.deepEqual(readdirSync(path), []);
});

test('a second gateway on the directory is refused and told the pid of the first', (t) => {
  const path = tempDir(t);
  const first = openDataDir(path);
  const error = t.throws(() => openDataDir(path), { instanceOf: OperatorError });
  t.is(error.code, 'ERR_DATA_DIR_LOCKED');
  t.regex(error.message, new RegExp(`pid ${process.pid}\\b`));
  t.regex(error.remedy, /--data-dir/);
  first.release();
  t.notThrows(() => openDataDir(path).release());
});

test('the lock of a process that lives with another start time is taken over: its pid was reused', (t) => {
  const path = tempDir(t);
  writeFileSync(join(path, 'gateway.lock'), JSON.stringify({ pid: process.pid, started: '1' }));
  t.notThrows(() => openDataDir(path).release());
});

for (const [what, content] of [
  ['a dead process', () => JSON.stringify({ pid: deadPid(), started: '1' })],
  ['nobody, being empty', () => ''],
  ['nobody, being other text', () => '{"pid": -1, "started": 4}'],
] as const) {
  test(`a lock of ${what} is taken over, and leaves nothing behind`, (t) => {
    const path = tempDir(t);
    writeFileSync(join(path, 'gateway.lock'), content());
    const directory = openDataDir(path);
    t.deepEqual(readdirSync(path), ['gateway.lock']);
    t.throws(() => openDataDir(path), { code: 'ERR_DATA_DIR_LOCKED' });
    directory.release();
    t.deepEqual(readdirSync(path), []);
  });
}

test('the admin note is whole, for its owner alone, and gone after release', (t) => {
  const path = tempDir(t);
  const directory = openDataDir(path);
  t.is(readAdmin(path), undefined);
  directory.writeAdmin({ url: 'http://127.0.0.1:1', pid: 7 });
  directory.writeAdmin({ url: 'http://127.0.0.1:2', pid: 7 });
  t.is(statSync(join(path, 'admin.json')).mode & 0o777, 0o600);
  t.deepEqual(readAdmin(path), { url: 'http://127.0.0.1:2', pid: 7 });
  directory.release();
  directory.release();
  t.is(readAdmin(path), undefined);
});

test('release leaves a lock that is no longer its own', (t) => {
  const path = tempDir(t);
  const directory = openDataDir(path);
  const other = JSON.stringify({ pid: process.pid, started: 'other' });
  writeFileSync(join(path, 'gateway.lock'), other);
  directory.release();
  t.is(readFileSync(join(path, 'gateway.lock'), 'utf8'), other);
});

test('a note that is no JSON of ours counts as none', (t) => {
  const path = tempDir(t);
  for (const text of ['', '[]', 'null', '{"url": 3, "pid": 4}', '{"url": "http://x"}']) {
    writeFileSync(join(path, 'admin.json'), text);
    t.is(readAdmin(path), undefined);
  }
  t.false(existsSync(join(path, 'gateway.lock')));
});

test('a path that is a file is refused with what to do', (t) => {
  const path = join(tempDir(t), 'file');
  writeFileSync(path, '');
  const error = t.throws(() => openDataDir(path), { instanceOf: OperatorError });
  t.is(error.code, 'ERR_DATA_DIR');
  t.regex(error.remedy, /--data-dir/);
});
