/** Paying end to end in one process: a client, a gateway with the real registrar, and the real issuer over HTTP. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  type AnswerBody,
  fileTokenSource,
  httpTokenSource,
  type RegisterRequest,
  TokenError,
  type TokenSource,
} from '../../src/client/index.ts';
import { appendToken } from '../../src/client/token-file.ts';
import { encodeTokenChallenge } from '../../src/lp/wire/privacy-pass.ts';
import type { RegistrationCode, RequestBody } from '../../src/lp/wire/registration-body.ts';
import { encodeBase58 } from '../../src/ops/base58.ts';
import { createPrivacyPass } from '../../src/registration/credentials/privacy-pass.ts';
import type { CredentialVerifier } from '../../src/registration/credentials/verifier.ts';
import { ISSUER_NAME, START, startFixture } from '../issuer/fixture.ts';
import { tempDir } from '../ops/temp-dir.ts';
import { createFixture } from '../registration/fixture.ts';
import type { TinyGateway, TinyGatewayOptions } from '../support/tiny-gateway.ts';
import { clientFor, errorOf, gatewayFor, registration } from './fixture.ts';

const PRICE = { tokens: 1, bandwidth: 1_000, lifetime: 100 } as const;

interface World {
  readonly gateway: TinyGateway;
  /** What the gateway was asked, in order. */
  readonly asked: string[];
  /** Called with each request that was executed; its answer is lost where it says so. */
  lose: (request: RequestBody) => boolean;
  readonly source: TokenSource;
  /** Tokens that the source gave out. */
  readonly given: Uint8Array[];
}

async function world(t: ExecutionContext, options: Partial<TinyGatewayOptions> = {}): Promise<World> {
  const issuer = await startFixture(t);
  const asked: string[] = [];
  let verifier: CredentialVerifier | undefined;
  const registrar = createFixture(
    {},
    {
      verifier: {
        offer: (mode) => verifier!.offer(mode),
        verify: (credential, now) => verifier!.verify(credential, now),
      },
    },
  );
  const gateway = await gatewayFor(t, {
    register: async (request) => {
      asked.push(request.op);
      const answer = await registrar.ask(request);
      return made.lose(request) ? undefined : answer;
    },
    ...options,
  });
  const originInfo = encodeBase58(gateway.identity);
  verifier = createPrivacyPass({ issuerName: ISSUER_NAME, originInfo, keys: issuer.keys.verifierKeys(), price: PRICE });
  const http = httpTokenSource({
    issuerUrl: issuer.server.url,
    clock: { now: () => ({ monotonicMs: 0, unixMs: START * 1_000 }) },
  });
  const given: Uint8Array[] = [];
  const source: TokenSource = {
    async token(challenge) {
      const token = await http.token(challenge);
      given.push(token);
      return token;
    },
  };
  const made: World = { gateway, asked, lose: () => false, source, given };
  return made;
}

const bandwidthOf = (answer: AnswerBody | undefined) => (answer?.status === 'completed' ? answer.bandwidth : answer);

test.serial('a registration is quoted, paid with one token and completed; repeated, it costs nothing', async (t) => {
  const { gateway, asked, source, given } = await world(t);
  const client = await clientFor(t, { gateway: gateway.options });
  t.is(bandwidthOf(await client.enrol(registration(), source)), 1_000);
  t.is(bandwidthOf(await client.enrol(registration(), source)), 1_000);
  t.deepEqual(asked, ['quote', 'finalise', 'quote']);
  t.is(given.length, 1);
});

test.serial(
  'with a token source in the options, the quote rides in the handshake and the answer is there',
  async (t) => {
    const { gateway, source, given } = await world(t);
    const options = { ...gateway.options, register: registration() };
    const client = await clientFor(t, { gateway: options, tokenSource: source });
    t.is(bandwidthOf(client.registration), 1_000);
    t.is(given.length, 1);
  },
);

