import test from 'ava';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { isPublicAddress, mayDial } from '../../../src/lp/nym/address-policy.ts';
import {
  announcedDigest,
  digestsOf,
  MAX_ANNOUNCEMENT_LENGTH,
  type NymAnnouncement,
  readAnnouncement,
  writeAnnouncement,
} from '../../../src/lp/nym/announcement.ts';
import { jsonMembers } from '../../../src/lp/nym/json-members.ts';
import { speaksDeployedProtocol } from '../../../src/lp/nym/node-release.ts';
import { keyToBase58 } from '../../../src/lp/wire/key-text.ts';
import { makeNode, native, randomBytes } from './pair.ts';

const SEED = new Uint8Array(32).fill(3);
const { base } = native;
const IDENTITY = base.ed25519PublicKey(SEED);
const NODE = makeNode();
const ANNOUNCEMENT: NymAnnouncement = {
  enabled: true,
  controlPort: 41_264,
  dataPort: 51_264,
  x25519: NODE.publicKey,
  kemKeys: new Map([['mlkem768', digestsOf(native, NODE.kem.publicKey.bytes)]]),
};
const DOCUMENT = writeAnnouncement(base, SEED, ANNOUNCEMENT);

function signed(block: string): string {
  return `{"data":${block},"signature":"${keyToBase58(base.ed25519Sign(SEED, new TextEncoder().encode(block)))}"}`;
}

const blockOf = (document: string) => jsonMembers(document)!.get('data')!;
const outcomeOf = (document: string, identity = IDENTITY) => {
  const read = readAnnouncement(base, document, identity);
  return read.kind === 'refuse' ? read.reason : read.kind;
};

test('an announcement that this node writes is read again', (t) => {
  const read = readAnnouncement(base, DOCUMENT, IDENTITY);
  t.deepEqual(read, { kind: 'announcement', announcement: ANNOUNCEMENT });
  t.is(announcedDigest(ANNOUNCEMENT)!.hash, 'blake3');
});

test('another signer, a changed value or a signature that is none is refused', (t) => {
  t.is(outcomeOf(DOCUMENT, base.ed25519PublicKey(randomBytes(32))), 'signature');
  t.is(outcomeOf(DOCUMENT.replace('41264', '41265')), 'signature');
  t.is(outcomeOf(DOCUMENT.replace('true', 'false')), 'signature');
  for (const text of ['', '1', '1'.repeat(64), 'z'.repeat(88), '0'.repeat(88), 'é'.repeat(80)])
    t.is(outcomeOf(`{"data":${blockOf(DOCUMENT)},"signature":"${text}"}`), 'signature', text);
});

test('a document that was laid out anew still verifies, in both spellings', (t) => {
  t.is(outcomeOf(JSON.stringify(JSON.parse(DOCUMENT), null, 3)), 'announcement');
  const old = signed(blockOf(DOCUMENT).replace('mlkem768', 'ml_kem768'));
  t.is(outcomeOf(old), 'announcement');
  t.is(outcomeOf(JSON.stringify(JSON.parse(old), null, 1)), 'announcement');
});

test('unknown KEMs and fields are passed over; a node without ML-KEM-768 has no digest', (t) => {
  const more = signed(blockOf(DOCUMENT).replace('"kem_keys":{', '"lp":7,"kem_keys":{"hqc":{"blake3":"?"},'));
  t.is(outcomeOf(more), 'announcement');
  const none = readAnnouncement(base, signed(blockOf(DOCUMENT).replace('mlkem768', 'frodo')), IDENTITY);
  t.is(none.kind === 'announcement' && announcedDigest(none.announcement), undefined);
});

test('a signed block that is malformed is refused', (t) => {
  const block = blockOf(DOCUMENT);
  const digest = /"blake3":"[0-9a-f]{64}"/;
  for (const [name, changed] of [
    ['port 0', block.replace('41264', '0')],
    ['port 65536', block.replace('41264', '65536')],
    ['port text', block.replace('41264', '"41264"')],
    ['port fraction', block.replace('41264', '1.5')],
    ['enabled text', block.replace('true', '"true"')],
    ['short key', block.replace(/"x25519":"[^"]+"/, '"x25519":"abc"')],
    ['digest short', block.replace(digest, '"blake3":"00"')],
    ['digest upper case', block.replace(digest, `"blake3":"${'A'.repeat(64)}"`)],
    ['digest missing', block.replace(digest, '"other":1')],
    ['digests no object', block.replace(/"mlkem768":\{[^}]*\}/, '"mlkem768":null')],
    ['both spellings', block.replace(/"mlkem768":(\{[^}]*\})/, '"mlkem768":$1,"ml_kem768":$1')],
    ['no object', '7'],
    ['array', '[]'],
  ] as const)
    t.is(outcomeOf(signed(changed)), 'malformed', name);
});

