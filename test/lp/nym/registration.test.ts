import test from 'ava';
import fc from 'fast-check';
import {
  decodeClaim,
  encodeClaim,
  MAX_CLAIM_LENGTH,
  NYM_TICKET,
  worthlessZkNym,
} from '../../../src/lp/nym/bandwidth-claim.ts';
import {
  decodeNymRequest,
  decodeNymResponse,
  encodeNymRequest,
  encodeNymResponse,
  isTimely,
  MAX_REGISTRATION_BODY,
  type NymRegistrationResponse,
} from '../../../src/lp/nym/registration.ts';
import { ascii, concat } from '../../../src/lp/wire/bytes.ts';
import { loadVectors, bytes as vectorBytes } from '../../support/vectors.ts';

const FINALISE = vectorBytes(loadVectors('nym.json'), 'registration_bodies.requests.finalise_zknym');
const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const time = fc.bigInt(0n, 2n ** 64n - 1n);

test('Initial and mixnet requests come back as they were written, and a cut or longer body is none', (t) => {
  const request = fc.oneof(
    fc.record({ kind: fc.constant('initial' as const), wgPublicKey: key, presharedKey: key, time }),
    fc.record({ kind: fc.constant('mixnet' as const), clientId: key, time }),
  );
  fc.assert(
    fc.property(request, fc.nat(), (value, cut) => {
      const body = encodeNymRequest(value);
      t.deepEqual(decodeNymRequest(body), value);
      t.is(decodeNymRequest(body.subarray(0, cut % body.length)), undefined);
      t.is(decodeNymRequest(concat(body, Uint8Array.of(0))), undefined);
    }),
    { numRuns: 60 },
  );
});

test('a zk-nym is walked to its end: cut anywhere, the body is none', (t) => {
  const request = decodeNymRequest(FINALISE);
  t.is(request?.kind === 'finalise' && request.claim.ticket, NYM_TICKET.wireguardEntry);
  for (let length = 0; length < FINALISE.length; length++)
    t.is(decodeNymRequest(FINALISE.subarray(0, length)), undefined);
});

test('a length inside a zk-nym that is not its element is refused', (t) => {
  for (const [at, value] of [
    [3, 0x5f],
    [3, 0x61],
    [1, 0x02],
    [2, 0x02],
    [2, 0xfd],
  ] as const)
    t.is(decodeNymRequest(FINALISE.with(at, value)), undefined, `${at}: ${value}`);
});

test('the worthless zk-nym is one by its form, with every kind of ticket', (t) => {
  for (const ticket of Object.values(NYM_TICKET)) {
    const claim = encodeClaim('zk_nym', worthlessZkNym(), ticket)!;
    const body = encodeNymRequest({ kind: 'finalise', claim: { bytes: claim }, time: 1n });
    const request = decodeNymRequest(body);
    t.is(request?.kind === 'finalise' && request.claim.ticket, ticket);
    t.deepEqual(request?.kind === 'finalise' && request.claim.credential, worthlessZkNym());
  }
});

test('what is no credential makes no claim', (t) => {
  t.is(encodeClaim('zk_nym', new Uint8Array(10), 2), undefined);
  t.is(encodeClaim('zk_nym', concat(worthlessZkNym(), Uint8Array.of(0)), 2), undefined);
  t.is(encodeClaim('upgrade_mode', Uint8Array.of(0xff), 2), undefined);
  t.is(encodeClaim('upgrade_mode', new Uint8Array(4_000), 2), undefined);
  t.deepEqual(decodeClaim(encodeClaim('upgrade_mode', ascii('a.b.c'), 3)!)?.credential, ascii('a.b.c'));
});

