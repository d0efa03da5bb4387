/** The structures of Privacy Pass (RFC 9577, 9578): exact lengths, parts that add up to the whole, challenges that come back. */
import fc from 'fast-check';
import {
  decodeToken,
  decodeTokenChallenge,
  decodeTokenRequest,
  encodeTokenChallenge,
  TOKEN_LENGTH,
  TOKEN_REQUEST_LENGTH,
} from '../../../src/lp/wire/privacy-pass.ts';
import { bytes, samples, words } from '../arbitraries.ts';
import { type FuzzTarget, oracle, sameBytes, sameValue, untouched } from '../target.ts';

function run(input: Uint8Array): void {
  untouched(input, () => {
    const challenge = decodeTokenChallenge(input);
    if (challenge !== undefined) {
      const again = encodeTokenChallenge(challenge);
      sameValue(decodeTokenChallenge(again), challenge, 'a challenge comes back');
      oracle(again.length === input.length || again.length + 32 === input.length, 'only a context is left out');
    }
    const token = decodeToken(input);
    if (token !== undefined) {
      const { nonce, challengeDigest, tokenKeyId, signed, authenticator } = token;
      sameBytes(Buffer.concat([signed, authenticator]), input, 'signed part and authenticator');
      sameBytes(Buffer.concat([nonce, challengeDigest, tokenKeyId]), signed.subarray(2), 'the signed parts');
    }
    const request = decodeTokenRequest(input);
    if (request !== undefined)
      oracle(request.blinded.length === 256, 'a blinded message has the length of the modulus');
  });
}

const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 });
const challenges = fc
  .tuple(name, name)
  .map(([issuerName, originInfo]) => encodeTokenChallenge({ issuerName, originInfo }));
const typed = (length: number) => bytes(length - 2).map((rest) => Uint8Array.from([0, 2, ...rest]));
const fresh = fc.oneof(challenges, typed(TOKEN_LENGTH), typed(TOKEN_REQUEST_LENGTH));

export const targets: readonly FuzzTarget[] = [
  {
    name: 'wire-privacy-pass',
    run,
    fresh,
    seeds: () => samples(fresh),
    dictionary: words([0, 2], [0, 1], [0x20], [0, 0], [0xff, 0xff], [1, 0], [0xef, 0xbb, 0xbf], [0xc0, 0x80]),
    maxLength: 700,
  },
];
