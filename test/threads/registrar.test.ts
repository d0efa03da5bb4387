/** The registrar on its real thread, with the store on disk: what outlives what, and what a start refuses (registration.md). */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import test from 'ava';
import { gatewayStatus } from '../../src/gateway/status.ts';
import { KIND } from '../../src/lp/wire/application-frame.ts';
import { type AnswerBody, decodeAnswer, encodeRequest, type RequestBody } from '../../src/lp/wire/registration-body.ts';
import { workerEntry } from '../../src/system/entry.ts';
import { storeDirectory } from '../registration/lmdb-world.ts';
import type { RawClient } from '../support/raw-client.ts';
import { makeGateway, startGateway, until } from '../support/test-gateway.ts';

const ONE_SHARD = ['gateway.shards=1', 'limits.quotes_per_address=1000'];
const ON_DISK = [...ONE_SHARD, 'store.kind=lmdb'];
const REGISTRAR = workerEntry('registrar');

const bytes32 = (name: string) => Uint8Array.from(createHash('sha256').update(name).digest());
const fixture = (name: string) => new URL(`./fixtures/${name}.ts`, import.meta.url);

function register(name: string, wgPublicKey = bytes32(name)): RequestBody {
  const enrolment = { mode: 'dvpn', wgPublicKey, presharedKey: bytes32(`psk ${name}`) } as const;
  return { op: 'register', enrolment, owner: bytes32(`owner ${name}`) };
}

function balance(name: string): RequestBody {
  return { op: 'balance', name: { mode: 'dvpn', wgPublicKey: bytes32(name) }, owner: bytes32(`owner ${name}`) };
}

async function ask(user: RawClient, request: RequestBody): Promise<AnswerBody> {
  const answer = decodeAnswer((await user.request(KIND.registrationRequest, encodeRequest(request))).body);
  if (answer.kind !== 'value') throw new Error('the answer is malformed');
  return answer.value;
}

const lastOf = (answer: AnswerBody) => (answer.status === 'failed' ? answer.code : answer.status);

test('registrations on disk outlive the gateway, with their addresses', async (t) => {
  const options = { set: ON_DISK, registrar: REGISTRAR, storePath: storeDirectory(t) };
  const first = await startGateway(t, options);
  const user = await first.client();
  await user.open();
  const made = await ask(user, register('a'));
  t.like(made, { status: 'completed' });
  t.deepEqual(first.gateway.registrar.status().stored, { registrations: 1, tokens: 0 });
  await first.gateway.stop();

  const second = await startGateway(t, options);
  const again = await second.client();
  await again.open();
  const found = await ask(again, balance('a'));
  t.deepEqual(found, made);
  const status = gatewayStatus(second.gateway, { version: '', identity: '', crypto: '' });
  t.like(status, {
    store: { kind: 'lmdb', registrations: 1 },
    wireguard: { kind: 'memory', note: 'tunnels carry no traffic: no interface is driven' },
    credentials: { kind: 'none' },
    registrar: { running: true, epoch: 0, alarms: [] },
  });
});

test('a registrar that ends answers what it owes with try_later, and its successor has the same store', async (t) => {
  const { gateway, client, log } = await startGateway(t, {
    set: ON_DISK,
    registrar: fixture('registrar-exits'),
    storePath: storeDirectory(t),
  });
  const user = await client();
  await user.open();
  const made = await ask(user, register('a'));
  const magic = new Uint8Array(32);
  magic.set(Buffer.from('fixture: fail it'));
  t.like(await ask(user, register('b', magic)), { status: 'failed', code: 'try_later', retryAfter: 5 });
  await until(() => gateway.registrar.status().running, 'a fresh registrar runs');
  t.like(gateway.registrar.status(), { epoch: 1, lostRequests: 1 });
  t.deepEqual(await ask(user, balance('a')), made);
  // What was not acknowledged did not happen.
  t.is(lastOf(await ask(user, balance('b'))), 'not_owner');
  t.is(lastOf(await ask(user, register('c'))), 'completed');
  t.is(user.handshakes, 1);
  const lost = log.filter(({ msg }) => msg.startsWith('registrar lost'));
  t.is(lost.length, 1);
  t.like(lost[0], { requests: 1, err: { message: 'the thread exited with code 7' } });
});

test('sessions go on while the registrar does not answer, and requests beyond its queue come back at once', async (t) => {
  const { gateway, client } = await startGateway(t, { set: ONE_SHARD, registrar: fixture('registrar-silent') });
  const user = await client();
  await user.open();
  void user.request(KIND.registrationRequest, encodeRequest(register('a'))).catch(() => undefined);
  await until(() => gateway.registrar.status().queueLength === 1, 'the request waits');
  await user.echo();
  const request = { body: encodeRequest(register('b')), source: 's', family: 'f', quotesAllowed: 1 };
  const owed = Array.from({ length: 1_023 }, () => gateway.registrar.handle(request));
  t.is(gateway.registrar.status().queueLength, 1_024);
  const beyond = await gateway.registrar.handle(request);
  t.like(beyond.kind === 'answer' && decodeAnswer(beyond.body), { value: { code: 'try_later', retryAfter: 1 } });
  await user.echo();
  await gateway.stop('at once');
  t.is((await Promise.all(owed)).length, 1_023);
});

const REFUSED: readonly (readonly [string, (path: string) => void, string, RegExp])[] = [
  [
    'that another process has',
    (path) => {
      mkdirSync(path, { mode: 0o700 });
      writeFileSync(join(path, 'store.lock'), JSON.stringify({ pid: process.ppid, started: '' }), { mode: 0o600 });
    },
    'STORE_IN_USE',
    new RegExp(`pid ${process.ppid}`),
  ],
  [
    'that others may write',
    (path) => {
      mkdirSync(path);
      chmodSync(path, 0o777);
    },
    'STORE_UNAVAILABLE',
    /chmod 700/,
  ],
  ['whose path is a file', (path) => writeFileSync(path, ''), 'STORE_UNAVAILABLE', /store/],
  [
    'that is none',
    (path) => {
      mkdirSync(path, { mode: 0o700 });
      writeFileSync(join(path, 'data.mdb'), Buffer.alloc(8_192, 7), { mode: 0o600 });
    },
    'STORE_DAMAGED',
    /store/,
  ],
];

for (const [what, prepare, code, words] of REFUSED) {
  test(`a store ${what} stops the start, and the error says why`, async (t) => {
    const storePath = storeDirectory(t);
    prepare(storePath);
    const { gateway } = await makeGateway(t, { set: ON_DISK, registrar: REGISTRAR, storePath });
    const error = await t.throwsAsync(gateway.start(), { code });
    t.regex(error?.message ?? '', words);
    t.false(gateway.ready.ready);
  });
}

test('a registrar whose module is missing stops the start with its name', async (t) => {
  const { gateway } = await makeGateway(t, { set: ONE_SHARD, registrar: fixture('no-such-registrar') });
  await t.throwsAsync(gateway.start(), { code: 'REGISTRAR_START_FAILED', message: /no-such-registrar/ });
});
