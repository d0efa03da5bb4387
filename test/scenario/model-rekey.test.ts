/**
 * Real cores through random traces of the Spin model lp2-rekey.pml: any packet ever sent may arrive at any moment, again;
 * timers fire at any moment; the client closes, the gateway loses the family; at a random point the network becomes good.
 * Asserted in every state is what models/README.md §1 lists (RekeyWorld), at the end that nothing is wedged.
 */
import test from 'ava';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { Prng } from '../support/prng.ts';
import { forSeeds, must, runs } from '../support/property.ts';
import { mustRecover, RekeyWorld } from '../support/rekey-world.ts';

const crypto = await loadProvider('native');
const MAX_EVENTS = 120;

function step(world: RekeyWorld): void {
  const { prng, toGateway, toClient, harness } = world;
  const event = prng.below(20);
  if (event < 6 && toGateway.length > 0) world.deliverToGateway(recent(prng, toGateway));
  else if (event < 12 && toClient.length > 0) world.deliverToClient(recent(prng, toClient));
  else if (event < 14) world.startRekey();
  else if (event === 14) world.sendRequest();
  else if (event === 15) advance(world, prng.pick([10_000, 61_000]));
  else if (event === 16) advance(world, prng.pick([1_000, 2_000, 4_000]));
  else if (event === 17) harness.tick();
  else world.clientTick();
}

/** Any packet ever sent, the later ones more often: else an attempt hardly ever gets an answer. */
function recent(prng: Prng, packets: readonly Uint8Array[]): Uint8Array {
  return prng.chance(0.6) ? packets[Math.max(0, packets.length - 1 - prng.below(4))]! : prng.pick(packets);
}

/** Time passes; which side notices first is chance. */
function advance(world: RekeyWorld, ms: number): void {
  world.harness.later(ms);
  if (world.prng.chance(0.5)) world.harness.tick();
  if (world.prng.chance(0.5)) world.clientTick();
}

test('sessions agree in every state of a trace, and once the network is good a rekey goes through', (t) => {
  let rekeys = 0;
  forSeeds(runs(200, 4_000), (prng) => {
    const world = new RekeyWorld(crypto, prng, { unusedSessionMs: 21_600_000 });
    for (let i = prng.below(MAX_EVENTS); i > 0; i--) step(world);
    mustRecover(world);
    rekeys += world.family.rekeys;
  });
  t.true(rekeys > runs(400, 8_000), `rekeys happen: ${rekeys}`);
});

test('a Close that arrives ends the family at the gateway, and ignored it does no harm', (t) => {
  forSeeds(runs(60, 2_000), (prng) => {
    const world = new RekeyWorld(crypto, prng);
    for (let i = prng.below(MAX_EVENTS / 2); i > 0; i--) step(world);
    const sealedOn = world.family.index;
    world.close();
    must(
      !world.family.open && world.family.sealFrame(Uint8Array.of(0, 1, 0, 0, 0)).kind === 'spent',
      'the client is gone',
    );
    const closing = world.toGateway.at(-1)!;
    for (let i = prng.below(10); i > 0; i--) world.deliverToGateway(prng.pick(world.toGateway));
    const before = world.gateway;
    world.deliverToGateway(closing);
    // It was sealed on the newest or the pending session: the gateway frees all of it.
    must(before === undefined || world.gateway === undefined, `the Close on ${sealedOn} frees the family`);
    must(
      world.toGateway.every((packet) => world.deliverToGateway(packet) === 0),
      'nothing is answered any more',
    );
    must(world.harness.stats.counters.families_ended === 1, 'the family ended once');
  });
  t.pass();
});

test('when the gateway has lost the family, requests stay unanswered and nothing else happens', (t) => {
  forSeeds(runs(40, 1_500), (prng) => {
    const world = new RekeyWorld(crypto, prng, { sessionIdleMs: 100_000, unusedSessionMs: 100_000 });
    for (let i = prng.below(MAX_EVENTS / 2); i > 0; i--) step(world);
    world.harness.later(100_001);
    if (prng.chance(0.5)) world.harness.tick();
    for (let trip = 0; trip < 2; trip++) must(!world.roundTrip(), 'a lost family answers nothing');
    must(world.gateway === undefined, 'the family is past its time');
    world.harness.tick();
    must(world.harness.stats.counters.families_ended === 1, 'the family ended once');
  });
  t.pass();
});
