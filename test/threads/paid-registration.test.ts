/** A price in real Privacy Pass tokens at a whole gateway, with the registrar on its thread and the store on disk (rules 1, 2 and 7). */
import { createHash } from 'node:crypto';
import test from 'ava';
import { parseBlindKey } from '../../src/issuer/blind-key.ts';
import { issueToken } from '../../src/issuer/issue.ts';
import { decodeTokenChallenge, PRIVACY_PASS } from '../../src/lp/wire/privacy-pass.ts';
import { type AnswerBody, decodeAnswer, encodeRequest, type RequestBody } from '../../src/lp/wire/registration-body.ts';
import { encodeBase58 } from '../../src/ops/base58.ts';
import { workerEntry } from '../../src/system/entry.ts';
import { clientHalf } from '../issuer/fixture.ts';
import { RFC_9578_ISSUER_KEY } from '../issuer/rfc9578.ts';
import { storeDirectory } from '../registration/lmdb-world.ts';
import { startGateway, type TestGateway } from '../support/test-gateway.ts';

const key = parseBlindKey(Buffer.from(RFC_9578_ISSUER_KEY))!;
const bytes32 = (name: string) => Uint8Array.from(createHash('sha256').update(name).digest());
const CLIENTS = 64;
const SET = [
  'gateway.shards=1',
  'store.kind=lmdb',
  'credentials.kind=privacy-pass',
  'credentials.issuer=https://issuer.example',
];

const nameOf = (n: number) => ({ mode: 'dvpn', wgPublicKey: bytes32(`wg ${n}`) }) as const;
const owner = (n: number) => bytes32(`owner ${n}`);
const quote = (n: number): RequestBody => {
  return { op: 'quote', enrolment: { ...nameOf(n), presharedKey: bytes32(`psk ${n}`) }, owner: owner(n) };
};
const finalise = (n: number, token: Uint8Array): RequestBody => {
  return { op: 'finalise', name: nameOf(n), owner: owner(n), credential: { kind: PRIVACY_PASS, token } };
};

async function ask({ gateway }: TestGateway, request: RequestBody, n = 0): Promise<AnswerBody> {
  const source = `198.51.100.${n}`;
  const family = `family ${n}`;
  const outcome = await gateway.registrar.handle({ body: encodeRequest(request), source, family, quotesAllowed: 4 });
  const answer = outcome.kind === 'answer' ? decodeAnswer(outcome.body) : undefined;
  if (answer?.kind !== 'value') throw new Error('no answer');
  return answer.value;
}

async function tokenFor(challenge: Uint8Array): Promise<Uint8Array> {
  const half = await clientHalf(key.spki, challenge);
  const issued = issueToken(half.request, () => key);
  if (issued.kind === 'refused') throw new Error(issued.reason);
  return half.finish(issued.bytes);
}

test('64 finalisations at once with one token: one is granted, 63 are told that it is spent', async (t) => {
  const options = { set: SET, registrar: workerEntry('registrar'), storePath: storeDirectory(t) };
  const made = await startGateway(t, options);
  const { gateway, target } = made;
  gateway.setIssuerKeys([{ spki: key.spki }]);
  const numbers = Array.from({ length: CLIENTS }, (_, n) => n);
  const quotes = await Promise.all(numbers.map((n) => ask(made, quote(n), n)));
  const [first] = quotes;
  if (first?.status !== 'credential_required') return t.fail(first?.status);
  t.deepEqual(decodeTokenChallenge(first.challenge), {
    issuerName: 'issuer.example',
    originInfo: encodeBase58(target.ed25519),
  });
  t.deepEqual(first.price, { tokens: 1, bandwidth: 1_073_741_824, lifetime: 86_400 });

  const token = await tokenFor(first.challenge);
  const answers = await Promise.all(numbers.map((n) => ask(made, finalise(n, token), n)));
  const granted = numbers.filter((n) => answers[n]?.status === 'completed');
  t.is(granted.length, 1);
  const refused = answers.filter((answer) => answer.status === 'failed' && answer.code === 'credential_spent');
  t.is(refused.length, CLIENTS - 1);
  t.like(gateway.registrar.status(), {
    registrations: { dvpn: { active: 1 } },
    stored: { registrations: 1, tokens: 1 },
    quotes: CLIENTS - 1,
    issuerKeys: 1,
  });
  await gateway.stop();

  // It stays spent, and the one who paid is answered as before.
  const again = await startGateway(t, options);
  again.gateway.setIssuerKeys([{ spki: key.spki }]);
  const winner = granted[0]!;
  t.deepEqual(await ask(again, finalise(winner, token)), answers[winner]);
  const other = (winner + 1) % CLIENTS;
  await ask(again, quote(other));
  t.like(await ask(again, finalise(other, token)), { code: 'credential_spent' });
});

test('64 finalisations of one name with one token are all completed, for one grant', async (t) => {
  const made = await startGateway(t, { set: [...SET, 'store.kind=memory'], entry: 'in-thread' });
  made.gateway.setIssuerKeys([{ spki: key.spki }]);
  const first = await ask(made, quote(0));
  if (first.status !== 'credential_required') return t.fail(first.status);
  const token = await tokenFor(first.challenge);
  const answers = await Promise.all(Array.from({ length: CLIENTS }, () => ask(made, finalise(0, token))));
  for (const answer of answers) t.deepEqual(answer, answers[0]);
  t.like(answers[0], { status: 'completed', bandwidth: 1_073_741_824 });
});
