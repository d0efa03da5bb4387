/** Access keys and their quotas: what is granted, what is left, and what survives a crash or a slip of the pen. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { newAccessKey, Quota, quotaEntry } from '../../src/issuer/quota.ts';
import { OperatorError } from '../../src/ops/operator-error.ts';
import { tempDir } from '../ops/temp-dir.ts';

function setUp(t: ExecutionContext, tokens = 3) {
  const directory = tempDir(t);
  const accessKey = newAccessKey();
  const file = join(directory, 'quota.toml');
  const usedFile = join(directory, 'issued.json');
  const reports: OperatorError[] = [];
  writeFileSync(file, `# who\n${quotaEntry(accessKey, tokens)}note = "alice"\n`);
  const open = () => new Quota({ file, usedFile, report: (error) => reports.push(error) });
  return { accessKey, file, usedFile, reports, open, directory };
}

test('64 charges side by side on a quota of 10 give 10, and they are on the disk', async (t) => {
  const { accessKey, usedFile, open } = setUp(t, 10);
  const quota = open();
  const charges = Array.from({ length: 64 }, () => quota.charge(accessKey));
  await Promise.all(charges.map((charge) => (charge.kind === 'charged' ? charge.settled : undefined)));
  t.is(charges.filter(({ kind }) => kind === 'charged').length, 10);
  t.is(charges.filter(({ kind }) => kind === 'exhausted').length, 54);
  t.deepEqual(Object.values(JSON.parse(readFileSync(usedFile, 'utf8')).used), [10]);
  t.is(statSync(usedFile).mode & 0o777, 0o600);
  t.is(open().left(accessKey), 0);
});

test('no file has the access key, and keys that look alike are unknown', async (t) => {
  const { accessKey, file, usedFile, open } = setUp(t);
  const quota = open();
  const charge = quota.charge(accessKey);
  if (charge.kind === 'charged') await charge.settled;
  for (const path of [file, usedFile]) t.false(readFileSync(path, 'utf8').includes(accessKey));
  for (const other of ['', newAccessKey(), accessKey.slice(1), `${accessKey}x`]) {
    t.is(quota.left(other), undefined);
    t.is(quota.charge(other).kind, 'unknown');
  }
});

test('a changed quota file is in force at once, and what was issued stays counted', async (t) => {
  const { accessKey, file, open, reports } = setUp(t, 1);
  const quota = open();
  const charge = quota.charge(accessKey);
  if (charge.kind === 'charged') await charge.settled;
  t.is(quota.left(accessKey), 0);
  writeFileSync(file, quotaEntry(accessKey, 25));
  t.is(quota.left(accessKey), 24);
  writeFileSync(file, '');
  t.is(quota.left(accessKey), undefined);
  t.deepEqual(reports, []);
});

test('a quota file that became unreadable is reported once, and the old one stays in force', (t) => {
  const { accessKey, file, open, reports } = setUp(t);
  const quota = open();
  writeFileSync(file, 'access = [');
  t.is(quota.left(accessKey), 3);
  t.is(quota.left(accessKey), 3);
  t.deepEqual(
    reports.map(({ code }) => code),
    ['ERR_QUOTA_FILE'],
  );
});

test('faults of the files are told at the start with the place', (t) => {
  const { accessKey, file, usedFile, open } = setUp(t);
  const entry = quotaEntry(accessKey, 1);
  for (const [text, pattern] of [
    ['access = [', /is no TOML/],
    [entry.replace('tokens', 'token'), /access\.0/],
    [entry.replace('= 1', '= -1'), /access\.0\.tokens/],
    [entry + entry, /twice/],
  ] as const) {
    writeFileSync(file, text);
    t.throws(open, { instanceOf: OperatorError, message: pattern });
  }
  writeFileSync(file, entry);
  for (const text of ['', '{"version":1,"used":{"x":1}}', '{"version":1}']) {
    writeFileSync(usedFile, text);
    const error = t.throws(open, { instanceOf: OperatorError });
    t.is(error.code, 'ERR_QUOTA_USED');
  }
});

test('a count that cannot be written takes the charge back', async (t) => {
  const { accessKey, file, directory } = setUp(t);
  const quota = new Quota({ file, usedFile: join(directory, 'missing', 'issued.json'), report: () => {} });
  const charge = quota.charge(accessKey);
  if (charge.kind !== 'charged') return t.fail();
  t.is(quota.left(accessKey), 2);
  const error = await t.throwsAsync(charge.settled, { instanceOf: OperatorError });
  t.is(error.code, 'ERR_QUOTA_USED');
  t.is(quota.left(accessKey), 3);
});
