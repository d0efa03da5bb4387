/** Tokens at the gateway: which are good, why others are not, keys that come and go, and that a token pays once. */
import { constants, createHash, createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { parseBlindKey } from '../../src/issuer/blind-key.ts';
import { decodeTokenChallenge, encodeTokenChallenge } from '../../src/lp/wire/privacy-pass.ts';
import {
  createPrivacyPass,
  type IssuerPublicKey,
  type PrivacyPassConfigCode,
  PrivacyPassConfigError,
  type PrivacyPassOptions,
} from '../../src/registration/credentials/privacy-pass.ts';
import { RFC_9578_ISSUER_KEY, RFC_9578_VECTORS } from '../issuer/rfc9578.ts';
import { client, createFixture, START } from './fixture.ts';

const rfcKey = parseBlindKey(Buffer.from(RFC_9578_ISSUER_KEY))!;
const privateKey = createPrivateKey(RFC_9578_ISSUER_KEY);
const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));
const GOOD = hex(RFC_9578_VECTORS[1].token);
const NOT_AFTER = START + 1_000;
const DAY = 86_400;
const OPTIONS: PrivacyPassOptions = {
  issuerName: 'issuer.example',
  originInfo: 'origin.example',
  keys: [{ spki: rfcKey.spki, notAfter: NOT_AFTER }],
  price: { tokens: 1, bandwidth: 1_000, lifetime: 100 },
};

const credential = (token: Uint8Array) => ({ kind: 'privacy-pass', token });
const refused = (code: string) => ({ kind: 'refused', code });
const verifier = (options: Partial<PrivacyPassOptions> = {}) => createPrivacyPass({ ...OPTIONS, ...options });
const withKey = (key: Omit<IssuerPublicKey, 'spki'>) => [{ spki: rfcKey.spki, ...key }];

/** What the issuer's signature makes of a nonce, without the blinding, which leaves no trace. */
function makeToken(originInfo = 'origin.example', nonce: Uint8Array = randomBytes(32)): Uint8Array {
  const challenge = encodeTokenChallenge({ issuerName: 'issuer.example', originInfo });
  const digest = createHash('sha256').update(challenge).digest();
  const signed = Buffer.concat([hex('0002'), nonce, digest, hex(rfcKey.id)]);
  const pss = { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 48 };
  return Uint8Array.from(Buffer.concat([signed, sign('sha384', signed, pss)]));
}

test("the RFC's token is accepted, named by key and nonce, and buys what the price says", async (t) => {
  const nonce = GOOD.subarray(2, 34);
  t.deepEqual(await verifier().verify(credential(GOOD), START), {
    kind: 'accepted',
    tokenId: Uint8Array.from(createHash('sha256').update(hex(rfcKey.id)).update(nonce).digest()),
    keepUntil: NOT_AFTER + DAY,
    grant: { bandwidth: 1_000, lifetimeSeconds: 100 },
  });
});

test('the offer has the challenge of registration.md: empty context, the identity as origin', (t) => {
  const { offer, challenge } = verifier();
  t.deepEqual(challenge, hex(RFC_9578_VECTORS[1].challenge));
  t.deepEqual(decodeTokenChallenge(challenge), { issuerName: 'issuer.example', originInfo: 'origin.example' });
  for (const mode of ['dvpn', 'mixnet'] as const) {
    t.deepEqual(offer(mode), { kind: 'price', challenge, issuer: 'issuer.example', price: OPTIONS.price });
  }
});

test('every flipped bit of a token is refused, with the code of the field it is in', async (t) => {
  const { verify } = verifier();
  for (let at = 0; at < GOOD.length; at++) {
    const token = Uint8Array.from(GOOD);
    token[at] = token[at]! ^ (1 << (at % 8));
    const code = at >= 34 && at < 66 ? 'credential_wrong_challenge' : 'credential_invalid';
    t.deepEqual(await verify(credential(token), START), refused(code), `byte ${at}`);
  }
});

test('every truncation and any addition is refused as invalid', async (t) => {
  const { verify } = verifier();
  for (let length = 0; length < GOOD.length; length++) {
    t.deepEqual(await verify(credential(GOOD.subarray(0, length)), START), refused('credential_invalid'));
  }
  t.deepEqual(await verify(credential(Uint8Array.of(...GOOD, 0)), START), refused('credential_invalid'));
});

test('any bytes are refused, never a rejection', async (t) => {
  const { verify } = verifier();
  const head = GOOD.subarray(0, 98);
  const any = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc.uint8Array({ minLength: 256, maxLength: 256 }).map((signature) => Uint8Array.of(...head, ...signature)),
  );
  const property = fc.asyncProperty(any, async (token) => (await verify(credential(token), START)).kind === 'refused');
  await t.notThrowsAsync(() => Promise.resolve(fc.assert(property, { numRuns: 100 })));
});

