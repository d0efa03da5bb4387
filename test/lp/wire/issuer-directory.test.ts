/** What is taken for a key in an issuer's directory. */
import test from 'ava';
import { decodeDirectory } from '../../../src/lp/wire/issuer-directory.ts';

const withKey = (text: unknown) =>
  decodeDirectory(
    JSON.stringify({ 'issuer-request-uri': '/r', 'token-keys': [{ 'token-type': 2, 'token-key': text }] }),
  );

test('a key is base64url, padded or not', (t) => {
  for (const bytes of [[1], [1, 2], [1, 2, 3], [251, 255, 191, 4]]) {
    const spki = Uint8Array.from(bytes);
    const text = Buffer.from(spki).toString('base64url');
    const padded = text.padEnd(4 * Math.ceil(text.length / 4), '=');
    t.deepEqual(withKey(text)?.keys, [{ spki }]);
    t.deepEqual(withKey(padded)?.keys, [{ spki }]);
  }
});

test('what is no base64url is no directory, and a letter alone is none', (t) => {
  for (const text of ['', 'M', 'AAAAM', 'M=', 'AA=', 'AAA==', 'AAAA=', 'A+==', 'AA A', '=', 7, null]) {
    t.is(withKey(text), undefined, JSON.stringify(text));
  }
});
