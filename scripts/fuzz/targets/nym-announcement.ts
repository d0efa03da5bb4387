/**
 * Announcements (nym.md §3.2): members of a JSON object are found where `JSON.parse` finds them; what a stranger signed is
 * never taken, what the node signed is taken if it reads, and what is taken comes back from the node's own text. Input: how
 * to sign, then the block's text; or a whole document.
 */
import fc from 'fast-check';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import {
  MAX_ANNOUNCEMENT_LENGTH,
  type NymAnnouncement,
  readAnnouncement,
  writeAnnouncement,
} from '../../../src/lp/nym/announcement.ts';
import { jsonMembers } from '../../../src/lp/nym/json-members.ts';
import { speaksDeployedProtocol } from '../../../src/lp/nym/node-release.ts';
import { signatureFromBase58 } from '../../../src/lp/nym/signature-text.ts';
import { keyToBase58 } from '../../../src/lp/wire/key-text.ts';
import { bytes, samples, text, utf8, words } from '../arbitraries.ts';
import { type FuzzTarget, oracle, sameValue } from '../target.ts';

const crypto = await loadProvider('native');
const SEED = new Uint8Array(32).fill(7);
const STRANGER = new Uint8Array(32).fill(8);
const IDENTITY = crypto.ed25519PublicKey(SEED);
const MODES = 4;

const digest = bytes(32);
const digests = fc.record({ blake3: digest, shake128: digest, shake256: digest, sha256: digest });
const announcements = fc
  .record({
    enabled: fc.boolean(),
    controlPort: fc.integer({ min: 1, max: 65_535 }),
    dataPort: fc.integer({ min: 1, max: 65_535 }),
    x25519: digest,
    mlkem: fc.option(digests),
    mceliece: fc.option(digests),
  })
  .map(({ mlkem, mceliece, ...rest }): NymAnnouncement => {
    const kemKeys = new Map();
    if (mlkem !== null) kemKeys.set('mlkem768', mlkem);
    if (mceliece !== null) kemKeys.set('mceliece', mceliece);
    return { ...rest, kemKeys };
  });

function signed(seed: Uint8Array, block: string): string {
  return `{"data":${block},"signature":"${keyToBase58(crypto.ed25519Sign(seed, Buffer.from(block)))}"}`;
}

function document(mode: number, body: string): string {
  if (mode === 0) return body;
  if (mode === 1) return signed(SEED, body);
  if (mode === 2) return signed(STRANGER, body);
  return signed(SEED, body).replace('{"data":', '{ "content" :\t');
}

function announcement(input: Uint8Array): void {
  const mode = (input[0] ?? 0) % MODES;
  const body = utf8(input.subarray(1));
  const whole = document(mode, body);
  const read = readAnnouncement(crypto, whole, IDENTITY);
  members(whole);
  if (mode === 2) oracle(read.kind === 'refuse', 'what a stranger signed is not taken');
  if (
    mode % 2 === 1 &&
    whole.length <= MAX_ANNOUNCEMENT_LENGTH &&
    isObject(body) &&
    body.startsWith('{') &&
    body.endsWith('}')
  ) {
    const good = read.kind === 'announcement' || read.reason === 'malformed';
    oracle(good, () => `the node signed it, and it is refused: ${JSON.stringify(read)}`);
  }
  if (read.kind === 'refuse') return;
  const again = readAnnouncement(crypto, writeAnnouncement(crypto, SEED, read.announcement), IDENTITY);
  const sorted = { ...read.announcement, kemKeys: new Map([...read.announcement.kemKeys].sort().reverse()) };
  const back = again.kind === 'announcement' && {
    ...again.announcement,
    kemKeys: new Map([...again.announcement.kemKeys].sort().reverse()),
  };
  sameValue(back, sorted, 'an announcement comes back');
  oracle(
    readAnnouncement(crypto, whole, crypto.ed25519PublicKey(STRANGER)).kind === 'refuse',
    'one node, one identity',
  );
}