test('vectors inside a zk-nym are bounded, and so is the whole', (t) => {
  const zkNym = worthlessZkNym();
  // kappa_k, of elements of 97 bytes, is the first vector.
  const at = 2 * 97 + 4 * 49;
  t.is(zkNym[at], 0);
  const element = concat(Uint8Array.of(96), new Uint8Array(96));
  const grown = (count: number) =>
    concat(
      zkNym.subarray(0, at),
      Uint8Array.of(count),
      ...Array.from({ length: count }, () => element),
      zkNym.subarray(at + 1),
    );
  t.not(encodeClaim('zk_nym', grown(20), 2), undefined);
  t.true(grown(40).length > MAX_CLAIM_LENGTH);
  t.is(encodeClaim('zk_nym', grown(40), 2), undefined);
  t.is(encodeClaim('zk_nym', zkNym.with(at, 0xfa), 2), undefined);
  t.is(decodeNymRequest(new Uint8Array(MAX_REGISTRATION_BODY + 1)), undefined);
});

test('answers come back as they were written, and a cut anywhere is refused', (t) => {
  const mode = fc.constantFrom('dvpn' as const, 'mixnet' as const);
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const tunnel = fc.record({
    wgPublicKey: key,
    port: fc.nat(65_535),
    ipv4: bytes(4),
    ipv6: bytes(16),
    upgradeMode: fc.boolean(),
  });
  const response: fc.Arbitrary<NymRegistrationResponse> = fc.oneof(
    fc.constant({ kind: 'credential_required' } as const),
    fc.record({ kind: fc.constant('completed' as const), tunnel }),
    fc.record({ kind: fc.constant('failed' as const), mode, text: fc.string({ maxLength: 100 }) }),
    fc.record({ kind: fc.constant('completed_mixnet' as const), key }),
  );
  fc.assert(
    fc.property(response, fc.nat(), (value, cut) => {
      const body = encodeNymResponse(value);
      t.deepEqual(decodeNymResponse(body), value);
      t.is(decodeNymResponse(body.subarray(0, cut % body.length)), undefined);
    }),
  );
});

test('a gateway key with leading zeros has its shorter text', (t) => {
  const wgPublicKey = new Uint8Array(32).fill(9, 5);
  const tunnel = { wgPublicKey, port: 1, ipv4: new Uint8Array(4), ipv6: new Uint8Array(16), upgradeMode: true };
  const body = encodeNymResponse({ kind: 'completed', tunnel });
  t.true((body[3] ?? 0) < 43);
  t.deepEqual(decodeNymResponse(body), { kind: 'completed', tunnel });
});

test('a port beyond 16 bits, or a text longer than a node writes, is refused', (t) => {
  const tunnel = {
    wgPublicKey: new Uint8Array(32),
    port: 65_535,
    ipv4: new Uint8Array(4),
    ipv6: new Uint8Array(16),
    upgradeMode: false,
  };
  const body = encodeNymResponse({ kind: 'completed', tunnel });
  const at = body.length - 21 - 3;
  const wide = concat(body.subarray(0, at), Uint8Array.of(0xfc, 0, 1, 0, 0), body.subarray(at + 3));
  t.is(decodeNymResponse(wide), undefined);
  t.is(decodeNymResponse(encodeNymResponse({ kind: 'failed', mode: 'dvpn', text: 'x'.repeat(1_025) })), undefined);
});

test('times are compared without arithmetic on what no clock shows', (t) => {
  const unixMs = 1_780_000_000_999;
  for (const [value, timely] of [
    [1_780_000_030n, true],
    [1_780_000_031n, false],
    [1_779_999_970n, true],
    [1_779_999_969n, false],
    [2n ** 53n, false],
    [2n ** 64n - 1n, false],
  ] as const)
    t.is(isTimely(value, unixMs), timely, String(value));
});

test('any bytes are a body or none', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 120 }),
      fc.constantFrom([], [0, 0], [0, 1, 0], [0, 1, 1], [1], [0, 0, 1]),
      (bytes, head) => {
        const body = concat(Uint8Array.from(head), bytes);
        t.notThrows(() => [decodeNymRequest(body), decodeNymResponse(body), decodeClaim(body)]);
      },
    ),
  );
});
