/**
 * Both sides of a subsession under loss, duplication, reordering, delay and clock steps, several rekeys with and without
 * ML-KEM: never a wedge, never two sessions with equal keys, never a (key, nonce) twice, and what one side seals on the
 * other opens (lp2.md §6).
 */
import test from 'ava';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { Prng } from '../support/prng.ts';
import { forSeeds, must, runs } from '../support/property.ts';
import { mustRecover, RekeyWorld } from '../support/rekey-world.ts';

const crypto = await loadProvider('native');
const GATEWAY_TICK_MS = 1_000;

interface Network {
  readonly loss: number;
  readonly duplication: number;
  readonly maxDelayMs: number;
}

interface Arrival {
  readonly atMs: number;
  readonly packet: Uint8Array;
  readonly at: 'gateway' | 'client';
}

function someNetwork(prng: Prng): Network {
  return {
    loss: prng.pick([0, 0.05, 0.3, 0.6]),
    duplication: prng.pick([0, 0.1, 0.5]),
    maxDelayMs: prng.pick([5, 200, 3_000, 20_000]),
  };
}

/** Packets on their way, in the order of their arrival. What is sent is taken from the world's own account of it. */
class Wire {
  private readonly world: RekeyWorld;
  private readonly network: Network;
  private up: number;
  private down: number;
  private arrivals: Arrival[] = [];

  constructor(world: RekeyWorld, network: Network) {
    this.world = world;
    this.network = network;
    this.up = world.toGateway.length;
    this.down = world.toClient.length;
  }

  /** Takes up what was sent since, each packet with its own fate. */
  take(): void {
    const { toGateway, toClient } = this.world;
    while (this.up < toGateway.length) this.send(toGateway[this.up++]!, 'gateway');
    while (this.down < toClient.length) this.send(toClient[this.down++]!, 'client');
  }

  /** Hands over what has arrived by now. */
  deliver(): void {
    for (;;) {
      const nowMs = this.world.now.monotonicMs;
      const due = this.arrivals.filter((arrival) => arrival.atMs <= nowMs).sort((a, b) => a.atMs - b.atMs);
      if (due.length === 0) return;
      this.arrivals = this.arrivals.filter((arrival) => arrival.atMs > nowMs);
      for (const { packet, at } of due) {
        if (at === 'gateway') this.world.deliverToGateway(packet);
        else this.world.deliverToClient(packet);
        this.take();
      }
    }
  }

  nextMs(): number {
    return this.arrivals.reduce((next, arrival) => Math.min(next, arrival.atMs), Number.POSITIVE_INFINITY);
  }

  private send(packet: Uint8Array, at: Arrival['at']): void {
    const { prng, now } = this.world;
    const { loss, duplication, maxDelayMs } = this.network;
    const copies = prng.chance(loss) ? 0 : prng.chance(duplication) ? 2 : 1;
    for (let i = 0; i < copies; i++)
      this.arrivals.push({ packet, at, atMs: now.monotonicMs + 1 + prng.below(maxDelayMs) });
  }
}

/** The client's own doings between two arrivals: requests, rekeys when it likes or is asked. */
function act(world: RekeyWorld): void {
  const { prng } = world;
  if (prng.chance(0.5)) world.sendRequest();
  if (world.rekeyAsked || prng.chance(0.15)) {
    world.rekeyAsked = false;
    world.startRekey();
  }
}

/** To the next thing that happens; now and then the clock steps over many of them. */
function advance(world: RekeyWorld, wire: Wire): void {
  const { prng, harness, family } = world;
  const { monotonicMs } = harness;
  const next = Math.min(wire.nextMs(), family.nextTickMs(), monotonicMs + 500);
  const skip = prng.chance(0.02) ? prng.pick([1_500, 12_000, 61_000, 130_000]) : 0;
  const before = Math.floor(monotonicMs / GATEWAY_TICK_MS);
  harness.later(Math.max(1, Math.ceil(next - monotonicMs)) + skip);
  if (Math.floor(harness.monotonicMs / GATEWAY_TICK_MS) !== before) harness.tick();
  world.clientTick();
}

test('no network wedges a family, repeats a nonce or makes two sessions with equal keys', (t) => {
  let rekeys = 0;
  forSeeds(runs(80, 3_000), (prng) => {
    const world = new RekeyWorld(crypto, prng, { rekeyAfterMs: 30_000, unusedSessionMs: 21_600_000 });
    // Weather changes: three networks, one after the other, what is under way on one is lost.
    for (let phase = 0; phase < 3; phase++) {
      const wire = new Wire(world, someNetwork(prng));
      for (let i = 0; i < 60; i++) {
        if (prng.chance(0.3)) act(world);
        wire.take();
        advance(world, wire);
        wire.take();
        wire.deliver();
      }
    }
    must(world.gateway !== undefined, 'the family is alive');
    mustRecover(world);
    rekeys += world.family.rekeys;
  });
  t.true(rekeys > runs(240, 9_000), `rekeys happen: ${rekeys}`);
});

test('over a good network every request is answered, through many rekeys of both kinds', (t) => {
  forSeeds(runs(10, 500), (prng) => {
    const world = new RekeyWorld(crypto, prng);
    for (let i = 0; i < 12; i++) {
      must(world.roundTrip() && world.roundTrip(), 'answered');
      const [up, down] = [world.toGateway.length, world.toClient.length];
      world.startRekey();
      must(world.roundTrip(), 'answered while KK1 is under way');
      world.flush(up, down);
      must(world.family.rekeys === i + 1 && world.agreed, `rekey ${i + 1} went through`);
      world.harness.later(10_000);
    }
    must(world.answered.size === world.lastRequestId, 'every request was answered');
  });
  t.pass();
});
