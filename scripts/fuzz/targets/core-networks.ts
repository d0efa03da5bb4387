/**
 * Two cores and a hostile network between them, which the input plays: it loses, repeats, reorders, changes and delays, lets
 * time step, and has both sides talk and rekey. No exception, no (key, nonce) twice, nothing delivered that was not said;
 * when the network is good again, data flows, both sides agree, and the next rekeying goes through.
 */
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { REKEY_TIMEOUT_MS } from '../../../src/lp/v1/family.ts';
import { TYPE } from '../../../src/lp/wire/packet.ts';
import { Lp1World, SIDE_NAMES, type Side } from '../../../test/support/lp1-world.ts';
import { Prng } from '../../../test/support/prng.ts';
import { mustRecover, RekeyWorld } from '../../../test/support/rekey-world.ts';
import { Tape } from '../tape.ts';
import { type FuzzTarget, oracle } from '../target.ts';

const crypto = await loadProvider('native');
const MAX_STEPS = 150;
/** In all less than sessions live without a packet. */
const LIFETIMES = { rekeyAfterMs: 30_000, unusedSessionMs: 21_600_000 };

/** A byte that is not what it was: nobody can take the packet. */
function changed(packet: Uint8Array, tape: Tape): Uint8Array {
  const copy = packet.slice();
  const at = tape.below(copy.length);
  copy[at] = (copy[at] ?? 0) ^ (1 + tape.below(255));
  return tape.chance(0.2) ? copy.subarray(0, tape.below(copy.length)) : copy;
}

class Lp2Network {
  readonly world: RekeyWorld;
  readonly #tape: Tape;
  #up: number;
  #down: number;

  constructor(tape: Tape) {
    this.#tape = tape;
    this.world = new RekeyWorld(crypto, tape, LIFETIMES);
    this.#up = this.world.toGateway.length;
    this.#down = this.world.toClient.length;
  }

  step(): void {
    const { world } = this;
    const tape = this.#tape;
    switch (tape.below(10)) {
      case 0:
        world.sendRequest();
        break;
      case 1:
        world.startRekey();
        break;
      case 2:
        this.#passTime(tape.pick([10, 400, 1_500, 5_000, 12_000, 61_000, 130_000]));
        break;
      case 3:
        this.#lose();
        break;
      case 4:
        this.#again();
        break;
      case 5:
        this.#forge();
        break;
      case 6:
      case 7: {
        const packet = world.toClient[this.#down];
        if (packet !== undefined) this.#down++;
        if (packet !== undefined) world.deliverToClient(packet);
        break;
      }
      default: {
        const packet = world.toGateway[this.#up];
        if (packet !== undefined) this.#up++;
        if (packet !== undefined) world.deliverToGateway(packet);
      }
    }
  }

  #passTime(ms: number): void {
    const { world } = this;
    world.harness.later(ms);
    world.harness.tick();
    world.clientTick();
  }

  #lose(): void {
    if (this.#tape.chance(0.5)) this.#up = Math.min(this.#up + 1, this.world.toGateway.length);
    else this.#down = Math.min(this.#down + 1, this.world.toClient.length);
  }

  /** Whatever was ever sent, in either direction: also before it was delivered. */
  #again(): void {
    const { toGateway, toClient } = this.world;
    if (this.#tape.chance(0.5) && toGateway.length > 0) this.world.deliverToGateway(this.#tape.pick(toGateway));
    else if (toClient.length > 0) this.world.deliverToClient(this.#tape.pick(toClient));
  }

  #forge(): void {
    const { toGateway, toClient } = this.world;
    const tape = this.#tape;
    const reflects = tape.chance(0.2);
    if (tape.chance(0.5)) {
      const from = reflects ? toClient : toGateway;
      if (from.length === 0) return;
      const packet = reflects ? tape.pick(from) : changed(tape.pick(from), tape);
      if (packet.length >= 34) oracle(this.world.deliverToGateway(packet) === 0, 'a forged packet has no reply');
    } else {
      const from = reflects ? toGateway : toClient;
      if (from.length === 0) return;
      const packet = reflects ? tape.pick(from) : changed(tape.pick(from), tape);
      oracle(this.world.deliverToClient(packet).kind === 'drop', 'a forged packet is dropped');
    }
  }
}

function lp2(input: Uint8Array): void {
  const tape = new Tape(input);
  const network = new Lp2Network(tape);
  for (let step = 0; step < MAX_STEPS && !tape.ended; step++) network.step();
  oracle(network.world.gateway !== undefined, 'the family is alive');
  mustRecover(network.world);
}

/** Whoever answers these with a rekeying under way gets a drop, or nothing. */
const FORGED_TYPES = ['busy', 'ack', 'handshake', 'subsessionRequest', 'subsessionKk1', 'subsessionKk2'] as const;

class Lp1Network {
  readonly world: Lp1World;
  readonly #tape: Tape;
  readonly #taken = { client: 0, gateway: 0 };
  readonly #carried: { readonly from: Side; readonly packet: Uint8Array }[] = [];
  readonly #claims = new Map<Side, number>();

