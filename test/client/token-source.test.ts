/** Tokens from an issuer over HTTP and from a file: what comes out is good and comes out once; what goes wrong is told. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { TokenError } from '../../src/client/token-error.ts';
import { appendToken, checkTokenFile, fileTokenSource } from '../../src/client/token-file.ts';
import { type HttpTokenSourceOptions, httpTokenSource, type TokenSource } from '../../src/client/token-source.ts';
import { newAccessKey, Quota, quotaEntry } from '../../src/issuer/quota.ts';
import { DIRECTORY_PATH, encodeDirectory, MEDIA_TYPE } from '../../src/lp/wire/issuer-directory.ts';
import { encodeTokenChallenge } from '../../src/lp/wire/privacy-pass.ts';
import { createPrivacyPass } from '../../src/registration/credentials/privacy-pass.ts';
import { CHALLENGE, GATEWAY, ISSUER_NAME, START, startFixture } from '../issuer/fixture.ts';
import { tempDir } from '../ops/temp-dir.ts';
import { SteppedTime } from '../support/stepped-time.ts';

const clockAt = (unixSeconds: number) => ({ now: () => ({ monotonicMs: 0, unixMs: unixSeconds * 1_000 }) });
const OTHER = encodeTokenChallenge({ issuerName: ISSUER_NAME, originInfo: 'another gateway' });

async function code(t: ExecutionContext, promise: Promise<unknown>): Promise<string> {
  const error = await t.throwsAsync(promise, { instanceOf: TokenError });
  return error.code;
}

/** An address where nobody listens any more. */
async function deserted(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : '';
}

async function listen(t: ExecutionContext, handle: RequestListener): Promise<string> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : '';
}

test.serial('a fetched token is good at the gateway whose challenge it answers', async (t) => {
  const { server, keys } = await startFixture(t);
  const source = httpTokenSource({ issuerUrl: server.url, issuerName: ISSUER_NAME, clock: clockAt(START) });
  const gateway = createPrivacyPass({
    issuerName: ISSUER_NAME,
    originInfo: GATEWAY,
    keys: keys.verifierKeys(),
    price: { tokens: 1, bandwidth: 5, lifetime: 5 },
  });
  // A view into a larger buffer, as in a decoded answer.
  const challenge = Uint8Array.of(9, ...gateway.challenge, 9).subarray(1, -1);
  const token = await source.token(challenge);
  t.like(await gateway.verify({ kind: 'privacy-pass', token }, START), { kind: 'accepted' });
});

test.serial('the access key goes along, and refusals say what to do', async (t) => {
  const directory = tempDir(t);
  const accessKey = newAccessKey();
  writeFileSync(join(directory, 'quota.toml'), quotaEntry(accessKey, 1));
  const quota = new Quota({
    file: join(directory, 'quota.toml'),
    usedFile: join(directory, 'issued.json'),
    report: (error) => t.fail(error.message),
  });
  const { server } = await startFixture(t, { kind: 'quota', quota });
  const common = { issuerUrl: server.url, clock: clockAt(START) };
  const source = httpTokenSource({ ...common, accessKey });
  t.is((await source.token(CHALLENGE)).length, 354);
  t.is(await code(t, source.token(CHALLENGE)), 'quota_exhausted');
  t.is(await code(t, httpTokenSource({ ...common, accessKey: newAccessKey() }).token(CHALLENGE)), 'access_denied');
  const error = await t.throwsAsync(httpTokenSource(common).token(CHALLENGE), { instanceOf: TokenError });
  t.is(error.code, 'access_denied');
  t.regex(error.message, /ask its operator/);
});

test.serial('the directory is kept, and fetched again when the issuer has changed its keys', async (t) => {
  const fixture = await startFixture(t);
  let directories = 0;
  const url = await listen(t, (request, response) => {
    if (request.url === DIRECTORY_PATH) directories += 1;
    void (async () => {
      const body: Buffer[] = [];
      for await (const chunk of request) body.push(chunk);
      const answer = await fetch(fixture.server.url + request.url, {
        method: request.method ?? 'GET',
        headers: { 'content-type': request.headers['content-type'] ?? '' },
        ...(body.length > 0 && { body: Buffer.concat(body) }),
      });
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
      response.end(Buffer.from(await answer.arrayBuffer()));
    })();
  });
  const source = httpTokenSource({ issuerUrl: url, clock: clockAt(START) });
  await Promise.all([source.token(CHALLENGE), source.token(CHALLENGE)]);
  t.is(directories, 1);
  await fixture.keys.retire(fixture.keys.status(START)[0]!.id, START);
  t.is((await source.token(CHALLENGE)).length, 354);
  t.is(directories, 2);
});