/** One value as it stands, so that nothing of the body ends it and goes on. */
function isObject(body: string): boolean {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** The text of each member is JSON of its value, and every key is there. */
function members(given: string): void {
  const found = jsonMembers(given);
  let value: unknown;
  try {
    value = JSON.parse(given);
  } catch {
    oracle(found === undefined, 'what is no JSON has no members');
    return;
  }
  if (!isObject(given)) {
    oracle(found === undefined, 'what is no object has no members');
    return;
  }
  const written = jsonMembers(JSON.stringify(value));
  oracle(written?.size === Object.keys(value as object).length, 'an object without repetitions has all its members');
  if (found === undefined) return;
  // A Map, since "__proto__" is a key like any other.
  const expected = new Map(Object.entries(value as object));
  sameValue([...found.keys()].sort(), [...expected.keys()].sort(), 'the keys of an object');
  for (const [name, part] of found) sameValue(JSON.parse(part), expected.get(name), 'the value of a member');
}

function signature(input: Uint8Array): void {
  const given = utf8(input);
  const read = signatureFromBase58(given);
  if (read !== undefined) oracle(keyToBase58(read) === given && read.length === 64, 'one text for each signature');
  const whole = new Uint8Array(64);
  whole.set(input.subarray(0, 64));
  sameValue(signatureFromBase58(keyToBase58(whole)), whole, 'a signature comes back');
  const match = /^([0-9]+)\.([0-9]+)\.[0-9]+(?:[-+][^\n\r\u2028\u2029]*)?$/.exec(given);
  const deployed = match !== null && (Number(match[1]) > 1 || (Number(match[1]) === 1 && Number(match[2]) >= 27));
  oracle(!speaksDeployedProtocol(given) || deployed, 'a release is 1.27.0 or later');
}

const blocks = announcements.map((each) => {
  const whole = writeAnnouncement(crypto, SEED, each);
  return whole.slice('{"data":'.length, whole.lastIndexOf(',"signature"'));
});
const fresh = fc.tuple(fc.nat(MODES - 1), blocks).map(([mode, block]) => {
  return Uint8Array.from([mode, ...text(mode === 0 ? signed(SEED, block) : block)]);
});
const objects = fc
  .dictionary(fc.string(), fc.jsonValue())
  .map((value) => Uint8Array.from([0, ...text(JSON.stringify(value))]));
const signatures = fc.oneof(
  bytes(64).map((each) => text(keyToBase58(each))),
  fc.constantFrom('1.27.0', '1.26.9', '2.0.0-rc.1', '0.99.1+x').map(text),
);
const dictionary = words(
  ...[
    '"data":',
    '"content":',
    '"signature":',
    '"enabled":',
    '"control_port":',
    '"data_port":',
    '"x25519":',
    '"kem_keys":',
  ],
  ...['"mlkem768":', '"ml_kem768":', '"mceliece":', '"mc_eliece":', '"blake3":', '"sha256":', '"__proto__":', 'null'],
  ...['\\"', '\\\\', '\\u0022', '\\ud800', '{', '}', '[', ']', ',', ' ', '\t', '1e400', '-0', '65535', '65536', 'true'],
);

export const targets: readonly FuzzTarget[] = [
  {
    name: 'nym-announcement',
    run: announcement,
    fresh: fc.oneof({ arbitrary: fresh, weight: 3 }, { arbitrary: objects, weight: 1 }),
    seeds: () => [...samples(fresh, 24), ...samples(objects)],
    dictionary,
    maxLength: 3_000,
    batch: 128,
    weight: 2,
  },
  {
    name: 'nym-signature-text',
    run: signature,
    fresh: signatures,
    seeds: () => samples(signatures),
    dictionary: words('1.27.0', '1.', '.0', '-', '+', '1111', 'zzzz', '0OIl'),
    maxLength: 120,
  },
];