test.serial(
  'a token whose answer was lost is sent again for the same registration, by another client too',
  async (t) => {
    const made = await world(t);
    const { gateway, source, given } = made;
    const request = registration();
    const first = await clientFor(t, { gateway: gateway.options });
    made.lose = ({ op }) => {
      if (op === 'finalise') void first.close();
      return op === 'finalise';
    };
    t.is((await errorOf(t, first.enrol(request, source))).code, 'closed');

    made.lose = () => false;
    const second = await clientFor(t, { gateway: gateway.options });
    t.is(bandwidthOf(await second.enrol(request, source)), 1_000);
    t.is(given.length, 1);
  },
);

test.serial('a token that never arrived pays when the same registration is tried again, and no other', async (t) => {
  const made = await world(t, {
    register: (request) => {
      if (request.op !== 'finalise') return priced(made.gateway);
      tokens.push(Buffer.from(request.credential?.token ?? []).toString('hex'));
      if (tokens.length > 1) return { status: 'completed', mode: 'mixnet', bandwidth: 1, expires: 1 };
      void first.close();
      return undefined;
    },
  });
  const tokens: string[] = [];
  const { gateway, source, given } = made;
  const first = await clientFor(t, { gateway: gateway.options });
  await errorOf(t, first.enrol(registration(1), source));
  const second = await clientFor(t, { gateway: gateway.options });
  await second.enrol(registration(40), source);
  await second.enrol(registration(1), source);
  t.is(given.length, 2);
  t.deepEqual([tokens[2], tokens[1] === tokens[0]], [tokens[0], false]);
});

test.serial('top-ups pay one token each, and a lost one is not paid twice', async (t) => {
  const made = await world(t);
  const { gateway, source, given } = made;
  const request = registration();
  const first = await clientFor(t, { gateway: gateway.options, tokenSource: source });
  const { presharedKey: _, ...standing } = { ...request } as RegisterRequest & { presharedKey: Uint8Array };
  await first.enrol(request);
  const answers = await Promise.all([first.topup(standing), first.topup(standing)]);
  t.deepEqual(answers.map(bandwidthOf).toSorted(), [2_000, 3_000]);
  t.is(given.length, 3);
  made.lose = ({ op }) => {
    if (op === 'topup') void first.close();
    return op === 'topup';
  };
  await errorOf(t, first.topup(standing));
  made.lose = () => false;
  const second = await clientFor(t, { gateway: gateway.options, tokenSource: source });
  t.is(bandwidthOf(await second.topup(standing)), 4_000);
  t.is(given.length, 4);
});

test.serial('a top-up needs the name of the issuer where no quote was seen', async (t) => {
  const { gateway, source } = await world(t);
  const client = await clientFor(t, { gateway: gateway.options });
  await client.enrol(registration(), source);
  const { mode: _, ...rest } = registration() as RegisterRequest & { wgPublicKey: Uint8Array };
  const standing = { mode: 'dvpn', wgPublicKey: rest.wgPublicKey, owner: rest.owner } as const;
  const fresh: TokenSource = { token: (challenge) => source.token(challenge) };
  const error = await errorOf(t, client.topup(standing, { tokenSource: fresh }));
  t.deepEqual([error.code, error.reason], ['payment_failed', 'issuer_unknown']);
  t.is(bandwidthOf(await client.topup(standing, { tokenSource: fresh, issuerName: ISSUER_NAME })), 2_000);
});

test('a token that the gateway had no use for goes back to its file; one that is worth nothing does not', async (t) => {
  const path = join(tempDir(t), 'tokens');
  let code: RegistrationCode = 'pool_exhausted';
  const gateway: TinyGateway = await gatewayFor(t, {
    register: ({ op }) => (op === 'quote' ? priced(gateway) : { status: 'failed', code, text: '' }),
  });
  const challenge = encodeTokenChallenge({ issuerName: ISSUER_NAME, originInfo: encodeBase58(gateway.identity) });
  const digest = createHash('sha256').update(challenge).digest();
  await appendToken(path, Uint8Array.of(0, 2, ...new Uint8Array(32), ...digest, ...new Uint8Array(288)));
  const before = readFileSync(path, 'utf8');
  const client = await clientFor(t, { gateway: gateway.options, tokenSource: fileTokenSource(path) });
  t.like(await client.enrol(registration()), { status: 'failed', code });
  t.is(readFileSync(path, 'utf8'), before);
  code = 'credential_spent';
  t.like(await client.enrol(registration()), { status: 'failed', code });
  t.is(readFileSync(path, 'utf8'), '');
  t.is((await errorOf(t, client.enrol(registration()))).reason, 'no_tokens');
});

