import { createPrivateKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import test from 'ava';
import { createIdentity, readIdentity } from '../../src/ops/keys.ts';
import { OperatorError } from '../../src/ops/operator-error.ts';
import { tempDir } from './temp-dir.ts';

const write = (path: string, content: string, mode = 0o600) => {
  writeFileSync(path, content, { mode });
  chmodSync(path, mode);
};

test('a created identity reads back as the same key, in a file that only its owner may read', (t) => {
  const path = join(tempDir(t), 'a', 'b', 'identity.pem');
  const created = createIdentity(path);
  const read = readIdentity(path);
  t.deepEqual(read.publicKey, created.publicKey);
  t.deepEqual(read.seed.bytes, created.seed.bytes);
  t.is(statSync(path).mode & 0o777, 0o600);
  t.is(statSync(join(path, '..')).mode & 0o777, 0o700);
  t.deepEqual(readdirSync(join(path, '..')), ['identity.pem']);
});

test('seed and public key are the two halves of the key in the file', (t) => {
  const path = join(tempDir(t), 'identity.pem');
  const { publicKey, seed } = createIdentity(path);
  const message = Buffer.from('m');
  const prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
  const secret = createPrivateKey({ key: Buffer.concat([prefix, seed.bytes]), format: 'der', type: 'pkcs8' });
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), publicKey]);
  t.true(verify(null, message, { key: spki, format: 'der', type: 'spki' }, sign(null, message, secret)));
  t.true(verify(null, message, { key: spki, format: 'der', type: 'spki' }, sign(null, message, readFileSync(path))));
});

test('a created identity prints nothing of its seed, and a wiped seed is gone', (t) => {
  const { seed } = createIdentity(join(tempDir(t), 'identity.pem'));
  const { bytes } = seed;
  t.is(JSON.stringify({ seed }), '{"seed":"<redacted>"}');
  t.regex(inspect(seed), /redacted/);
  seed.wipe();
  t.deepEqual(bytes, new Uint8Array(32));
  t.throws(() => seed.bytes);
});

test('a file that is there is never overwritten, and nothing is left beside it', (t) => {
  const directory = tempDir(t);
  const path = join(directory, 'identity.pem');
  write(path, 'precious');
  t.throws(() => createIdentity(path), { instanceOf: OperatorError, code: 'ERR_IDENTITY_EXISTS' });
  t.is(readFileSync(path, 'utf8'), 'precious');
  t.deepEqual(readdirSync(directory), ['identity.pem']);
});

test('a place that cannot be written is an error with its reason', (t) => {
  const directory = tempDir(t);
  write(join(directory, 'file'), '');
  const error = t.throws(() => createIdentity(join(directory, 'file', 'identity.pem')), { instanceOf: OperatorError });
  t.is(error.code, 'ERR_IDENTITY_UNWRITABLE');
});

const rsa = () =>
  generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'pem', type: 'pkcs8' });
const ed25519 = () => generateKeyPairSync('ed25519');

const REFUSED: readonly (readonly [string, string, (path: string) => void, RegExp])[] = [
  ['a missing file', 'ERR_IDENTITY_MISSING', () => {}, /lewes keygen/],
  ['a path through a file', 'ERR_IDENTITY_UNREADABLE', (path) => write(join(path, '..'), ''), /right to read/],
  ['a directory', 'ERR_IDENTITY_MALFORMED', (path) => mkdirSync(path, { mode: 0o700 }), /PKCS#8 PEM/],
  ['an empty file', 'ERR_IDENTITY_MALFORMED', (path) => write(path, ''), /PKCS#8 PEM/],
  ['other text', 'ERR_IDENTITY_MALFORMED', (path) => write(path, 'not a key'), /PKCS#8 PEM/],
  ['a huge file', 'ERR_IDENTITY_MALFORMED', (path) => write(path, 'x'.repeat(20_000)), /PKCS#8 PEM/],
  [
    'a public key',
    'ERR_IDENTITY_MALFORMED',
    (path) => write(path, ed25519().publicKey.export({ format: 'pem', type: 'spki' }).toString()),
    /PKCS#8 PEM/,
  ],
  [
    'an encrypted key',
    'ERR_IDENTITY_MALFORMED',
    (path) => {
      const options = { format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'p' } as const;
      write(path, ed25519().privateKey.export(options).toString());
    },
    /unencrypted/,
  ],
  ['an RSA key', 'ERR_IDENTITY_TYPE', (path) => write(path, rsa().toString()), /Ed25519/],
];

for (const [what, code, prepare, remedy] of REFUSED) {
  test(`${what} is no identity: ${code}`, (t) => {
    const path = join(tempDir(t), 'parent', 'identity.pem');
    if (code !== 'ERR_IDENTITY_UNREADABLE') mkdirSync(join(path, '..'));
    prepare(path);
    const error = t.throws(() => readIdentity(path), { instanceOf: OperatorError });
    t.is(error.code, code);
    t.regex(error.remedy, remedy);
  });
}

for (const mode of [0o640, 0o604, 0o620, 0o666]) {
  test(`an identity of mode ${mode.toString(8)} is refused with the command that mends it`, (t) => {
    const path = join(tempDir(t), 'identity.pem');
    createIdentity(path).seed.wipe();
    chmodSync(path, mode);
    const error = t.throws(() => readIdentity(path), { instanceOf: OperatorError });
    t.is(error.code, 'ERR_IDENTITY_MODE');
    t.regex(error.remedy, /chmod 600/);
    t.true(error.message.includes(`0${mode.toString(8)}`));
  });
}
