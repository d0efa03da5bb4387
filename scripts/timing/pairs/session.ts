/** Packets of live sessions that do not open, and indices that name nothing (lp2.md §2, §4.5). */
import { KeyedHash } from '../../../src/gateway/keyed-hash.ts';
import { Router } from '../../../src/gateway/router.ts';
import { portableProvider } from '../../../src/lp/crypto/portable.ts';
import type { CryptoProvider } from '../../../src/lp/crypto/provider.ts';
import { writeLe32 } from '../../../src/lp/wire/bytes.ts';
import { receiverIndex } from '../../../src/lp/wire/packet.ts';
import { type GroundV2, groundV2 } from '../../../test/support/lp2-hostile.ts';
import { INPUTS, type Pair, withBit, withPart } from '../pair.ts';
import { BatchPlaces, batchOf, LIVE, sealedPackets, shardPair } from './shard-pair.ts';

const TAG_LENGTH = 16;

export function sessionPairs(crypto: CryptoProvider): Pair[] {
  const ground = groundV2(crypto);
  return [
    tagPosition('session-tag', 'secret', ground),
    ofAnotherKey(ground),
    window(ground),
    existence(ground),
    resting(crypto),
    routed(),
    tagPosition('portable-session-tag', 'portable', groundV2(portableProvider)),
  ];
}

function tagPosition(name: string, kind: 'secret' | 'portable', ground: GroundV2): Pair {
  const packets = sealedPackets(ground);
  return shardPair({
    name,
    kind,
    classes: ['first byte of the tag wrong', 'last byte of the tag wrong'],
    learns: 'how much of a guessed tag is right: tags can be forged byte by byte',
    harness: ground.harness,
    flags: LIVE,
    packets: [packets.map((packet) => withBit(packet, -TAG_LENGTH)), packets.map((packet) => withBit(packet, -1))],
  });
}

function ofAnotherKey(ground: GroundV2): Pair {
  const packets = sealedPackets(ground);
  const index = receiverIndex(packets[0] ?? new Uint8Array(4));
  const foreign = sealedPackets(ground);
  for (const packet of foreign) writeLe32(packet, 0, index);
  return shardPair({
    name: 'session-key',
    kind: 'secret',
    classes: ['sealed by the session’s key, one bit of the tag wrong', 'sealed by another session’s key'],
    learns: 'whether a packet was sealed by the key of this session, without having the key',
    harness: ground.harness,
    flags: LIVE,
    packets: [packets.map((packet) => withBit(packet, -5)), foreign],
  });
}

/** §2 has the replay check before the opening. */
function window(ground: GroundV2): Pair {
  const packets = sealedPackets(ground, 2 * INPUTS);
  const received = packets.slice(0, INPUTS);
  for (const packet of received) ground.harness.packet(packet.slice());
  return shardPair({
    name: 'session-counter',
    kind: 'public',
    classes: ['a counter that was received, tag wrong', 'a fresh counter, tag wrong'],
    learns:
      'which counters a session has received, for whoever knows its index: how much it has sent, and nothing of what; ' +
      'lp2.md §2 has the replay check before the opening',
    harness: ground.harness,
    flags: LIVE,
    packets: [
      received.map((packet) => withBit(packet, -1)),
      packets.slice(INPUTS).map((packet) => withBit(packet, -1)),
    ],
  });
}

const LEARNS_EXISTENCE =
  'whether an index names a session. Indices are 31 random bits that say nothing of who has them, and 10,000 sessions are ' +
  'found by one guess in 200,000; what is found is a number that opens nothing. lp2.md §4.5 has unknown ones skipped unread';

function existence(ground: GroundV2): Pair {
  const packets = sealedPackets(ground);
  const unknown = packets.map((packet) => withPart(packet, 0, otherIndex(packet)));
  return shardPair({
    name: 'index-shard',
    kind: 'public',
    classes: ['index of a session, tag wrong', 'index of none'],
    learns: LEARNS_EXISTENCE,
    harness: ground.harness,
    flags: LIVE,
    packets: [packets.map((packet) => withBit(packet, -1)), unknown],
  });
}

function otherIndex(packet: Uint8Array): Uint8Array {
  const index = packet.slice(0, 4);
  index[1] = (index[1] ?? 0) ^ 0x55;
  index[2] = (index[2] ?? 0) ^ Math.floor(Math.random() * 256);
  return index;
}

/** Past the record of its handshake, a shard may keep an idle session in another form. */
const REST_MS = 91_000;

function resting(crypto: CryptoProvider): Pair {
  const ground = groundV2(crypto);
  const { harness } = ground;
  const [first = new Uint8Array(0), ...others] = sealedPackets(ground);
  harness.packet(first);
  harness.later(REST_MS);
  harness.tick();
  const batches = others.map((packet) => batchOf(harness, withBit(packet, -1), LIVE));
  const places = new BatchPlaces(Math.max(...batches.map(({ length }) => length)));
  const draw = () => places.copy(batches[Math.floor(Math.random() * batches.length)] ?? new Uint8Array(0));
  let batch = draw();
  return {
    name: 'session-rest',
    kind: 'public',
    classes: ['a session that met a packet since the last sweep, tag wrong', 'one that rests, tag wrong'],
    learns: 'whether a session was idle for a while, for whoever knows its index: who sees its packets knows as much',
    prepare(of) {
      harness.tick();
      if (of === 0) harness.shard.handle(draw());
      batch = draw();
    },
    run: () => harness.shard.handle(batch),
  };
}

const ROUTED = 10_000;
const LOOKUPS = 32;

function routed(): Pair {
  const router = new Router(2, new KeyedHash(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)));
  const draw = () => (0x8000_0000 | Math.floor(Math.random() * 0x8000_0000)) >>> 0;
  const known = Array.from({ length: ROUTED }, draw);
  for (const index of known) router.add(router.shardOf(index), index, true);
  let asked = 0;
  return {
    name: 'index-router',
    kind: 'public',
    classes: ['index of a session', 'index of none'],
    learns: LEARNS_EXISTENCE,
    repeat: LOOKUPS,
    prepare: (of) => {
      asked = of === 0 ? (known[Math.floor(Math.random() * ROUTED)] ?? 0) : draw();
    },
    run: () => router.knows(asked),
  };
}
