/**
 * H1 and H3 whose content a hostile client chooses behind the AEAD (lp2.md §4.2): the payloads of the genuine Noise messages
 * are replaced before they are sealed, so ciphertext, identity and early frame are any bytes. The record drops or answers,
 * and the genuine handshake on the same gateway still goes through. Input: which message, then its payload.
 */
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { XkInitiator } from '../../../src/lp/v2/noise-xk.ts';
import { encodeFrame, KIND } from '../../../src/lp/wire/application-frame.ts';
import { echoes, establish, initiatorFor } from '../../../test/support/handshake.ts';
import { Prng } from '../../../test/support/prng.ts';
import { ShardHarness } from '../../../test/support/shard-harness.ts';
import { words } from '../arbitraries.ts';
import { type FuzzTarget, oracle } from '../target.ts';

const crypto = await loadProvider('native');
const KEMS = ['ml-kem-768', 'x-wing'] as const;
const KEM_SEEDS = { 'ml-kem-768': 64, 'x-wing': 32 } as const;
const IDENTITY_LENGTH = 32;

interface Forgery {
  readonly which: 'writeMessage1' | 'writeMessage3';
  readonly payload: (genuine: Uint8Array) => Uint8Array;
}

/** Runs `act` while Noise seals what the forgery says. */
function forging<T>({ which, payload }: Forgery, act: () => T): T {
  const genuine = XkInitiator.prototype[which];
  XkInitiator.prototype[which] = function (this: XkInitiator, given: Uint8Array) {
    return genuine.call(this, payload(given));
  };
  try {
    return act();
  } finally {
    XkInitiator.prototype[which] = genuine;
  }
}

function run(input: Uint8Array): void {
  const prng = new Prng(5);
  const random = prng.source();
  const kem = KEMS[(input[0] ?? 0) & 1] ?? 'x-wing';
  const mode = ((input[0] ?? 0) >> 1) % 3;
  const rest = input.subarray(1);
  const harness = new ShardHarness({ crypto, random, gatewaySeed: prng.bytes(32), unixMs: 1_764_583_200_000 });
  harness.createKemKey(kem, prng.bytes(KEM_SEEDS[kem]));
  const forgery: Forgery = [
    // A ciphertext with some of its bytes changed; of another length; an identity that is the client's own or not.
    { which: 'writeMessage1', payload: (ct: Uint8Array) => ct.map((byte, i) => byte ^ (rest[i] ?? 0)) } as const,
    { which: 'writeMessage1', payload: () => rest } as const,
    { which: 'writeMessage3', payload: (own: Uint8Array) => hostileH3(own, rest) } as const,
  ][mode] ?? { which: 'writeMessage3', payload: () => rest };
  forging(forgery, () => attempt(harness, { crypto, random, clientSeed: prng.bytes(32), kem }));
  const { family } = establish(harness, { crypto, random, clientSeed: prng.bytes(32), kem });
  oracle(echoes(harness, family), 'the genuine handshake goes through');
}

function hostileH3(own: Uint8Array, rest: Uint8Array): Uint8Array {
  const [choice = 0, ...payload] = rest;
  return choice % 2 === 0
    ? Uint8Array.from(payload)
    : Uint8Array.from([...own.subarray(0, IDENTITY_LENGTH), ...payload]);
}

/** As far as it comes. */
function attempt(harness: ShardHarness, options: Parameters<typeof initiatorFor>[1]): void {
  const initiator = initiatorFor(harness, options);
  let queue = packetsOf(initiator.start(harness.now));
  for (let round = 0; round < 6 && queue.length > 0; round++) {
    const replies = queue.flatMap((packet) => harness.replies(packet));
    queue = replies.flatMap((reply) => packetsOf(initiator.receive(reply, harness.now)));
  }
  harness.later(1_100);
  harness.tick();
}

function packetsOf(step: ReturnType<ReturnType<typeof initiatorFor>['receive']>): readonly Uint8Array[] {
  return step.kind === 'send' ? step.packets : [];
}

const early = (kind: number, body: readonly number[]) => [...encodeFrame(kind, 7, Uint8Array.from(body))];

export const targets: readonly FuzzTarget[] = [
  {
    name: 'v2-handshake',
    run,
    seeds: () => [
      ...[0, 1].flatMap((kem) => [Uint8Array.of(kem), Uint8Array.of(kem, 1), Uint8Array.of(2 + kem, 1, 2)]),
      ...Object.values(KIND).map((kind) => Uint8Array.from([4, 1, ...early(kind, [1, 2, 3])])),
      Uint8Array.from([4, 0, ...new Uint8Array(40)]),
      Uint8Array.from([5, 1, 1, 2]),
    ],
    dictionary: words(early(KIND.forward, [1]), early(KIND.registrationRequest, [0x81])),
    maxLength: 1_300,
    batch: 16,
    weight: 2,
  },
];
