/** The issuer over HTTP: the exchange of RFC 9578, hostile requests, access by quota. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { newAccessKey, Quota, quotaEntry } from '../../src/issuer/quota.ts';
import { DIRECTORY_PATH, decodeDirectory, MEDIA_TYPE } from '../../src/lp/wire/issuer-directory.ts';
import { tempDir } from '../ops/temp-dir.ts';
import { clientHalf, type IssuerFixture, startFixture } from './fixture.ts';

type Post = {
  readonly body?: Uint8Array | string;
  readonly headers?: Record<string, string>;
  readonly method?: string;
};

function post({ server }: IssuerFixture, { body, headers = {}, method = 'POST' }: Post): Promise<Response> {
  return fetch(`${server.url}/token-request`, {
    method,
    headers: { 'content-type': MEDIA_TYPE.request, ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : Uint8Array.from(body) }),
  });
}

const statusOf = async (answer: Promise<Response>) => {
  const response = await answer;
  return { status: response.status, error: ((await response.json()) as { error?: string }).error };
};

function withQuota(t: ExecutionContext, tokens: number) {
  const directory = tempDir(t);
  const accessKey = newAccessKey();
  const file = join(directory, 'quota.toml');
  writeFileSync(file, quotaEntry(accessKey, tokens));
  const quota = new Quota({ file, usedFile: join(directory, 'issued.json'), report: (error) => t.fail(error.message) });
  return { accessKey, quota, headers: { authorization: `Bearer ${accessKey}` } };
}

test.serial('the directory has media type, cache time, address and keys; the newest key first', async (t) => {
  const fixture = await startFixture(t);
  await fixture.keys.rotate(fixture.now);
  const answer = await fetch(fixture.server.url + DIRECTORY_PATH);
  t.is(answer.headers.get('content-type'), MEDIA_TYPE.directory);
  t.is(answer.headers.get('cache-control'), 'public, max-age=3600');
  const text = await answer.text();
  const directory = decodeDirectory(text)!;
  t.is(directory.requestUri, '/token-request');
  t.deepEqual(directory.keys, fixture.keys.announced(fixture.now));
  t.like(JSON.parse(text)['token-keys'][0], { 'token-type': 2, 'not-before': fixture.now });
});

test.serial('a sound request gets a response that makes a good token', async (t) => {
  const fixture = await startFixture(t);
  const half = await clientHalf(fixture.keys.announced(fixture.now)[0]!.spki);
  const answer = await post(fixture, { body: half.request });
  t.is(answer.status, 200);
  t.is(answer.headers.get('content-type'), MEDIA_TYPE.response);
  t.is(answer.headers.get('cache-control'), 'no-store');
  const token = await half.finish(new Uint8Array(await answer.arrayBuffer()));
  t.is(token.length, 354);
  t.deepEqual(fixture.outcomes, ['issued']);
});

test.serial('hostile requests get a status, and the issuer goes on', async (t) => {
  const fixture = await startFixture(t);
  const key = fixture.keys.finder(fixture.now);
  const id = Array.from({ length: 256 }, (_, byte) => byte).find((byte) => key(byte) !== undefined)!;
  const good = Uint8Array.of(0, 2, id, ...new Uint8Array(255), 1);
  const table: readonly (readonly [string, Post, number, string])[] = [
    ['empty', { body: '' }, 422, 'malformed'],
    ['short', { body: good.subarray(1) }, 422, 'malformed'],
    ['long', { body: Uint8Array.of(...good, 0) }, 413, 'bad_request'],
    ['huge', { body: new Uint8Array(1_000_000) }, 413, 'bad_request'],
    ['another token type', { body: Uint8Array.of(0, 1, ...good.subarray(2)) }, 422, 'malformed'],
    ['an unknown key', { body: Uint8Array.of(0, 2, id ^ 1, ...good.subarray(3)) }, 422, 'unknown_key'],
    ['beyond the modulus', { body: Uint8Array.of(0, 2, id, ...new Uint8Array(256).fill(255)) }, 422, 'out_of_range'],
    ['JSON', { body: '{}', headers: { 'content-type': 'application/json' } }, 415, 'bad_request'],
    ['text', { body: 'x', headers: { 'content-type': 'text/plain' } }, 415, 'bad_request'],
    ['no media type', { body: good, headers: { 'content-type': '' } }, 415, 'bad_request'],
  ];
  for (const [name, request, status, error] of table) {
    t.deepEqual(await statusOf(post(fixture, request)), { status, error }, name);
  }
  t.is((await post(fixture, { method: 'GET' })).status, 404);
  t.is((await post(fixture, { method: 'PUT', body: good })).status, 404);
  t.is((await post(fixture, { body: good })).status, 200);
  t.deepEqual(fixture.errors, []);
});

test.serial('without a known access key nothing is signed', async (t) => {
  const { quota, accessKey } = withQuota(t, 5);
  const fixture = await startFixture(t, { kind: 'quota', quota });
  const bearer = (text: string) => ({ headers: { authorization: text }, body: new Uint8Array(259) });
  const missing = await post(fixture, { body: new Uint8Array(259) });
  t.is(missing.status, 401);
  t.regex(missing.headers.get('www-authenticate') ?? '', /^Bearer/);
  t.like(await statusOf(post(fixture, bearer(`Basic ${accessKey}`))), { status: 401, error: 'access_missing' });
  t.like(await statusOf(post(fixture, bearer(`Bearer ${'x'.repeat(300)}`))), { status: 401, error: 'access_missing' });
  t.like(await statusOf(post(fixture, bearer(`Bearer ${newAccessKey()}`))), { status: 401, error: 'access_unknown' });
  t.is((await fetch(fixture.server.url + DIRECTORY_PATH)).status, 200);
});

test.serial('64 requests side by side on a quota of 10 give exactly 10 tokens', async (t) => {
  const { quota, headers, accessKey } = withQuota(t, 10);
  const fixture = await startFixture(t, { kind: 'quota', quota });
  const { request: body } = await clientHalf(fixture.keys.announced(fixture.now)[0]!.spki);
  const answers = await Promise.all(Array.from({ length: 64 }, () => post(fixture, { body, headers })));
  t.is(answers.filter(({ status }) => status === 200).length, 10);
  t.is(answers.filter(({ status }) => status === 403).length, 54);
  t.deepEqual(await statusOf(post(fixture, { body, headers })), { status: 403, error: 'quota_exhausted' });
  t.is(quota.left(accessKey), 0);
});

test.serial('a request that is not sound is not charged for', async (t) => {
  const { quota, headers, accessKey } = withQuota(t, 2);
  const fixture = await startFixture(t, { kind: 'quota', quota });
  t.is((await post(fixture, { body: new Uint8Array(259), headers })).status, 422);
  t.is((await post(fixture, { body: new Uint8Array(300), headers })).status, 413);
  t.is(quota.left(accessKey), 2);
});

test.serial('a count that cannot be written gives 503 and no token', async (t) => {
  const directory = tempDir(t);
  const accessKey = newAccessKey();
  writeFileSync(join(directory, 'quota.toml'), quotaEntry(accessKey, 2));
  const usedFile = join(directory, 'missing', 'issued.json');
  const quota = new Quota({ file: join(directory, 'quota.toml'), usedFile, report: () => {} });
  const fixture = await startFixture(t, { kind: 'quota', quota });
  const { request } = await clientHalf(fixture.keys.announced(fixture.now)[0]!.spki);
  const answer = await post(fixture, { body: request, headers: { authorization: `Bearer ${accessKey}` } });
  t.is(answer.status, 503);
  t.is(answer.headers.get('retry-after'), '10');
  t.is(fixture.errors.length, 1);
  t.is(quota.left(accessKey), 2);
});
