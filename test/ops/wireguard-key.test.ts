import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { OperatorError } from '../../src/ops/operator-error.ts';
import { ensureWireGuardKey, readWireGuardKey } from '../../src/ops/wireguard-key.ts';
import { tempDir } from './temp-dir.ts';

test('a key is made once, for its owner alone, in the form of wg genkey, and stays', (t) => {
  const file = join(tempDir(t), 'keys', 'wireguard.key');
  ensureWireGuardKey(file);
  const text = readFileSync(file, 'latin1');
  t.regex(text, /^[A-Za-z0-9+/]{43}=\n$/);
  t.is(statSync(file).mode & 0o777, 0o600);
  ensureWireGuardKey(file);
  t.is(readFileSync(file, 'latin1'), text);
  const key = readWireGuardKey(file);
  t.is(Buffer.from(key).toString('base64'), text.trim());
  // Clamped, as WireGuard keeps keys.
  t.deepEqual([key[0]! & 7, key[31]! & 0xc0], [0, 0x40]);
  // It can be moved to a thread without taking anything else along.
  t.is(key.buffer.byteLength, 32);
});

const LINE = `${Buffer.alloc(32, 7).toString('base64')}\n`;
const WRONG: readonly (readonly [string, string, number, RegExp])[] = [
  ['that others can read', LINE, 0o640, /mode 0640.*|chmod 600/],
  ['that is empty', '', 0o600, /is no WireGuard key/],
  ['in hex', `${'07'.repeat(32)}\n`, 0o600, /is no WireGuard key/],
  ['with two lines', LINE + LINE, 0o600, /is no WireGuard key/],
  ['of 31 bytes', `${Buffer.alloc(31, 7).toString('base64')}\n`, 0o600, /is no WireGuard key/],
  ['that is long', LINE.padEnd(300), 0o600, /too long/],
];

for (const [what, content, mode, words] of WRONG) {
  test(`a key ${what} is refused, and nothing of it is shown`, (t) => {
    const file = join(tempDir(t), 'wireguard.key');
    writeFileSync(file, content);
    chmodSync(file, mode);
    const error = t.throws(() => readWireGuardKey(file), { instanceOf: OperatorError, code: 'ERR_WIREGUARD_KEY' });
    t.regex(`${error?.message} ${error?.remedy}`, words);
    if (content !== '') t.false(`${error?.message} ${error?.remedy}`.includes(content.slice(0, 20)));
  });
}

test('a key that is not there, and a directory in its place, are said to be that', (t) => {
  const directory = tempDir(t);
  t.throws(() => readWireGuardKey(join(directory, 'none')), { code: 'ERR_WIREGUARD_KEY', message: /there is no/ });
  mkdirSync(join(directory, 'dir'), { mode: 0o700 });
  t.throws(() => readWireGuardKey(join(directory, 'dir')), {
    code: 'ERR_WIREGUARD_KEY',
    message: /not a regular file/,
  });
});

test('a key that cannot be written says why', (t) => {
  const file = join(tempDir(t), 'file');
  writeFileSync(file, '');
  t.throws(() => ensureWireGuardKey(join(file, 'wireguard.key')), {
    code: 'ERR_WIREGUARD_KEY',
    message: /cannot be written/,
  });
});
