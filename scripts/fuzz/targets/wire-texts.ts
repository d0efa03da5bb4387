/**
 * Texts that are read strictly: keys in base64 and base58, `ip:port`, an issuer's directory. One text for each value, and
 * other readers of the same (node:net, src/ops/base58) agree.
 */
import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { formatSocketAddress, isUnspecified, parseSocketAddress } from '../../../src/lp/v1/socket-address.ts';
import { decodeDirectory, encodeDirectory } from '../../../src/lp/wire/issuer-directory.ts';
import { keyFromBase58, keyFromBase64, keyToBase58, keyToBase64 } from '../../../src/lp/wire/key-text.ts';
import { isAnnouncedEndpoint } from '../../../src/lp/wire/registration-body.ts';
import { decodeBase58, encodeBase58, parseKey } from '../../../src/ops/base58.ts';
import { bytes, samples, text, u16, utf8, words } from '../arbitraries.ts';
import { type FuzzTarget, oracle, sameBytes, sameValue } from '../target.ts';

const MAX_SOCKET_ADDRESS_LENGTH = 53;

function keyText(input: Uint8Array): void {
  const given = utf8(input);
  const base64 = keyFromBase64(given);
  if (base64 !== undefined) oracle(keyToBase64(base64) === given, 'one base64 text for each key');
  const base58 = keyFromBase58(given);
  if (base58 !== undefined) {
    oracle(keyToBase58(base58) === given, 'one base58 text for each key');
    sameBytes(decodeBase58(given) ?? new Uint8Array(0), base58, 'both base58 decoders agree');
  }
  const parsed = parseKey(given);
  if (parsed.ok && given.length !== 64)
    sameBytes(base58 ?? new Uint8Array(0), parsed.key, 'what an operator may write');
  const key = new Uint8Array(32);
  key.set(input.subarray(0, 32));
  oracle(keyToBase58(key) === encodeBase58(key), 'both base58 encoders agree');
  sameBytes(keyFromBase58(keyToBase58(key)) ?? new Uint8Array(0), key, 'a key comes back from base58');
  sameBytes(keyFromBase64(keyToBase64(key)) ?? new Uint8Array(0), key, 'a key comes back from base64');
}

function socketAddress(input: Uint8Array): void {
  const given = utf8(input);
  const parsed = parseSocketAddress(given);
  isAnnouncedEndpoint(given);
  const [, ipv6, ipv4, port] = /^(?:\[([^\]%]*)\]|([^:]*)):(0|[1-9][0-9]{0,4})$/.exec(given) ?? [];
  const isAddress = ipv6 === undefined ? isIPv4(ipv4 ?? '') : isIPv6(ipv6);
  const expected = isAddress && Number(port) <= 65_535 && given.length <= MAX_SOCKET_ADDRESS_LENGTH;
  oracle((parsed !== undefined) === expected, () => `node:net says ${expected} of ${given}`);
  if (parsed === undefined) return;
  sameValue(parseSocketAddress(formatSocketAddress(parsed)), parsed, 'an address comes back');
  isUnspecified(parsed);
}

function directory(input: Uint8Array): void {
  const decoded = decodeDirectory(utf8(input));
  if (decoded === undefined) return;
  sameValue(decodeDirectory(encodeDirectory(decoded)), decoded, 'a directory comes back');
}

const keys = bytes(32);
const keyTexts = fc.oneof(
  keys.map((key) => text(keyToBase64(key))),
  keys.map((key) => text(keyToBase58(key))),
  keys.map((key) => text(Buffer.from(key).toString('hex'))),
);
const socketTexts = fc.oneof(
  fc.tuple(bytes(4), u16).map(([ip, port]) => text(formatSocketAddress({ family: 4, ip, port }))),
  fc.tuple(bytes(16), u16).map(([ip, port]) => text(formatSocketAddress({ family: 6, ip, port }))),
  fc.tuple(fc.ipV6(), u16).map(([ip, port]) => text(`[${ip}]:${port}`)),
);
const directories = fc
  .tuple(
    fc.constantFrom('/token-request', 'https://issuer.example/a?b=c', ''),
    fc.array(fc.tuple(bytes(3, 60), fc.option(fc.nat(), { nil: undefined })), { maxLength: 3 }),
  )
  .map(([requestUri, list]) => {
    const entries = list.map(([spki, notBefore]) => (notBefore === undefined ? { spki } : { spki, notBefore }));
    return text(encodeDirectory({ requestUri, keys: entries }));
  });

export const targets: readonly FuzzTarget[] = [
  {
    name: 'wire-key-text',
    run: keyText,
    fresh: keyTexts,
    seeds: () => [...samples(keyTexts), text('1'.repeat(32))],
    dictionary: words('1111', 'zzzz', 'A=', '0OIl', '+/', '\u00e9'),
    maxLength: 160,
  },
  {
    name: 'v1-socket-address',
    run: socketAddress,
    fresh: socketTexts,
    seeds: () => [
      ...samples(socketTexts, 20),
      text('[::ffff:192.0.2.1]:1'),
      text('[::]:0'),
      text('255.255.255.255:65535'),
    ],
    dictionary: words('::', ':', '.', '[', ']:', '255', '256', '01', ':0', '65536', '%1', 'ffff', '0:0:0:0:0:0:0:0'),
    maxLength: 80,
  },
  {
    name: 'wire-issuer-directory',
    run: directory,
    fresh: directories,
    seeds: () => samples(directories),
    dictionary: words(
      '"token-type"',
      '"token-key"',
      '"not-before"',
      '"issuer-request-uri"',
      '"token-keys"',
      '[]',
      '{}',
      '1e400',
      '-0',
      'null',
      '2',
      '"__proto__"',
      '\\ud800',
    ),
  },
];
