/** LP1: its two layers, its PSQ part and its Handshake 3 (lp1.md §1.5, §5.3, §6.3). */
import { TYPE, VERSION_1 } from '../../../src/lp/wire/packet.ts';
import { HostileClient, sealV1 } from '../../../test/support/lp1-hostile.ts';
import {
  connectV1,
  crypto,
  dataPacket,
  familyOf,
  forwardPayload,
  type Ground,
  lp1Gateway,
  onlyReply,
} from '../../../test/support/lp1-shard.ts';
import { inputsOf, type Pair, withBit } from '../pair.ts';
import { ADMITTED, LIVE, shardPair } from './shard-pair.ts';

const TAG = 16;
const MAC_AT = 18 + 2 + 1 + 32;
const MAC_LENGTH = 32;
const PSQ_TAG_AT = MAC_AT + MAC_LENGTH;
const INNER_LENGTH = 256;

export function lp1Pairs(): Pair[] {
  const ground = lp1Gateway();
  return [outerTag(ground), ...innerTags(ground), psqMac(ground), psqTag(ground), h3Tag(ground)];
}

function outerTag(ground: Ground): Pair {
  const { session } = connectV1(ground);
  const packets = inputsOf(() => dataPacket(session, forwardPayload()));
  return shardPair({
    name: 'lp1-outer-tag',
    kind: 'secret',
    classes: ['first byte of the outer tag wrong', 'last byte wrong'],
    learns: 'how much of an outer tag is right',
    harness: ground.harness,
    flags: LIVE,
    packets: [packets.map((packet) => withBit(packet, -TAG)), packets.map((packet) => withBit(packet, -1))],
  });
}

function innerTags(ground: Ground): Pair[] {
  const { session } = connectV1(ground);
  const transport = familyOf(session).current.transport as unknown as { readonly outerKey: Uint8Array };
  const header = { index: session.index, counter: 3, version: VERSION_1, type: TYPE.encryptedData };
  // Good inner data of this very counter, taken out of its packet: the key stream twice is none.
  const good = dataPacket(session, ground.prng.bytes(INNER_LENGTH));
  const bare = sealV1(crypto, transport.outerKey, header, good.slice(18, -TAG)).slice(18, -TAG);
  const sealed = (inner: Uint8Array) => sealV1(crypto, transport.outerKey, header, inner);
  const first = inputsOf((n) => sealed(withBit(bare, -TAG, 1 << (n % 8))));
  const last = inputsOf((n) => sealed(withBit(bare, -1, 1 << (n % 8))));
  const common = { harness: ground.harness, flags: LIVE };
  return [
    shardPair({
      ...common,
      name: 'lp1-inner-tag',
      kind: 'secret',
      classes: ['outer tag right, first byte of the inner tag wrong', 'last byte wrong'],
      learns: 'how much of an inner tag is right',
      packets: [first, last],
    }),
    shardPair({
      ...common,
      name: 'lp1-outer-or-inner',
      kind: 'public',
      classes: ['outer tag wrong', 'outer tag right, inner tag wrong'],
      learns:
        'whether a packet opens under the outer key: somebody who sends a gateway’s own packet back to it knows that it does ' +
        '(lp1.md §10-B 7). It costs the gateway a try for each nonce that is possible, and nothing when it comes again',
      packets: [last.map((packet) => withBit(packet, -1)), last],
    }),
  ];
}

/** A client whose hello and key transfer were answered. */
function introduced(ground: Ground): HostileClient {
  const client = new HostileClient(ground);
  for (const packet of [client.hello(), client.kkt()]) onlyReply(ground.harness.packet(packet));
  return client;
}

function handshake(
  ground: Ground,
  texts: Pick<Pair, 'name' | 'kind' | 'classes' | 'learns'>,
  packets: readonly Uint8Array[],
  places: readonly [number, number],
): Pair {
  const [first, last] = places.map((at) => packets.map((packet) => withBit(packet, at)));
  if (first === undefined || last === undefined) throw new Error('two places');
  return shardPair({ ...texts, harness: ground.harness, flags: ADMITTED, packets: [first, last] });
}

function psqMac(ground: Ground): Pair {
  const texts = {
    name: 'lp1-psq-mac',
    kind: 'secret',
    classes: ['first byte of PSQ’s mac wrong', 'last byte wrong'],
    learns: 'how much of a guessed mac is right',
  } as const;
  const client = introduced(ground);
  return handshake(
    ground,
    texts,
    inputsOf(() => client.h1()),
    [MAC_AT, MAC_AT + MAC_LENGTH - 1],
  );
}

function psqTag(ground: Ground): Pair {
  const texts = {
    name: 'lp1-psq-tag',
    kind: 'secret',
    classes: ['first byte of PSQ’s tag wrong', 'last byte wrong'],
    learns: 'how much of a guessed tag is right',
  } as const;
  const client = introduced(ground);
  return handshake(
    ground,
    texts,
    inputsOf(() => client.h1()),
    [PSQ_TAG_AT, PSQ_TAG_AT + TAG - 1],
  );
}

function h3Tag(ground: Ground): Pair {
  const texts = {
    name: 'lp1-h3-tag',
    kind: 'secret',
    classes: ['first byte of Handshake 3’s tag wrong', 'last byte wrong'],
    learns: 'how much of a guessed tag is right',
  } as const;
  const packets = inputsOf(() => {
    const client = introduced(ground);
    if (!client.readH2(onlyReply(ground.harness.packet(client.h1())))) throw new Error('a good H2 reads');
    return client.h3().packet;
  });
  return handshake(ground, texts, packets, [-TAG, -1]);
}
