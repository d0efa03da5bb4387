/** Where a credential ends (lp1.md §2.7), and what is none. */
import test from 'ava';
import fc from 'fast-check';
import { BincodeReader } from '../../../src/lp/v1/bincode.ts';
import { emptyCredential, isCredential, MAX_CREDENTIAL_LENGTH, readCredential } from '../../../src/lp/v1/credential.ts';
import { mockCredential } from '../../support/lp1-credential.ts';
import { runs, SEED } from '../../support/property.ts';

/** Offsets of the fixed part, counted by hand: 2 G2, 4 G1; then the vectors. */
const FIRST_VECTOR = 2 * (8 + 96) + 4 * (8 + 48);
/** From the end: pay_info, date, epoch. */
const TAIL = 8 + 72 + 6 + 8;

test('a credential ends where its structure says, and comes out as its own bytes', (t) => {
  const credential = mockCredential();
  const reader = new BincodeReader(Uint8Array.of(9, ...credential, 1, 2, 3));
  t.is(reader.u8(), 9);
  t.deepEqual(readCredential(reader), credential);
  t.is(reader.offset, 1 + credential.length);
  t.is(reader.fault, undefined);
});

test('a credential of one ticket has the length that the fields add up to', (t) => {
  const g1 = 56;
  const g2 = 104;
  const scalar = 40;
  const vectors = 8 + g2 + (8 + 2 * g1) + 3 * (8 + g1) + 6 * (8 + scalar);
  t.is(mockCredential().length, 2 * g2 + 4 * g1 + vectors + 8 + g1 + 1 + 4 * scalar + TAIL);
});

test('the credential that is worth nothing is one', (t) => {
  const empty = emptyCredential();
  t.true(isCredential(empty));
  t.is(empty.length, mockCredential({ vectorLength: 0 }).length);
  // Neutral elements: a point is the compressed infinity, a scalar is 0.
  t.is(empty[8], 0xc0);
  t.true(empty.subarray(9, 104).every((byte) => byte === 0));
});

test('vectors may be empty or long, as long as the whole fits', (t) => {
  t.true(isCredential(mockCredential({ vectorLength: 0 })));
  t.true(isCredential(mockCredential({ vectorLength: 2 })));
  const long = mockCredential({ vectorLength: 8 });
  t.true(long.length > MAX_CREDENTIAL_LENGTH);
  t.false(isCredential(long));
});

test('a credential is refused cut at any byte, and with a byte too many', (t) => {
  const credential = mockCredential();
  for (let end = 0; end < credential.length; end++) t.false(isCredential(credential.subarray(0, end)), String(end));
  t.false(isCredential(Uint8Array.of(...credential, 0)));
});

test('no length of an element can be another one', (t) => {
  const credential = mockCredential({ vectorLength: 0 });
  const first = [0, 104, 208, 264, 320, 376];
  for (const at of [...first, credential.length - TAIL]) {
    for (const by of [1, 0xff]) {
      const changed = Uint8Array.from(credential);
      changed[at] = (changed[at]! + by) & 0xff;
      t.false(isCredential(changed), `${at}`);
    }
    for (let high = 1; high < 8; high++) {
      const changed = Uint8Array.from(credential);
      changed[at + high] = 0x80;
      t.false(isCredential(changed), `${at} + ${high}`);
    }
  }
});

test('a count of elements costs nothing that the bytes do not pay for', (t) => {
  for (const count of [65, 255, 2 ** 16, 2 ** 32 - 1]) {
    const changed = mockCredential();
    new DataView(changed.buffer).setUint32(FIRST_VECTOR, count, true);
    t.false(isCredential(changed), String(count));
  }
});

test('ticket types and days are those of the specification', (t) => {
  for (const [ticketType, good] of [
    [0, true],
    [3, true],
    [4, false],
    [255, false],
  ] as const) {
    t.is(isCredential(mockCredential({ ticketType })), good, `type ${ticketType}`);
  }
  for (const [day, good] of [
    [0, false],
    [1, true],
    [366, true],
    [367, false],
  ] as const) {
    const changed = mockCredential();
    new DataView(changed.buffer).setUint16(changed.length - 10, day, true);
    t.is(isCredential(changed), good, `day ${day}`);
  }
});

test('no bytes make the walk throw', (t) => {
  const base = mockCredential();
  const changes = fc.array(fc.tuple(fc.nat(base.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(changes, (list) => {
      const bytes = Uint8Array.from(base);
      for (const [at, value] of list) bytes[at] = value;
      t.notThrows(() => isCredential(bytes));
    }),
    { seed: SEED, numRuns: runs(300, 20_000) },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      t.false(isCredential(bytes));
    }),
    { seed: SEED, numRuns: runs(200, 20_000) },
  );
});
