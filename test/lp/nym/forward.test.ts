import test from 'ava';
import fc from 'fast-check';
import { MAX_FRAME_CONTENT } from '../../../src/lp/nym/channel.ts';
import { NymExitPath } from '../../../src/lp/nym/exit-path.ts';
import { decodeNymForward, encodeNymForward, maxForwardedBytes } from '../../../src/lp/nym/forward.ts';
import { gateway } from './pair.ts';

const ip = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const port = fc.nat(65_535);
const target = fc.oneof(
  fc.record({ family: fc.constant(4 as const), ip: ip(4), port }),
  fc.record({ family: fc.constant(6 as const), ip: ip(16), port }),
);

test('a forward comes back as it was written; one byte less or more is refused', (t) => {
  const forward = fc.record({
    target,
    replyLength: fc.nat(MAX_FRAME_CONTENT),
    bytes: fc.uint8Array({ maxLength: 99 }),
  });
  fc.assert(
    fc.property(forward, fc.nat(), (value, cut) => {
      const content = encodeNymForward(value);
      t.deepEqual(decodeNymForward(content), value);
      t.is(decodeNymForward(content.subarray(0, cut % content.length)), undefined);
      t.is(decodeNymForward(Uint8Array.from([...content, 0])), undefined);
    }),
    { numRuns: 60 },
  );
});

test('a reply that no packet could bring back is not asked for', (t) => {
  const asked = { target: { family: 4, ip: new Uint8Array(4), port: 1 }, bytes: new Uint8Array(1) } as const;
  for (const replyLength of [MAX_FRAME_CONTENT + 1, 524_287, 2 ** 32 - 1])
    t.is(decodeNymForward(encodeNymForward({ ...asked, replyLength })), undefined);
});

test('an address has the bytes of its family', (t) => {
  const wrong = {
    target: { family: 6, ip: new Uint8Array(4), port: 1 },
    replyLength: 0,
    bytes: new Uint8Array(0),
  } as const;
  t.throws(() => encodeNymForward(wrong));
});

test('an exit path forwards as much as one packet carries, and no more', (t) => {
  for (const [family, length] of [
    [4, 65_461],
    [6, 65_449],
  ] as const) {
    t.is(maxForwardedBytes(family), length);
    const { client } = gateway();
    const path = new NymExitPath(client, { family, ip: new Uint8Array(family === 4 ? 4 : 16), port: 41_264 });
    t.is(path.forwardPacket(new Uint8Array(length)).kind, 'packet');
    t.deepEqual(path.forwardPacket(new Uint8Array(length + 1)), { kind: 'refuse', reason: 'too_long' });
  }
});
