/**
 * Tokens at the gateway and token requests at the issuer (RFC 9578), with the published key of the RFC: what is accepted is
 * exactly what is signed, for this challenge, in time; what is signed is exactly what is below the modulus.
 */
import { constants, createHash, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { parseBlindKey } from '../../../src/issuer/blind-key.ts';
import { checkTokenRequest, issueToken } from '../../../src/issuer/issue.ts';
import { TOKEN_LENGTH, TOKEN_REQUEST_LENGTH } from '../../../src/lp/wire/privacy-pass.ts';
import { createPrivacyPass } from '../../../src/registration/credentials/privacy-pass.ts';
import { RFC_9578_ISSUER_KEY, RFC_9578_VECTORS } from '../../../test/issuer/rfc9578.ts';
import { words } from '../arbitraries.ts';
import { type FuzzTarget, oracle } from '../target.ts';

const parsed = parseBlindKey(Buffer.from(RFC_9578_ISSUER_KEY));
if (parsed === undefined) throw new Error('assertion: the key of the RFC is one');
const KEY = parsed;
const PRIVATE_KEY = createPrivateKey(RFC_9578_ISSUER_KEY);
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 48 };
const PUBLIC = { key: createPublicKey({ key: Buffer.from(KEY.spki), format: 'der', type: 'spki' }), ...PSS };
const NOT_AFTER = 1_000_000;
const VERIFIER = createPrivacyPass({
  issuerName: 'issuer.example',
  originInfo: 'origin.example',
  keys: [{ spki: KEY.spki, notAfter: NOT_AFTER }],
  price: { tokens: 1, bandwidth: 1_000, lifetime: 100 },
});
const DIGEST = createHash('sha256').update(VERIFIER.challenge).digest();
const SIGNED_LENGTH = 98;
const E = 65_537n;

/** Input: kind, time, whether to sign what is there anew; the token. */
async function redeem(input: Uint8Array): Promise<void> {
  const [flags = 0] = input;
  const kind = (flags & 1) === 0 ? 'privacy-pass' : 'zk-nym';
  const now = NOT_AFTER + ((flags >> 1) & 3) - 2;
  const token = input.slice(1);
  if ((flags & 8) !== 0 && token.length === TOKEN_LENGTH) {
    token.set(sign('sha384', token.subarray(0, SIGNED_LENGTH), { key: PRIVATE_KEY, ...PSS }), SIGNED_LENGTH);
  }
  const verdict = await VERIFIER.verify({ kind, token }, now);
  const good =
    kind === 'privacy-pass' &&
    token.length === TOKEN_LENGTH &&
    Buffer.compare(token.subarray(0, 2), Uint8Array.of(0, 2)) === 0 &&
    Buffer.compare(token.subarray(34, 66), DIGEST) === 0 &&
    Buffer.from(token.subarray(66, SIGNED_LENGTH)).toString('hex') === KEY.id &&
    now < NOT_AFTER &&
    verify('sha384', token.subarray(0, SIGNED_LENGTH), PUBLIC, token.subarray(SIGNED_LENGTH));
  oracle((verdict.kind === 'accepted') === good, () => `${JSON.stringify(verdict)} though good is ${good}`);
}

function issue(input: Uint8Array): void {
  const find = (truncatedId: number) => (truncatedId === KEY.truncatedId ? KEY : undefined);
  const checked = checkTokenRequest(input, find);
  const blinded = number(input.subarray(3));
  const sound =
    input.length === TOKEN_REQUEST_LENGTH &&
    input[0] === 0 &&
    input[1] === 2 &&
    input[2] === KEY.truncatedId &&
    blinded < number(KEY.modulus);
  oracle((checked.kind === 'sound') === sound, () => `${checked.kind} though sound is ${sound}`);
  const issued = issueToken(input, find);
  oracle((issued.kind === 'response') === sound, 'what is sound is signed');
  if (issued.kind !== 'response') return;
  oracle(power(number(issued.bytes), E, number(KEY.modulus)) === blinded, 'the signature is the blinded message’s');
}

function number(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let square = base % modulus, left = exponent; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

const bytesOf = (hex: string) => [...Buffer.from(hex, 'hex')];
const TOKENS = RFC_9578_VECTORS.map(({ token }) => bytesOf(token));
const request = (...blinded: readonly number[]) => {
  const out = new Uint8Array(TOKEN_REQUEST_LENGTH);
  out.set([0, 2, KEY.truncatedId]);
  out.set(blinded.slice(0, 256), TOKEN_REQUEST_LENGTH - Math.min(256, blinded.length));
  return out;
};
const [, usual = []] = TOKENS;

export const targets: readonly FuzzTarget[] = [
  {
    name: 'tokens-redeem',
    run: redeem,
    seeds: () => [
      ...TOKENS.map((token) => Uint8Array.from([0, ...token])),
      ...[1, 2, 4, 6, 8].map((flags) => Uint8Array.from([flags, ...usual])),
      new Uint8Array(1 + TOKEN_LENGTH),
    ],
    maxLength: 400,
    batch: 128,
  },
  {
    name: 'tokens-issue',
    run: issue,
    seeds: () => [
      request(),
      request(1),
      request(2),
      request(...KEY.modulus),
      request(...KEY.modulus.map((byte, i) => (i === 255 ? byte - 1 : byte))),
      request(...new Array<number>(256).fill(0xff)),
      request(0x7f, ...new Array<number>(255).fill(0x33)),
    ],
    dictionary: words([0, 2, KEY.truncatedId], [...KEY.modulus]),
    maxLength: 300,
    batch: 64,
  },
];
