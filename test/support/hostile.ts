/** Packets of an attacker: who knows nothing, who has copied everything, and who holds a session of his own. */
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import type { Transport } from '../../src/lp/v2/transport.ts';
import { writeLe16, writeLe32, writeLe64 } from '../../src/lp/wire/bytes.ts';
import { encodeUnsealed, TYPE } from '../../src/lp/wire/packet.ts';
import type { Prng } from './prng.ts';
import { memoryOf } from './shard-state.ts';

const TYPES = Object.values(TYPE);

export function transportOf(family: ClientFamily): Transport {
  return (family as unknown as { current: { transport: Transport } }).current.transport;
}

/** Sealed by the session's own keys, whatever version, type and content. */
export function sealAny(
  crypto: CryptoProvider,
  transport: Transport,
  version: number,
  type: number,
  content: Uint8Array,
): Uint8Array {
  const inside = transport as unknown as { sendCounter: number };
  const packet = encodeUnsealed(transport.index, inside.sendCounter++, type, content);
  packet[12] = version;
  const nonce = new Uint8Array(12);
  nonce.set(packet.subarray(4, 12), 4);
  const plaintext = packet.subarray(12, packet.length - 16);
  crypto.aeadSeal(packet.subarray(12), plaintext, packet.subarray(0, 12), nonce, memoryOf(transport).subarray(0, 32));
  return packet;
}

/** A packet as it should not be: noise, or one of `pool` changed in one of many ways. Now and then it is as it was. */
export function mutate(prng: Prng, pool: readonly Uint8Array[], indices: readonly number[]): Uint8Array {
  const packet = prng.pick(pool).slice();
  switch (prng.below(12)) {
    case 0:
      return noise(prng, indices);
    case 1:
    case 2:
      for (let i = prng.below(3); i >= 0; i--) {
        const at = prng.below(packet.length);
        packet[at] = packet[at]! ^ (1 << prng.below(8));
      }
      return packet;
    case 3:
      return packet.subarray(0, prng.below(packet.length));
    case 4:
      return Uint8Array.from([...packet, ...prng.bytes(1 + prng.below(40))]);
    case 5:
      writeLe32(packet, 0, prng.chance(0.7) ? prng.pick(indices) : prng.word());
      return packet;
    case 6:
      writeLe64(packet, 4, prng.chance(0.5) ? prng.below(4) : prng.below(2 ** 50));
      return packet;
    case 7:
      writeLe16(packet, 16, prng.chance(0.8) ? prng.pick(TYPES) : prng.below(0x1_0000));
      return packet;
    case 8:
      packet[12] = prng.below(5);
      return packet;
    case 9: {
      const from = prng.below(packet.length);
      packet.set(prng.bytes(Math.min(packet.length - from, 1 + prng.below(64))), from);
      return packet;
    }
    default:
      return packet;
  }
}

function noise(prng: Prng, indices: readonly number[]): Uint8Array {
  const packet = prng.bytes(prng.chance(0.1) ? prng.below(40) : 34 + prng.below(160));
  if (packet.length >= 12 && prng.chance(0.8)) {
    writeLe32(packet, 0, prng.pick(indices));
    if (prng.chance(0.7)) writeLe64(packet, 4, prng.below(4));
  }
  return packet;
}

/** What a client may seal that it should not: all of it opens, most of it is nothing a gateway takes. */
export function misuse(prng: Prng, crypto: CryptoProvider, family: ClientFamily): Uint8Array {
  const transport = transportOf(family);
  const version = prng.chance(0.15) ? prng.below(5) : 2;
  // No Close: the session is to be there to the end.
  let type = prng.chance(0.8) ? prng.pick(TYPES) : prng.below(0x1_0000);
  if (type === TYPE.close) type = TYPE.subsessionAbort;
  const lengths = [0, 4, 5, 12, 53, 56, 1_144, 1_237];
  const content = prng.bytes(prng.chance(0.8) ? prng.pick(lengths) : prng.below(200));
  if (content.length >= 5 && prng.chance(0.7)) {
    content[0] = prng.below(8);
    writeLe32(content, 1, prng.below(4));
  }
  return sealAny(crypto, transport, version, type, content);
}
