/** A connection to a node of the Nym network (nym.md §2): messages are framed by whoever makes them, and cut by their lengths. */
import { NymStreamCutter } from '../lp/nym/stream-cutter.ts';
import { concat } from '../lp/wire/bytes.ts';
import type { Place } from './plan.ts';
import { type StreamCodec, TcpWire } from './tcp-wire.ts';
import type { WireHandlers } from './wire.ts';
import type { NymWorld } from './world.ts';

class NymCodec implements StreamCodec {
  readonly #cutter: NymStreamCutter;

  constructor(packet: (bytes: Uint8Array) => void) {
    this.#cutter = new NymStreamCutter('node', (_, bytes) => packet(bytes));
  }

  /** Bytes came that are no whole message. */
  get midMessage(): boolean {
    return this.#cutter.midMessage;
  }

  push(chunk: Uint8Array): boolean {
    return this.#cutter.push(chunk);
  }

  encode(packets: readonly Uint8Array[]): Uint8Array {
    const [first, second] = packets;
    return first !== undefined && second === undefined ? first : concat(...packets);
  }
}

export type NymWire = TcpWire<NymCodec>;

export function dialNym(world: NymWorld, place: Place, handlers: WireHandlers): NymWire {
  const codec = (packet: (bytes: Uint8Array) => void) => new NymCodec(packet);
  return new TcpWire(world, place, { source: world.nextSource(), codec }, handlers);
}