  constructor(tape: Tape) {
    this.#tape = tape;
    this.world = new Lp1World(crypto, { prng: tape, winner: tape.pick(SIDE_NAMES) });
  }

  step(): void {
    const tape = this.#tape;
    const side = tape.pick(this.world.sides);
    switch (tape.below(10)) {
      case 0:
        side.start();
        break;
      case 1:
        this.#forge(side);
        break;
      case 2:
        this.world.later(tape.pick([10, 100, 2_000, 12_000, 61_000]));
        for (const each of this.world.sides) each.tick();
        break;
      case 3:
      case 4:
        side.say();
        break;
      case 5:
        if (this.#carried.length > 0) this.#carried.splice(tape.below(this.#carried.length), 1);
        break;
      case 6:
        this.#grant(side);
        break;
      default:
        this.#deliver(tape.chance(0.3));
    }
    this.#takeUp();
  }

  /** What is under way arrives, in order; what is asked for is granted. */
  calm(): void {
    while (this.#carried.length > 0) {
      this.#deliver(false);
      this.#takeUp();
    }
    for (const side of this.world.sides) this.#grant(side);
    this.#carried.length = 0;
  }

  #takeUp(): void {
    for (const from of this.world.sides) {
      for (const packet of from.sent.slice(this.#taken[from.name])) {
        this.#carried.push({ from, packet });
        if (this.#tape.chance(0.1)) this.#carried.push({ from, packet });
      }
      this.#taken[from.name] = from.sent.length;
    }
  }

  #deliver(reorders: boolean): void {
    const carried = this.#carried;
    const [next] = carried.splice(reorders && carried.length > 0 ? this.#tape.below(carried.length) : 0, 1);
    if (next !== undefined) this.#receive(next.from.peer, next.packet);
  }

  #receive(side: Side, packet: Uint8Array): string {
    const event = side.receive(packet);
    if (event.kind === 'ready') this.#claims.set(side, event.index);
    return event.kind;
  }

  #grant(side: Side): void {
    const index = this.#claims.get(side);
    if (index === undefined) return;
    this.#claims.delete(side);
    oracle(side.promote(index) !== undefined, 'an index that is granted is gone over to');
  }

  #forge(side: Side): void {
    const tape = this.#tape;
    const way = tape.below(4);
    if (way === 0 && side.sent.length > 0) {
      oracle(this.#receive(side, tape.pick(side.sent)) === 'drop', 'what comes back to its sender is dropped');
    } else if (way === 1 && side.peer.sent.length > 0) {
      const packet = changed(tape.pick(side.peer.sent), tape);
      oracle(this.#receive(side, packet) === 'drop', 'what was changed is dropped');
    } else if (way === 2) {
      const content = new Uint8Array(tape.pick([0, 4, 56, 80]));
      content.set(tape.take(Math.min(content.length, 12)));
      const packet = side.peer.forge(TYPE[tape.pick(FORGED_TYPES)], content);
      oracle(this.#receive(side, packet) !== 'data', 'control is no data');
    } else if (side.peer.sent.length > 0) this.#receive(side, tape.pick(side.peer.sent));
  }
}

function lp1(input: Uint8Array): void {
  const tape = new Tape(input);
  const network = new Lp1Network(tape);
  for (let step = 0; step < MAX_STEPS && !tape.ended; step++) network.step();
  network.calm();
  const { world } = network;
  world.heal();
  oracle(world.exchange(), 'data goes both ways');
  // The next KK1 is read when the forged ones are paid for, and when there is room for its session.
  for (let i = 0; i < 8; i++) {
    world.later(REKEY_TIMEOUT_MS);
    for (const side of world.sides) side.tick();
  }
  world.rekey(tape.pick(world.sides));
  oracle(world.exchange(), 'data goes both ways after a rekeying');
}

function seeds(): Uint8Array[] {
  const prng = new Prng(13);
  return Array.from({ length: 8 }, (_, i) => prng.bytes(16 + 24 * i));
}

export const targets: readonly FuzzTarget[] = [
  { name: 'core-lp2-network', run: lp2, seeds, maxLength: 500, batch: 16, weight: 5 },
  { name: 'core-lp1-network', run: lp1, seeds, maxLength: 500, batch: 16, weight: 4 },
];
