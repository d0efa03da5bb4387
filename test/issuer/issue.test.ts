/** Keys and issuance without HTTP (RFC 9578 §6.2, §6.5), with the vectors of its appendix. */
import { createHash } from 'node:crypto';
import { util } from '@cloudflare/privacypass-ts';
import test from 'ava';
import fc from 'fast-check';
import { formatBlindKey, generateBlindKey, parseBlindKey, tokenKeyId } from '../../src/issuer/blind-key.ts';
import { issueToken } from '../../src/issuer/issue.ts';
import { decodeToken, decodeTokenChallenge, encodeTokenChallenge } from '../../src/lp/wire/privacy-pass.ts';
import { RFC_9578_ISSUER_KEY, RFC_9578_SPKI_HEAD, RFC_9578_VECTORS } from './rfc9578.ts';

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));
const rfcKey = parseBlindKey(Buffer.from(RFC_9578_ISSUER_KEY))!;
const find = (truncatedId: number) => (truncatedId === rfcKey.truncatedId ? rfcKey : undefined);

test("the public key is encoded as in the RFC's vectors, and named by its SHA-256", (t) => {
  t.is(Buffer.from(rfcKey.spki).toString('hex').slice(0, RFC_9578_SPKI_HEAD.length), RFC_9578_SPKI_HEAD);
  t.is(rfcKey.spki.length, 342);
  for (const { token } of RFC_9578_VECTORS) {
    t.is(Buffer.from(decodeToken(bytes(token))!.tokenKeyId).toString('hex'), rfcKey.id);
  }
});

test("the RFC's requests get the RFC's responses", (t) => {
  for (const { request, response } of RFC_9578_VECTORS) {
    t.deepEqual(issueToken(bytes(request), find), { kind: 'response', bytes: bytes(response) });
  }
});

test("the RFC's challenges decode, and one without a redemption context encodes to the same", (t) => {
  const expected = { issuerName: 'issuer.example', originInfo: 'origin.example' };
  for (const { challenge, token } of RFC_9578_VECTORS) {
    t.deepEqual(decodeTokenChallenge(bytes(challenge)), expected);
    const digest = createHash('sha256').update(bytes(challenge)).digest('hex');
    t.is(Buffer.from(decodeToken(bytes(token))!.challengeDigest).toString('hex'), digest);
  }
  t.deepEqual(encodeTokenChallenge(expected), bytes(RFC_9578_VECTORS[1].challenge));
});

test('a challenge decodes only whole: every truncation, a longer one and another type are refused', (t) => {
  const challenge = bytes(RFC_9578_VECTORS[1].challenge);
  for (let length = 0; length < challenge.length; length++) {
    t.is(decodeTokenChallenge(challenge.subarray(0, length)), undefined);
  }
  t.is(decodeTokenChallenge(Uint8Array.of(...challenge, 0)), undefined);
  t.is(decodeTokenChallenge(Uint8Array.of(0, 1, ...challenge.subarray(2))), undefined);
  const total = fc.property(fc.uint8Array({ maxLength: 400 }), (any) => {
    decodeTokenChallenge(any);
  });
  t.notThrows(() => fc.assert(total));
});

test('a fresh key is encoded as the library does it, and survives its PEM', async (t) => {
  const key = await generateBlindKey();
  const encryption = Uint8Array.from(key.publicKey.export({ format: 'der', type: 'spki' }));
  t.deepEqual(key.spki, util.convertEncToRSASSAPSS(encryption));
  t.is(key.id, tokenKeyId(key.spki));
  t.is(key.truncatedId, Number.parseInt(key.id.slice(-2), 16));
  t.is(parseBlindKey(Buffer.from(formatBlindKey(key)))?.id, key.id);
  t.is(parseBlindKey(Buffer.from('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n')), undefined);
});

test('requests of another length or type, for another key, or not below the modulus are refused', (t) => {
  const good = bytes(RFC_9578_VECTORS[1].request);
  const refused = (reason: string) => ({ kind: 'refused', reason });
  const like = (change: (copy: Uint8Array) => void) => {
    const copy = Uint8Array.from(good);
    change(copy);
    return issueToken(copy, find);
  };
  for (const length of [0, 1, 2, 3, 258]) {
    t.deepEqual(issueToken(good.subarray(0, length), find), refused('malformed'));
  }
  t.deepEqual(issueToken(Uint8Array.of(...good, 0), find), refused('malformed'));
  t.deepEqual(
    like((copy) => copy.fill(1, 1, 2)),
    refused('malformed'),
  );
  t.deepEqual(
    like((copy) => copy.fill((good[2] ?? 0) ^ 1, 2, 3)),
    refused('unknown_key'),
  );
  t.deepEqual(
    like((copy) => copy.fill(255, 3)),
    refused('out_of_range'),
  );
  t.deepEqual(
    like((copy) => copy.set(rfcKey.modulus, 3)),
    refused('out_of_range'),
  );
  t.is(like((copy) => copy.fill(0, 3)).kind, 'response');
});

test('any bytes of the right length are signed or refused, never an exception', (t) => {
  const property = fc.property(fc.uint8Array({ minLength: 256, maxLength: 256 }), (blinded) => {
    const issued = issueToken(Uint8Array.of(0, 2, rfcKey.truncatedId, ...blinded), find);
    return issued.kind === 'response' ? issued.bytes.length === 256 : issued.reason === 'out_of_range';
  });
  t.notThrows(() => fc.assert(property, { numRuns: 30 }));
});