test.serial('a key is not used before its time', async (t) => {
  const { server, keys } = await startFixture(t);
  const source = httpTokenSource({ issuerUrl: server.url, clock: clockAt(START - 1) });
  t.is(await code(t, source.token(CHALLENGE)), 'issuer_answer');
  t.is(keys.status(START)[0]!.notBefore, START);
});

test.serial('answers that break RFC 9578 are told as the mistake of the issuer', async (t) => {
  const { keys } = await startFixture(t);
  const spki = keys.announced(START)[0]!.spki;
  const sound = encodeDirectory({ requestUri: '/token-request', keys: [{ spki }] });
  let directory: [number, string] = [200, sound];
  let answer: [number, string, Uint8Array] = [200, MEDIA_TYPE.response, new Uint8Array(256)];
  const url = await listen(t, (request, response) => {
    request.resume();
    if (request.url === DIRECTORY_PATH) response.writeHead(directory[0]).end(directory[1]);
    else response.writeHead(answer[0], { 'content-type': answer[1], location: '/' }).end(answer[2]);
  });
  const ask = () => code(t, httpTokenSource({ issuerUrl: url, clock: clockAt(START) }).token(CHALLENGE));
  for (const bad of [
    '',
    '[]',
    '{}',
    sound.replace('"token-type":2', '"token-type":1'),
    sound.replace('/token-request', 'http://issuer.example/'),
    encodeDirectory({ requestUri: '/token-request', keys: [{ spki: new Uint8Array(342) }] }),
    `${sound}${' '.repeat(70_000)}`,
  ]) {
    directory = [200, bad];
    t.is(await ask(), 'issuer_answer');
  }
  directory = [404, sound];
  t.is(await ask(), 'issuer_answer');
  directory = [200, sound];
  t.is(await ask(), 'issuer_answer', 'a wrong signature');
  for (const [status, type, body, expected] of [
    [200, 'text/html', new Uint8Array(256), 'issuer_answer'],
    [200, MEDIA_TYPE.response, new Uint8Array(255), 'issuer_answer'],
    [302, MEDIA_TYPE.response, new Uint8Array(256), 'issuer_unreachable'],
    [500, 'text/html', new Uint8Array(10), 'issuer_refused'],
    [403, 'text/html', new Uint8Array(10), 'issuer_refused'],
    [422, 'text/html', new Uint8Array(10), 'issuer_refused'],
  ] as const) {
    answer = [status, type, body];
    t.is(await ask(), expected, `${status} ${type}`);
  }
});

test('wrong options and challenges are refused before anything is sent', async (t) => {
  const bad = (options: HttpTokenSourceOptions) => {
    const error = t.throws(() => httpTokenSource(options), { instanceOf: TokenError });
    t.is(error.code, 'invalid_option');
  };
  for (const issuerUrl of [
    '',
    'issuer',
    'http://issuer.example',
    'ftp://127.0.0.1',
    'https://user:pw@issuer.example',
  ]) {
    bad({ issuerUrl });
  }
  bad({ issuerUrl: 'https://issuer.example', accessKey: 'two\nlines' });
  const source = httpTokenSource({ issuerUrl: 'https://issuer.example', issuerName: ISSUER_NAME });
  const foreign = encodeTokenChallenge({ issuerName: 'other', originInfo: GATEWAY });
  for (const challenge of [new Uint8Array(), CHALLENGE.subarray(1), foreign]) {
    t.is(await code(t, source.token(challenge)), 'challenge');
  }
});

test('an issuer that is not there, one that is silent, and an abort are told apart', async (t) => {
  const silent = await listen(t, () => {});
  const ask = (options: HttpTokenSourceOptions) => code(t, httpTokenSource(options).token(CHALLENGE));
  t.is(await ask({ issuerUrl: await deserted() }), 'issuer_unreachable');
  t.is(await ask({ issuerUrl: silent, timeoutMs: 20 }), 'issuer_unreachable');
  const controller = new AbortController();
  const pending = ask({ issuerUrl: silent, signal: controller.signal });
  controller.abort();
  t.is(await pending, 'aborted');
  t.is(await ask({ issuerUrl: silent, signal: controller.signal }), 'aborted');
});

/** The form of a token is all that a file looks at. */
function formOf(number: number, challenge = CHALLENGE): Uint8Array {
  const token = new Uint8Array(354).fill(number);
  token.set([0, 2]);
  token.set(createHash('sha256').update(challenge).digest(), 34);
  return token;
}

async function drain(source: TokenSource): Promise<number[]> {
  const taken: number[] = [];
  for (;;) {
    try {
      taken.push((await source.token(CHALLENGE))[353]!);
    } catch {
      return taken;
    }
  }
}