test('another kind of credential is refused by its kind, whatever is in it', async (t) => {
  for (const kind of ['', 'test', 'privacy-pass ', 'PRIVACY-PASS']) {
    t.deepEqual(await verifier().verify({ kind, token: GOOD }, START), refused('credential_kind'));
  }
});

test('a token for another gateway, another issuer name, or with a redemption context has the wrong challenge', async (t) => {
  const wrong = refused('credential_wrong_challenge');
  t.deepEqual(await verifier().verify(credential(makeToken('other.example')), START), wrong);
  t.deepEqual(await verifier({ originInfo: 'other.example' }).verify(credential(GOOD), START), wrong);
  t.deepEqual(await verifier({ issuerName: 'other.example' }).verify(credential(GOOD), START), wrong);
  t.deepEqual(await verifier().verify(credential(hex(RFC_9578_VECTORS[0].token)), START), wrong);
});

test('an unknown key is invalid; a retired one is expired, by its date or by word', async (t) => {
  t.deepEqual(await verifier({ keys: [] }).verify(credential(GOOD), START), refused('credential_invalid'));
  t.like(await verifier().verify(credential(GOOD), NOT_AFTER - 1), { kind: 'accepted' });
  t.deepEqual(await verifier().verify(credential(GOOD), NOT_AFTER), refused('credential_expired'));
  const retired = verifier({ keys: withKey({ retired: true }) });
  t.deepEqual(await retired.verify(credential(GOOD), START), refused('credential_expired'));
});

test('tokens of a key without an end are never forgotten', async (t) => {
  const verdict = await verifier({ keys: withKey({}) }).verify(credential(GOOD), START);
  t.like(verdict, { kind: 'accepted', keepUntil: Number.MAX_SAFE_INTEGER });
});

test('keys are replaced at run time, and the end of one can come earlier but not later', async (t) => {
  const { verify, setKeys } = verifier({ keys: [] });
  setKeys(withKey({ notAfter: NOT_AFTER }));
  t.like(await verify(credential(GOOD), START), { kind: 'accepted' });
  setKeys(withKey({ notAfter: NOT_AFTER + 500 }));
  t.deepEqual(await verify(credential(GOOD), NOT_AFTER), refused('credential_expired'));
  setKeys([]);
  t.deepEqual(await verify(credential(GOOD), START), refused('credential_invalid'));
  setKeys(withKey({}));
  t.like(await verify(credential(GOOD), START), { keepUntil: NOT_AFTER + DAY });
  t.deepEqual(await verify(credential(GOOD), NOT_AFTER), refused('credential_expired'));
  setKeys(withKey({ notAfter: START - 1 }));
  t.deepEqual(await verify(credential(GOOD), START), refused('credential_expired'));
});

test('what cannot work is refused at the start, and a bad set of keys leaves the old one in force', async (t) => {
  const plain = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'der', type: 'spki' });
  const bad = (options: Partial<PrivacyPassOptions>, code: PrivacyPassConfigCode) => {
    const error = t.throws(() => verifier(options), { instanceOf: PrivacyPassConfigError });
    t.is(error.code, code);
  };
  bad({ keys: [{ spki: plain }] }, 'CREDENTIALS_KEY');
  bad({ keys: [{ spki: new Uint8Array(342) }] }, 'CREDENTIALS_KEY');
  bad({ keys: withKey({ notAfter: 1.5 }) }, 'CREDENTIALS_KEY');
  bad({ issuerName: '' }, 'CREDENTIALS_CHALLENGE');
  bad({ originInfo: '' }, 'CREDENTIALS_CHALLENGE');
  bad({ price: { tokens: 1, bandwidth: 0, lifetime: 1 } }, 'CREDENTIALS_PRICE');
  const { verify, setKeys } = verifier();
  t.throws(() => setKeys([...withKey({ notAfter: START - 1 }), { spki: plain }]), {
    instanceOf: PrivacyPassConfigError,
  });
  t.like(await verify(credential(GOOD), START), { kind: 'accepted' });
});

test('a token pays for one registration, again for the same one, and for no other', async (t) => {
  const { ask } = createFixture({}, { verifier: verifier() });
  const alice = client('alice');
  t.like(await ask(alice.quote()), { status: 'credential_required', issuer: 'issuer.example' });
  const paid = await ask(alice.register(credential(GOOD)));
  t.like(paid, { status: 'completed', bandwidth: 1_000, expires: START + 100 });
  t.deepEqual(await ask(alice.register(credential(GOOD))), paid);
  t.like(await ask(client('bob').register(credential(GOOD))), { code: 'credential_spent' });
  t.like(await ask(alice.topup(credential(makeToken()))), { status: 'completed', bandwidth: 2_000 });
  t.like(await ask(client('bob').register(credential(makeToken('other.example')))), {
    code: 'credential_wrong_challenge',
  });
});
