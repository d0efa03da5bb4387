import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { readIssuerKeys } from '../../src/ops/issuer-key-file.ts';
import { tempDir } from './temp-dir.ts';

const pem = (bytes: Uint8Array) =>
  `-----BEGIN PUBLIC KEY-----\n${Buffer.from(bytes).toString('base64')}\n-----END PUBLIC KEY-----\n`;

test('every key of a PEM file is given byte for byte', (t) => {
  const file = join(tempDir(t), 'issuer.pem');
  writeFileSync(file, `a comment\n${pem(Uint8Array.of(1, 2, 3))}${pem(Uint8Array.of(4))}`);
  t.deepEqual(readIssuerKeys(file), [Uint8Array.of(1, 2, 3), Uint8Array.of(4)]);
});

test('a file without a key and one that is not there are refused', (t) => {
  const file = join(tempDir(t), 'issuer.pem');
  t.throws(() => readIssuerKeys(file), { code: 'ERR_ISSUER_KEY', message: /cannot be read/ });
  writeFileSync(file, '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n');
  t.throws(() => readIssuerKeys(file), { code: 'ERR_ISSUER_KEY', message: /has no public key/ });
});