test('a file gives its tokens in order, each once, and only those for the gateway that asks', async (t) => {
  const file = join(tempDir(t), 'tokens');
  await appendToken(file, formOf(1, OTHER));
  for (const number of [2, 3]) await appendToken(file, formOf(number));
  t.is(statSync(file).mode & 0o777, 0o600);
  const source = fileTokenSource(file);
  t.deepEqual(await source.token(CHALLENGE), formOf(2));
  t.false(readFileSync(file, 'utf8').includes(Buffer.from(formOf(2)).toString('base64')));
  t.deepEqual(await source.token(CHALLENGE), formOf(3));
  const error = await t.throwsAsync(source.token(CHALLENGE), { instanceOf: TokenError });
  t.is(error.code, 'no_tokens');
  t.regex(error.message, /lewes token/);
  t.deepEqual(await source.token(OTHER), formOf(1, OTHER));
  t.is(readFileSync(file, 'utf8'), '');
  t.is(await code(t, fileTokenSource(`${file}.missing`).token(CHALLENGE)), 'no_tokens');
});

test('three processes never take the same token', async (t) => {
  const directory = tempDir(t);
  const file = join(directory, 'tokens');
  const numbers = Array.from({ length: 24 }, (_, at) => at + 1);
  writeFileSync(file, numbers.map((number) => `${Buffer.from(formOf(number)).toString('base64')}\n`).join(''), {
    mode: 0o600,
  });
  const module = new URL('../../src/client/token-file.ts', import.meta.url).href;
  const script = `
    import { fileTokenSource } from ${JSON.stringify(module)};
    const source = fileTokenSource(${JSON.stringify(file)});
    const challenge = Buffer.from('${Buffer.from(CHALLENGE).toString('hex')}', 'hex');
    for (;;) console.log((await source.token(challenge).catch((error) => process.exit(error.code === 'no_tokens' ? 0 : 1)))[353]);`;
  const runs = Array.from({ length: 3 }, async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    const exit = await new Promise((resolve) => child.once('close', resolve));
    t.is(exit, 0);
    return out.split('\n').filter(Boolean).map(Number);
  });
  const taken = (await Promise.all(runs)).flat().sort((a, b) => a - b);
  t.deepEqual(taken, numbers);
  t.deepEqual(readdirSync(directory), ['tokens']);
});

test('sources of one process side by side share the file as well', async (t) => {
  const file = join(tempDir(t), 'tokens');
  for (const number of [1, 2, 3, 4, 5]) await appendToken(file, formOf(number));
  const taken = await Promise.all([drain(fileTokenSource(file)), drain(fileTokenSource(file))]);
  t.deepEqual(taken.flat().sort(), [1, 2, 3, 4, 5]);
});

test('a lock is waited for while its process lives, and taken away when it was left by one that is gone', async (t) => {
  const file = join(tempDir(t), 'tokens');
  const lock = `${file}.lock`;
  await appendToken(file, formOf(1));
  await appendToken(file, formOf(2));
  const time = new SteppedTime();
  const old = new Date(Date.now() - 60_000);
  writeFileSync(lock, `${process.pid}\n`);
  utimesSync(lock, old, old);
  t.is(await code(t, time.drive(fileTokenSource(file, { timers: time }).token(CHALLENGE))), 'token_file');
  t.true(existsSync(lock));

  const controller = new AbortController();
  controller.abort();
  t.is(await code(t, fileTokenSource(file, { signal: controller.signal }).token(CHALLENGE)), 'aborted');

  writeFileSync(lock, '999999999\n');
  utimesSync(lock, old, old);
  t.deepEqual(await fileTokenSource(file).token(CHALLENGE), formOf(1));
  t.false(existsSync(lock));
});

test('a file that others can read, or that holds something else, is refused and left as it is', async (t) => {
  const file = join(tempDir(t), 'tokens');
  await appendToken(file, formOf(1));
  const content = readFileSync(file, 'utf8');
  chmodSync(file, 0o644);
  t.is(await code(t, fileTokenSource(file).token(CHALLENGE)), 'token_file');
  chmodSync(file, 0o600);
  writeFileSync(file, `${content}nonsense\n`);
  const error = await t.throwsAsync(fileTokenSource(file).token(CHALLENGE), { instanceOf: TokenError });
  t.regex(error.message, /line 2/);
  t.throws(() => checkTokenFile(file), { instanceOf: TokenError });
  t.is(readFileSync(file, 'utf8'), `${content}nonsense\n`);
  t.is(await code(t, fileTokenSource(join(file, 'x')).token(CHALLENGE)), 'token_file');
});
