/**
 * Two LP1 families in a storm: data and rekeyings of either side, loss, repetition, reordering, reflection, forgery, time.
 * Nothing throws; nothing is delivered twice, altered or to its own sender; no side seals twice under one (key, nonce);
 * memory stays bounded. When the storm is over, the Ready that got lost is all that has to come again (lp1.md §10-C 20–24).
 */
import test from 'ava';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { REKEY_TIMEOUT_MS } from '../../src/lp/v1/family.ts';
import { TYPE } from '../../src/lp/wire/packet.ts';
import { Lp1World, SIDE_NAMES, type Side, SPOILERS } from '../support/lp1-world.ts';
import type { Prng } from '../support/prng.ts';
import { forSeeds, must, runs } from '../support/property.ts';

const crypto = await loadProvider('native');
const STEPS = 200;
const SPOILER_LIST = Object.values(SPOILERS);
/** Who answers with a rekeying in the way of these gets nothing but a drop, or Abort's nothing. */
const FORGED_TYPES = ['busy', 'ack', 'handshake', 'subsessionRequest', 'subsessionKk1', 'subsessionKk2'] as const;

interface Weather {
  readonly loss: number;
  readonly repetition: number;
  readonly reordering: number;
  readonly forgery: number;
  readonly starts: number;
  /** How far the clock may step. */
  readonly stepMs: number;
}

function someWeather(prng: Prng): Weather {
  return {
    loss: prng.pick([0, 0.05, 0.3, 0.7]),
    repetition: prng.pick([0, 0.1, 0.4]),
    reordering: prng.pick([0, 0.2, 0.8]),
    forgery: prng.pick([0, 0.1, 0.3]),
    starts: prng.pick([0.01, 0.04, 0.15]),
    stepMs: prng.pick([100, 2_000, 15_000]),
  };
}

class Storm {
  readonly world: Lp1World;
  private readonly prng: Prng;
  private weather: Weather;
  /** How many packets of each side the network has taken up, and what it still carries. */
  private readonly taken = { client: 0, gateway: 0 };
  private readonly carried: { readonly from: Side; readonly packet: Uint8Array }[] = [];
  /** An index that is being asked for; the answer takes its time. */
  private readonly claims = new Map<Side, number>();

  constructor(prng: Prng) {
    this.prng = prng;
    this.world = new Lp1World(crypto, { prng, winner: prng.pick(SIDE_NAMES) });
    this.weather = someWeather(prng);
  }

  step(): void {
    const { prng, weather } = this;
    if (prng.chance(0.02)) this.weather = someWeather(prng);
    if (prng.chance(weather.starts)) this.pickSide().start();
    else if (prng.chance(weather.forgery)) this.forge();
    else if (prng.chance(0.05)) this.passTime();
    else if (prng.chance(0.4)) this.say();
    else this.deliver();
    this.takeUp();
    for (const side of this.world.sides) if (prng.chance(0.5)) this.grant(side);
  }

  /** What is under way is lost or arrives; then the sky is clear. */
  calm(): void {
    while (this.carried.length > 0) {
      if (this.prng.chance(0.5)) this.deliver();
      else this.carried.shift();
      this.takeUp();
    }
    for (const side of this.world.sides) this.grant(side);
    this.carried.length = 0;
  }

  private pickSide(): Side {
    return this.prng.pick(this.world.sides);
  }

  private say(): void {
    const side = this.pickSide();
    const demoted = [...side.family.all].filter((session) => session.place.kind === 'demoted');
    // The gateway answers late requests on the session that brought them.
    const late = demoted.length > 0 && this.prng.chance(0.1);
    side.say(late ? this.prng.pick(demoted) : side.family.current, this.prng.below(40));
  }

  private takeUp(): void {
    const { prng, weather } = this;
    for (const from of this.world.sides) {
      while (this.taken[from.name] < from.sent.length) {
        const packet = from.sent[this.taken[from.name]++]!;
        const copies = prng.chance(weather.loss) ? 0 : prng.chance(weather.repetition) ? 2 : 1;
        for (let i = 0; i < copies; i++) this.carried.push({ from, packet });
      }
    }
  }

  private deliver(): void {
    const { carried, prng } = this;
    if (carried.length === 0) return;
    const at = prng.chance(this.weather.reordering) ? prng.below(carried.length) : 0;
    const [{ from, packet } = { from: this.world.client, packet: new Uint8Array(0) }] = carried.splice(at, 1);
    this.receive(from.peer, packet);
  }

  private receive(side: Side, packet: Uint8Array): string {
    const event = side.receive(packet);
    if (event.kind === 'ready') this.claims.set(side, event.index);
    return event.kind;
  }

  private grant(side: Side): void {
    const index = this.claims.get(side);
    if (index === undefined) return;
    this.claims.delete(side);
    must(side.promote(index) !== undefined, 'an index that is granted is gone over to');
  }

  private forge(): void {
    const { prng } = this;
    const side = this.pickSide();
    const own = side.sent.length > 0 ? prng.pick(side.sent) : undefined;
    const peers = side.peer.sent.length > 0 ? prng.pick(side.peer.sent) : undefined;
    if (prng.chance(0.3) && own !== undefined) {
      must(this.receive(side, own) === 'drop', 'what comes back to its sender is dropped');
    } else if (prng.chance(0.5) && peers !== undefined) {
      const packet = prng.pick(SPOILER_LIST)(peers, prng);
      must(this.receive(side, packet) === 'drop', 'what was changed is dropped');
    } else if (prng.chance(0.3)) {
      // Whoever has the key and obeys no rule.
      const content = prng.bytes(prng.pick([0, 4, 56, 80]));
      if (content.length === 56) content.set([48, 0, 0, 0, 0, 0, 0, 0]);
      must(this.receive(side, side.peer.forge(TYPE[prng.pick(FORGED_TYPES)], content)) !== 'data', 'no data');
    } else if (peers !== undefined) this.receive(side, peers);
  }

  private passTime(): void {
    this.world.later(this.prng.below(this.weather.stepMs));
    for (const side of this.world.sides) side.tick();
  }
}

/** Nothing is under way any more. */
function mustRecover({ world }: Storm, prng: Prng): void {
  world.heal();
  must(world.exchange(), 'data goes both ways');
  // The next KK1 is read when the forged ones are paid for, and when there is room for its session.
  for (let i = 0; i < 8; i++) {
    world.later(REKEY_TIMEOUT_MS);
    for (const side of world.sides) side.tick();
  }
  must(world.exchange(), 'data goes both ways, later');
  world.rekey(prng.pick(world.sides));
  must(world.exchange(), 'data goes both ways after a rekeying');
}

test('no storm throws, wedges a family, repeats a nonce, or delivers what was not sent', (t) => {
  let promotions = 0;
  let heard = 0;
  let said = 0;
  forSeeds(runs(110, 1_500), (prng) => {
    const storm = new Storm(prng);
    for (let i = 0; i < STEPS; i++) storm.step();
    storm.calm();
    mustRecover(storm, prng);
    for (const side of storm.world.sides) {
      promotions += side.promotions;
      heard += side.heard.size;
      said += side.said.size;
    }
  });
  t.log(`${promotions} promotions, ${heard} of ${said} payloads arrived`);
  t.true(promotions > runs(300, 4_000), `${promotions}`);
  t.true(heard > said / 4, `${heard} of ${said}`);
});
