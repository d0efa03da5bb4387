/** Application frames and their bodies (lp2.md §5): what decodes encodes to the same bytes again. The first byte of an input chooses. */
import fc from 'fast-check';
import {
  type AddressFamily,
  decodeFailure,
  decodeForward,
  decodeForwardResponse,
  decodeFrame,
  encodeFailure,
  encodeForward,
  encodeForwardResponse,
  encodeFrame,
} from '../../../src/lp/wire/application-frame.ts';
import { bytes, packets, samples, u8, u16, u32, words } from '../arbitraries.ts';
import { type FuzzTarget, sameBytes, sameValue, untouched } from '../target.ts';

const BYTE_ORDER_MARK = '\ufeff';

const DECODERS: readonly ((body: Uint8Array) => void)[] = [
  (body) => {
    const frame = decodeFrame(body);
    if (frame !== undefined) sameBytes(encodeFrame(frame.kind, frame.requestId, frame.body), body, 'a frame');
  },
  (body) => {
    const forward = decodeForward(body);
    if (forward !== undefined) sameBytes(encodeForward(forward), body, 'a Forward');
  },
  (body) => {
    const response = decodeForwardResponse(body);
    if (response !== undefined) sameBytes(encodeForwardResponse(response), body, 'a ForwardResponse');
  },
  (body) => {
    const failure = decodeFailure(body);
    // A mark at the beginning is no character of the text.
    if (failure === undefined || failure.text.startsWith(BYTE_ORDER_MARK)) return;
    sameValue(decodeFailure(encodeFailure(failure)), failure, 'a Failure');
  },
];

function run(input: Uint8Array): void {
  untouched(input, () => DECODERS[(input[0] ?? 0) % DECODERS.length]?.(input.subarray(1)));
}

const target = fc.constantFrom<AddressFamily>(0, 4, 6).chain((family) =>
  fc.record({
    identity: bytes(32),
    family: fc.constant(family),
    ip: bytes(family === 0 ? 0 : family === 4 ? 4 : 16),
    port: family === 0 ? fc.constant(0) : u16,
  }),
);
const chosen = (kind: number, body: Uint8Array) => Uint8Array.from([kind, ...body]);
const fresh = fc.oneof(
  fc.tuple(u8, u32, bytes(0, 60)).map(([kind, id, body]) => chosen(0, encodeFrame(kind, id, body))),
  fc
    .tuple(target, u8, packets(1))
    .map(([to, replies, list]) => chosen(1, encodeForward({ target: to, replies, packets: list }))),
  fc.tuple(u8, packets(0)).map(([status, list]) => chosen(2, encodeForwardResponse({ status, packets: list }))),
  fc
    .tuple(u16, fc.string({ unit: 'grapheme', maxLength: 40 }))
    .map(([code, text]) => chosen(3, encodeFailure({ code, text }))),
);

export const targets: readonly FuzzTarget[] = [
  {
    name: 'wire-application-frame',
    run,
    fresh,
    seeds: () => samples(fresh, 20),
    dictionary: words([0, 34], [0], [4], [6], [0xc3, 0xa9], [0xef, 0xbb, 0xbf], [0xed, 0xa0, 0x80], [0xff, 0xff]),
  },
];
