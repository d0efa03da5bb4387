import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { FollowedKeys, KEY_LIFE_S } from '../../src/issuer/followed-keys.ts';
import { OperatorError } from '../../src/ops/operator-error.ts';
import { tempDir } from '../ops/temp-dir.ts';

const NOW = 1_800_000_000;
const ISSUER = 'https://issuer.example';
const key = (fill: number) => ({ spki: new Uint8Array(342).fill(fill) });
const shown = (keys: FollowedKeys) =>
  keys.keys.map(({ spki, notAfter, retired }) => [spki[0], notAfter - NOW, retired]);

test('keys are there again after a restart, with the end that they had', (t) => {
  const file = join(tempDir(t), 'keys.json');
  const first = new FollowedKeys(file, ISSUER);
  t.deepEqual(first.keys, []);
  t.true(first.update([key(1)], NOW));
  t.false(first.update([key(1)], NOW + 1_000));
  t.is(statSync(file).mode & 0o777, 0o600);
  const second = new FollowedKeys(file, ISSUER);
  t.true(second.update([key(2), key(1)], NOW + 86_400));
  t.deepEqual(shown(second), [
    [2, KEY_LIFE_S + 86_400, false],
    [1, KEY_LIFE_S, false],
  ]);
});

test('a key that is listed no more is retired, and has its old end when it comes again', (t) => {
  const keys = new FollowedKeys(join(tempDir(t), 'keys.json'), ISSUER);
  keys.update([key(1)], NOW);
  t.true(keys.update([key(2)], NOW + 10));
  t.deepEqual(shown(keys).at(-1), [1, KEY_LIFE_S, true]);
  t.true(keys.update([key(1), key(2)], NOW + 20));
  t.deepEqual(shown(keys).at(-1), [1, KEY_LIFE_S, false]);
});

test('an empty directory changes nothing, and another issuer has keys of its own', (t) => {
  const file = join(tempDir(t), 'keys.json');
  const keys = new FollowedKeys(file, ISSUER);
  keys.update([key(1)], NOW);
  t.false(keys.update([], NOW));
  t.is(keys.keys.length, 1);
  const other = new FollowedKeys(file, 'https://other.example');
  t.deepEqual(other.keys, []);
  other.update([key(3)], NOW);
  t.deepEqual(shown(new FollowedKeys(file, ISSUER)), [[1, KEY_LIFE_S, false]]);
});

test('the list is bounded: the oldest go first', (t) => {
  const keys = new FollowedKeys(join(tempDir(t), 'keys.json'), ISSUER);
  const many = Array.from({ length: 100 }, (_, fill) => key(fill));
  keys.update(many, NOW);
  keys.update(
    many.map(({ spki }) => ({ spki: Uint8Array.of(...spki, 0) })),
    NOW + 1,
  );
  t.is(keys.keys.length, 128);
  t.is(keys.keys.filter(({ retired }) => !retired).length, 100);
});

test('a damaged list, and one that cannot be written, are told with what to do', (t) => {
  const directory = tempDir(t);
  const file = join(directory, 'keys.json');
  const keys = new FollowedKeys(file, ISSUER);
  keys.update([key(1)], NOW);
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.slice(1));
  t.throws(() => new FollowedKeys(file, ISSUER), { instanceOf: OperatorError, message: /is damaged/ });
  rmSync(directory, { recursive: true });
  t.throws(() => keys.update([key(2)], NOW), { instanceOf: OperatorError, message: /cannot be written/ });
  t.is(keys.keys.length, 1);
});
