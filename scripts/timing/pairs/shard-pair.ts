/**
 * Pairs that go through a whole shard: batches of one packet, made beforehand; what is measured is the shard's handler. One
 * packet, since the shorter a measurement is, the more of them nothing disturbs.
 */
import { InboundWriter } from '../../../src/shard/messages.ts';
import { establish, opaque, sealedFrame } from '../../../test/support/handshake.ts';
import type { GroundV2 } from '../../../test/support/lp2-hostile.ts';
import type { ShardHarness } from '../../../test/support/shard-harness.ts';
import { INPUTS, inputsOf, type Pair } from '../pair.ts';

/** What admission has given: nothing for a live session's packet, everything for a handshake's. */
export const LIVE = 0;
export const ADMITTED = 7;

export function batchOf(harness: ShardHarness, packet: Uint8Array, flags: number): Uint8Array {
  const writer = new InboundWriter();
  writer.packet({ connection: 1, source: 1, flags, retryAfterSeconds: 1 }, packet);
  return writer.seal(harness.now).slice(0, writer.length);
}

/** A shard keeps the memory of the last batch for its next reply, so a batch that is sent again lies somewhere else. */
const PLACES = 4;

/** Copies of batches that are handed to a shard. */
export class BatchPlaces {
  private readonly places: readonly Uint8Array<ArrayBuffer>[];
  private next = 0;

  constructor(longest: number) {
    this.places = Array.from({ length: PLACES }, () => new Uint8Array(new ArrayBuffer(longest)));
  }

  copy(batch: Uint8Array): Uint8Array<ArrayBuffer> {
    const place = this.places[this.next % PLACES] ?? new Uint8Array(batch.length);
    this.next++;
    place.set(batch);
    return place;
  }
}

export interface ShardPairOptions extends Omit<Pair, 'prepare' | 'run'> {
  readonly harness: ShardHarness;
  readonly flags: number;
  readonly packets: readonly [readonly Uint8Array[], readonly Uint8Array[]];
}

/** No packet of the pair changes the shard's state. */
export function shardPair({ harness, flags, packets, ...pair }: ShardPairOptions): Pair {
  const batches = packets.map((of) => of.map((packet) => batchOf(harness, packet, flags)));
  const lengths = new Set(batches.flat().map(({ length }) => length));
  const [length = 0] = lengths;
  if (lengths.size !== 1) throw new Error('the packets of a pair have one length');
  const { shard } = harness;
  const places = new BatchPlaces(length);
  let batch = new Uint8Array(new ArrayBuffer(length));
  return {
    ...pair,
    prepare(of) {
      const ofClass = batches[of] ?? [];
      batch = places.copy(ofClass[Math.floor(Math.random() * ofClass.length)] ?? batch);
    },
    run: () => shard.handle(batch),
  };
}

const BODY = new Uint8Array(256).fill(7);

/** So many good packets of a session of its own, none of which was sent. */
export function sealedPackets({ crypto, harness, prng }: GroundV2, count = INPUTS): Uint8Array[] {
  const clientSeed = prng.bytes(32);
  const { family } = establish(harness, { crypto, random: prng.source(), clientSeed, kem: 'x-wing' });
  return inputsOf((n) => {
    const packet = sealedFrame(family, opaque(n, BODY));
    if (packet === undefined) throw new Error('a new session seals');
    return packet;
  }, count);
}
