/** Rotation of the issuer's keys by a stepped clock, and what is left of them on the disk. */
import { chmodSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { IssuerKeys, KEY_SCHEDULE } from '../../src/issuer/issuer-keys.ts';
import { OperatorError } from '../../src/ops/operator-error.ts';
import { tempDir } from '../ops/temp-dir.ts';
import { pooledKeys, START } from './fixture.ts';

const { issue, announce, late, valid, remember } = KEY_SCHEDULE;
const phases = (keys: IssuerKeys, now: number) => keys.status(now).map(({ phase }) => phase);
const truncated = (id: string) => Number.parseInt(id.slice(-2), 16);
const signs = (keys: IssuerKeys, id: string, now: number) => keys.finder(now)(truncated(id)) !== undefined;

test.serial('a first key is made at once, with mode 0600, and read again at the next start', async (t) => {
  const directory = join(tempDir(t), 'new', 'issuer-keys');
  const keys = await IssuerKeys.open({ directory, generate: pooledKeys() }, START);
  const [first] = keys.status(START);
  t.deepEqual(keys.status(START), [
    { id: first!.id, notBefore: START, issueUntil: START + issue, notAfter: START + issue + valid, phase: 'current' },
  ]);
  t.deepEqual(readdirSync(directory).sort(), [`${first!.id}.pem`, 'keys.json'].sort());
  for (const name of readdirSync(directory)) t.is(statSync(join(directory, name)).mode & 0o777, 0o600);
  const again = await IssuerKeys.open({ directory, generate: () => t.fail() as never }, START + 1);
  t.deepEqual(again.status(START), keys.status(START));
  t.true(signs(again, first!.id, START));
});

test.serial('a key is announced, takes over, ends, expires and is forgotten, each at its time', async (t) => {
  const directory = tempDir(t);
  const keys = await IssuerKeys.open({ directory, generate: pooledKeys() }, START);
  const first = keys.status(START)[0]!.id;
  t.false(await keys.maintain(START + issue - announce - 1));
  t.true(await keys.maintain(START + issue - announce));
  t.deepEqual(phases(keys, START + issue - announce), ['next', 'current']);
  const second = keys.status(START)[0]!.id;
  const change = START + issue;
  t.deepEqual(
    keys.announced(change - 1).map(({ notBefore }) => notBefore),
    [change, START],
  );
  t.false(signs(keys, second, change - 301));
  t.true(signs(keys, second, change - 300));
  t.deepEqual(phases(keys, change), ['current', 'verifying']);
  t.true(signs(keys, first, change + late - 1));
  t.false(signs(keys, first, change + late));

  t.true(await keys.maintain(change + late));
  t.false(readdirSync(directory).includes(`${first}.pem`));
  t.true(readdirSync(directory).includes(`${second}.pem`));
  t.is(keys.announced(change + late).length, 2);
  const expiry = change + valid;
  await keys.maintain(expiry);
  t.is(phases(keys, expiry).at(-1), 'expired');
  t.false(keys.announced(expiry).some(({ notBefore }) => notBefore === START));
  t.true(keys.verifierKeys().some(({ notAfter }) => notAfter === expiry));
  await keys.maintain(expiry + remember);
  t.false(keys.verifierKeys().some(({ notAfter }) => notAfter === expiry));
});

test.serial('an issuer that was off past the end of its key signs with a new one at once', async (t) => {
  const directory = tempDir(t);
  const generate = pooledKeys();
  await IssuerKeys.open({ directory, generate }, START);
  const now = START + issue + late + 5;
  const keys = await IssuerKeys.open({ directory, generate }, now);
  t.deepEqual(phases(keys, now), ['current', 'verifying']);
  t.is(keys.status(now)[0]!.notBefore, now);
});

test.serial('rotate signs with a new key and puts off no end; retire ends a key and its tokens', async (t) => {
  const directory = tempDir(t);
  const keys = await IssuerKeys.open({ directory, generate: pooledKeys() }, START);
  const first = keys.status(START)[0]!;
  await keys.rotate(START + 100);
  t.deepEqual(phases(keys, START + 100), ['current', 'verifying']);
  const old = keys.status(START).find(({ id }) => id === first.id)!;
  t.deepEqual([old.issueUntil, old.notAfter], [START + 100, first.notAfter]);
  t.true(signs(keys, first.id, START + 100));

  const second = keys.status(START + 100)[0]!.id;
  t.true(await keys.retire(second, START + 200));
  t.false(await keys.retire('no such key', START + 200));
  t.false(signs(keys, second, START + 200));
  t.false(readdirSync(directory).includes(`${second}.pem`));
  t.deepEqual(phases(keys, START + 200), ['current', 'expired', 'verifying']);
  const again = await IssuerKeys.open({ directory, generate: () => t.fail() as never }, START + 200);
  t.deepEqual(again.status(START + 200), keys.status(START + 200));
});

test.serial('rotate takes the key that is announced already', async (t) => {
  const keys = await IssuerKeys.open({ directory: tempDir(t), generate: pooledKeys() }, START);
  const now = START + issue - announce;
  await keys.maintain(now);
  const next = keys.status(now)[0]!;
  await keys.rotate(now);
  t.like(keys.status(now)[0], { id: next.id, notBefore: now, notAfter: next.notAfter, phase: 'current' });
});

test.serial('a key whose last byte is taken is made again', async (t) => {
  const generate = pooledKeys();
  const first = await generate();
  let calls = 0;
  const colliding = async () => (++calls <= 3 ? first : generate());
  const keys = await IssuerKeys.open({ directory: tempDir(t), generate: colliding }, START);
  await keys.rotate(START);
  t.is(calls, 4);
  t.is(new Set(keys.status(START).map(({ id }) => truncated(id))).size, 2);
});

test.serial('what others can read, and what is damaged, is refused with what to do', async (t) => {
  const directory = tempDir(t);
  const keys = await IssuerKeys.open({ directory, generate: pooledKeys() }, START);
  const pem = join(directory, `${keys.status(START)[0]!.id}.pem`);
  const open = () => IssuerKeys.open({ directory, generate: pooledKeys() }, START);
  const refused = async (pattern: RegExp) => {
    const error = await t.throwsAsync(open(), { instanceOf: OperatorError, message: pattern });
    t.is(error.code, 'ERR_ISSUER_KEYS');
  };
  chmodSync(pem, 0o640);
  await refused(/0600/);
  chmodSync(pem, 0o600);
  writeFileSync(pem, 'nonsense');
  await refused(/does not hold the private key/);
  writeFileSync(join(directory, 'keys.json'), '{"version":2}');
  await refused(/is no list of keys/);
});
