/**
 * What a run has to show of itself: that equal inputs do not differ in it, and that a leak does: a comparison that stops at
 * the first wrong byte, alone and inside a shard.
 */
import type { CryptoProvider } from '../../../src/lp/crypto/provider.ts';
import { sameBytes } from '../../../src/lp/wire/bytes.ts';
import { HEADER_LENGTH } from '../../../src/lp/wire/packet.ts';
import { groundV2 } from '../../../test/support/lp2-hostile.ts';
import { Inputs, inputsOf, type Pair, withBit } from '../pair.ts';
import { LIVE, sealedPackets, shardPair } from './shard-pair.ts';

const LENGTH = 32;
/** One comparison is shorter than the clock's step. */
const REPEAT = 64;

export function controlPairs(crypto: CryptoProvider): Pair[] {
  const ground = groundV2(crypto);
  const wrong = sealedPackets(ground).map((packet) => withBit(packet, -1));
  return [
    comparison('control-compare', 'control', -1, -1),
    shardPair({
      name: 'control-shard',
      kind: 'control',
      classes: ['packets with a wrong tag', 'the same packets'],
      learns: '',
      harness: ground.harness,
      flags: LIVE,
      packets: [wrong, wrong.map((packet) => packet.slice())],
    }),
    comparison('planted-compare', 'planted', 0, -1),
    plantedShard(crypto),
  ];
}

function comparison(name: string, kind: 'control' | 'planted', first: number, second: number): Pair {
  const secret = pattern();
  const guesses = (at: number) => inputsOf((n) => withBit(secret, at, 1 << (n % 8)));
  const inputs = new Inputs([guesses(first), guesses(second)]);
  const place = (at: number) => (at === 0 ? 'first byte wrong' : 'last byte wrong');
  return {
    name,
    kind,
    classes: [place(first), place(second)],
    learns: 'a comparison that stops early was not noticed',
    repeat: REPEAT,
    prepare: (of) => inputs.load(of),
    run: () => sameBytes(secret, inputs.scratch),
  };
}

function pattern(): Uint8Array {
  return Uint8Array.from({ length: LENGTH }, (_, i) => (i * 37) & 0xff);
}

/** The shard's provider compares every sealed part byte by byte with the good one before it opens it. */
function plantedShard(crypto: CryptoProvider): Pair {
  let good: Uint8Array | undefined;
  const ground = groundV2({
    ...crypto,
    aeadOpen(out, sealed, aad, nonce, key) {
      const same = good === undefined || sameBytes(sealed, good);
      return crypto.aeadOpen(out, sealed, aad, nonce, key) && same;
    },
  });
  const [packet = new Uint8Array(0)] = sealedPackets(ground, 1);
  good = packet.slice(HEADER_LENGTH);
  return shardPair({
    name: 'planted-shard',
    kind: 'planted',
    classes: ['first byte of the ciphertext wrong', 'last byte of the tag wrong'],
    learns: 'a shard that compares packets byte by byte was not noticed',
    harness: ground.harness,
    flags: LIVE,
    packets: [
      inputsOf((n) => withBit(packet, HEADER_LENGTH, 1 << (n % 8))),
      inputsOf((n) => withBit(packet, -1, 1 << (n % 8))),
    ],
  });
}
