/** The key files of a Nym node. */
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { createNymKey, ensureNymKey, readNymKey } from '../../src/ops/nym-keys.ts';
import { tempDir } from './temp-dir.ts';

test('a key is made once, for its owner alone, and read as it was written', (t) => {
  for (const [kind, length] of [
    ['lp', 32],
    ['kem', 64],
  ] as const) {
    const path = join(tempDir(t), 'keys', kind);
    ensureNymKey(path, kind);
    t.is(statSync(path).mode & 0o777, 0o600);
    const key = readNymKey(path, kind);
    t.is(key.length, length);
    ensureNymKey(path, kind);
    t.deepEqual(readNymKey(path, kind), key, 'and never replaced');
    t.throws(() => createNymKey(path, kind), { code: 'ERR_NYM_KEY_EXISTS' });
    t.is(readFileSync(path, 'latin1'), `${Buffer.from(key).toString('base64')}\n`);
  }
});

test('an LP key that is made is clamped, as nodes of the network ask for', (t) => {
  const path = join(tempDir(t), 'lp');
  createNymKey(path, 'lp');
  const key = readNymKey(path, 'lp');
  t.is(key[0]! & 7, 0);
  t.is(key[31]! & 0xc0, 0x40);
});

const base64 = (length: number, fill = 0x40) => Buffer.alloc(length, fill).toString('base64');
const WRONG: readonly (readonly [what: string, kind: 'lp' | 'kem', content: string])[] = [
  ['a key that is not clamped', 'lp', base64(32, 0xff)],
  ['the other key', 'lp', base64(64)],
  ['the other key', 'kem', base64(32)],
  ['another length', 'kem', base64(65)],
  ['no base64', 'lp', 'x'.repeat(44)],
  ['nothing', 'kem', ''],
  ['two lines', 'lp', `${base64(32)}\n${base64(32)}`],
  ['a long file', 'lp', `${base64(32)}${' '.repeat(300)}`],
];

for (const [what, kind, content] of WRONG) {
  test(`${what} (${content.length} characters) is refused as ${kind} key, and nothing of it is in the message`, (t) => {
    const path = join(tempDir(t), 'key');
    writeFileSync(path, content, { mode: 0o600 });
    const error = t.throws(() => readNymKey(path, kind), { code: 'ERR_NYM_KEY' });
    if (content.length > 10) t.false(`${error.message}${JSON.stringify(error)}`.includes(content.slice(0, 10)));
  });
}

test('a key that others may read, or that is not there, is refused', (t) => {
  const path = join(tempDir(t), 'key');
  t.throws(() => readNymKey(path, 'lp'), { code: 'ERR_NYM_KEY', message: /there is no file/ });
  createNymKey(path, 'lp');
  chmodSync(path, 0o640);
  t.throws(() => readNymKey(path, 'lp'), { code: 'ERR_NYM_KEY', message: /mode 0640/ });
});