test('what is no JSON object, lacks a part, has one twice or is too long is refused', (t) => {
  for (const [document, reason] of [
    ['', 'not_json'],
    ['{', 'not_json'],
    ['[1]', 'not_json'],
    ['"data"', 'not_json'],
    ['{}', 'malformed'],
    ['{"data":{}}', 'malformed'],
    ['{"data":{},"signature":5}', 'malformed'],
    [DOCUMENT.replace('{"data"', '{"signature":"1","data"'), 'not_json'],
    [`{"data":{},${DOCUMENT.slice(1)}`, 'not_json'],
    [DOCUMENT + ' '.repeat(MAX_ANNOUNCEMENT_LENGTH), 'too_long'],
  ] as const)
    t.is(outcomeOf(document), reason, document.slice(0, 40));
});

test('the members of any JSON object have the text that they are written with', (t) => {
  const value = fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 3 }), {
    maxKeys: 5,
    noNullPrototype: true,
  });
  fc.assert(
    fc.property(value, fc.constantFrom(undefined, 1, '\t'), (object, space) => {
      const members = jsonMembers(JSON.stringify(object, null, space))!;
      t.deepEqual([...members.keys()].sort(), Object.keys(object).sort());
      for (const [key, text] of members) {
        t.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(object[key])));
        t.is(text, text.trim());
      }
    }),
  );
});

test('any text is an announcement or refused', (t) => {
  fc.assert(fc.property(fc.string(), (text) => t.not(outcomeOf(text), 'announcement')));
  fc.assert(
    fc.property(fc.nat(DOCUMENT.length - 1), fc.string({ maxLength: 3 }), (at, text) => {
      const changed = DOCUMENT.slice(0, at) + text + DOCUMENT.slice(at + 1);
      const read = readAnnouncement(base, changed, IDENTITY);
      if (read.kind === 'announcement') t.deepEqual(read.announcement, ANNOUNCEMENT);
      else t.truthy(read.reason);
    }),
  );
});

test('releases from 1.27.0 on speak the deployed protocol', (t) => {
  for (const text of ['1.27.0', '1.27.1', '1.31.0', '2.0.0', '1.28.0-rc.1', '1.27.0+build'])
    t.true(speaksDeployedProtocol(text), text);
  for (const text of ['1.26.9', '0.99.0', '1.27', '', 'v1.27.0', '1.27.0 ', `1.27.0-${'a'.repeat(80)}`, '1.1e9.0'])
    t.false(speaksDeployedProtocol(text), text);
});

test('addresses of nobody or of private networks are not dialled, unless the policy opens them', (t) => {
  const bytes = (text: string) => Uint8Array.from(ipaddr.parse(text).toByteArray());
  for (const text of [
    ...[
      '0.0.0.0',
      '10.1.2.3',
      '100.64.0.1',
      '100.127.255.255',
      '127.0.0.1',
      '169.254.1.1',
      '172.16.0.1',
      '172.31.255.255',
    ],
    ...['192.0.2.7', '192.168.1.1', '198.18.0.1', '198.19.255.255', '203.0.113.9', '224.0.0.1', '255.255.255.255'],
    ...['::', '::1', 'fe80::1', 'fc00::1', 'fd12::1', 'ff02::1', '2001:db8::1', '2002:a00:1::', '2001::1', '3fff::1'],
    ...['::ffff:10.0.0.1', '::ffff:127.0.0.1', '64:ff9b::a00:1', '4000::1'],
  ]) {
    t.false(isPublicAddress(bytes(text)), text);
    t.false(mayDial(bytes(text), { allowPrivate: false }), text);
    t.true(mayDial(bytes(text), { allowPrivate: true }), text);
  }
  for (const text of [
    '1.1.1.1',
    '100.63.255.255',
    '100.128.0.1',
    '172.15.0.1',
    '172.32.0.1',
    '198.20.0.1',
    '223.255.255.255',
  ])
    t.true(mayDial(bytes(text), { allowPrivate: false }), text);
  for (const text of ['2a01:4f8::1', '2001:200::1', '::ffff:1.1.1.1']) t.true(isPublicAddress(bytes(text)), text);
  t.false(mayDial(new Uint8Array(5), { allowPrivate: true }));
});