test.serial('a challenge of another gateway, or made for one client, costs no token', async (t) => {
  const given: unknown[] = [];
  const source: TokenSource = {
    token: async (challenge) => {
      given.push(challenge);
      return new Uint8Array(354);
    },
  };
  const own = (gateway: TinyGateway) =>
    encodeTokenChallenge({ issuerName: 'i', originInfo: encodeBase58(gateway.identity) });
  const tracking = (gateway: TinyGateway) => {
    const plain = own(gateway);
    return Uint8Array.of(...plain.subarray(0, 5), 32, ...new Uint8Array(32).fill(9), ...plain.subarray(6));
  };
  const cases: readonly (readonly [string, (gateway: TinyGateway) => Partial<AnswerBody>])[] = [
    ['wrong_challenge', () => ({ challenge: encodeTokenChallenge({ issuerName: 'i', originInfo: 'other' }) })],
    ['wrong_challenge', (gateway) => ({ challenge: tracking(gateway) })],
    ['challenge', () => ({ challenge: Uint8Array.of(1, 2, 3) })],
    ['challenge', (gateway) => ({ challenge: own(gateway), issuer: 'j' })],
    ['price', (gateway) => ({ challenge: own(gateway), price: { ...PRICE, tokens: 2 } })],
  ];
  for (const [reason, changed] of cases) {
    const gateway: TinyGateway = await gatewayFor(t, {
      register: () => ({ ...priced(gateway, 'i'), ...changed(gateway) }) as AnswerBody,
    });
    const client = await clientFor(t, { gateway: gateway.options });
    const error = await errorOf(t, client.enrol(registration(), source));
    t.deepEqual([error.code, error.reason], ['payment_failed', reason]);
  }
  t.deepEqual(given, []);
});

test.serial('what goes wrong with the source is told as payment_failed with its reason', async (t) => {
  const gateway: TinyGateway = await gatewayFor(t, { register: () => priced(gateway) });
  const client = await clientFor(t, { gateway: gateway.options });
  const known = await errorOf(
    t,
    client.enrol(registration(), { token: () => Promise.reject(new TokenError('no_tokens', 'fetch some')) }),
  );
  t.like(known, { code: 'payment_failed', reason: 'no_tokens', message: 'fetch some' });
  const other = await errorOf(t, client.enrol(registration(), { token: () => Promise.reject(new Error('mine')) }));
  t.like(other, { code: 'payment_failed', reason: 'token_source' });
  t.is((await client.enrol(registration())).status, 'credential_required');
});

test.serial('an abort while the source works keeps the token for the next registration', async (t) => {
  const { gateway, source, given } = await world(t);
  const client = await clientFor(t, { gateway: gateway.options });
  const controller = new AbortController();
  const gate = Promise.withResolvers<void>();
  const slow: TokenSource = {
    async token(challenge) {
      controller.abort();
      await gate.promise;
      return source.token(challenge);
    },
  };
  const error = await errorOf(t, client.enrol(registration(), slow, { signal: controller.signal }));
  t.is(error.code, 'aborted');
  gate.resolve();
  await until(() => given.length === 1);
  t.is(bandwidthOf(await client.enrol(registration(40), slow)), 1_000);
  t.is(given.length, 1);
});

function priced(gateway: TinyGateway, issuer = ISSUER_NAME): AnswerBody {
  const challenge = encodeTokenChallenge({ issuerName: issuer, originInfo: encodeBase58(gateway.identity) });
  return { status: 'credential_required', challenge, issuer, price: PRICE, heldUntil: START };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
