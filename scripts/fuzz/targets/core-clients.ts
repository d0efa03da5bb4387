/**
 * Clients' handshakes of both versions against whoever answers besides the gateway: changed replies, repeated ones, forged
 * hints and refusals that nobody signed. As long as no time passes none of that ends the handshake, but for a Collision: with
 * the genuine replies it is established, and never by anything else. Input: a program of what comes.
 */
import type { ClientHandshake, ClientSession, HandshakeStep } from '../../../src/lp/client-session.ts';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import type { ClientFamily } from '../../../src/lp/v2/client-family.ts';
import { encodeBusyPacket, encodeErrorPacket, encodeKktNotOffered } from '../../../src/lp/wire/message.ts';
import { contentOf, encodeUnsealed, TYPE } from '../../../src/lp/wire/packet.ts';
import { echoes, initiatorFor } from '../../../test/support/handshake.ts';
import { mutate } from '../../../test/support/hostile.ts';
import { initiatorV1, lp1Gateway } from '../../../test/support/lp1-shard.ts';
import { Prng } from '../../../test/support/prng.ts';
import { ShardHarness } from '../../../test/support/shard-harness.ts';
import { Tape } from '../tape.ts';
import { type FuzzTarget, oracle } from '../target.ts';

const crypto = await loadProvider('native');
const MAX_STEPS = 60;
const MAX_ROUNDS = 40;

interface World {
  readonly harness: ShardHarness;
  readonly client: ClientHandshake;
  readonly version: 1 | 2;
}

class Play {
  readonly #world: World;
  readonly #tape: Tape;
  /** Genuine replies that have not come yet, and all that were ever sent. */
  readonly #due: Uint8Array[] = [];
  readonly #seen: Uint8Array[] = [];
  session: ClientSession | undefined;
  /** Somebody said that the index was taken: the client begins anew with another one, in another attempt. */
  collided = false;

  constructor(world: World, tape: Tape) {
    this.#world = world;
    this.#tape = tape;
    this.#follow(world.client.start(world.harness.now), true);
  }

  get open(): boolean {
    return this.session === undefined && !this.collided;
  }

  hostile(): void {
    const tape = this.#tape;
    if (tape.chance(0.2)) {
      this.genuine();
      return;
    }
    const packet = tape.chance(0.4) || this.#seen.length === 0 ? this.#forged() : mutate(tape, this.#seen, [0, 1]);
    const genuine = this.#seen.some((seen) => Buffer.compare(seen, packet) === 0);
    const step = this.#world.client.receive(packet.slice(), this.#world.harness.now);
    this.#follow(step, genuine);
  }

  genuine(): boolean {
    const packet = this.#due.shift();
    if (packet === undefined) return false;
    this.#follow(this.#world.client.receive(packet, this.#world.harness.now), true);
    return true;
  }

  #follow(step: HandshakeStep, genuine: boolean): void {
    if (step.kind === 'failed') {
      oracle(step.failure.reason === 'collision', () => `the handshake failed: ${JSON.stringify(step)}`);
      this.collided = true;
    }
    if (step.kind === 'established') {
      oracle(genuine, 'nothing but the gateway establishes a session');
      this.session = step.session;
    }
    if (step.kind !== 'send') return;
    for (const packet of step.packets) {
      for (const reply of this.#world.harness.replies(packet.slice())) {
        this.#due.push(reply.slice());
        this.#seen.push(reply.slice());
      }
    }
  }

  /** On the handshake's index, where replies come; anybody can write these. */
  #forged(): Uint8Array {
    const tape = this.#tape;
    const [any] = this.#seen;
    const index = any === undefined ? 1 : new DataView(any.buffer, any.byteOffset).getUint32(0, true);
    switch (tape.below(4)) {
      case 0:
        return encodeErrorPacket(index, {
          code: tape.below(6) as 1,
          gatewayUnixMs: tape.word(),
          minVersion: tape.below(4),
          maxVersion: tape.below(4),
        });
      case 1:
        return encodeBusyPacket(index, tape.below(0x1_0000));
      case 2: {
        const request = {
          kemId: tape.below(3),
          sessionId: (any === undefined ? new Uint8Array(99) : contentOf(any)).slice(0, 16),
        };
        return encodeUnsealed(index, 0, TYPE.kktResponse, encodeKktNotOffered(request));
      }
      default:
        return encodeUnsealed(
          index,
          tape.below(3),
          tape.pick(Object.values(TYPE)),
          tape.take(tape.below(40)),
          this.#world.version,
        );
    }
  }
}

function run(input: Uint8Array, makeWorld: () => World): void {
  const tape = new Tape(input);
  const world = makeWorld();
  const play = new Play(world, tape);
  for (let step = 0; step < MAX_STEPS && !tape.ended && play.open; step++) play.hostile();
  for (let round = 0; round < MAX_ROUNDS && play.open; round++) if (!play.genuine()) break;
  if (play.collided) return;
  oracle(play.session !== undefined, 'with the genuine replies the handshake is established');
  if (world.version === 2) oracle(echoes(world.harness, play.session as ClientFamily), 'and its session is good');
}

function lp2World(): World {
  const prng = new Prng(5);
  const random = prng.source();
  const gatewaySeed = prng.bytes(32);
  const harness = new ShardHarness({ crypto, random, gatewaySeed, unixMs: 1_764_583_200_000 });
  harness.createKemKey('ml-kem-768', prng.bytes(64));
  return { harness, client: initiatorFor(harness, { crypto, random }), version: 2 };
}

function lp1World(): World {
  const ground = lp1Gateway({}, new Prng(5));
  return { harness: ground.harness, client: initiatorV1(ground), version: 1 };
}

function seeds(): Uint8Array[] {
  const prng = new Prng(14);
  return [new Uint8Array(0), ...Array.from({ length: 8 }, (_, i) => prng.bytes(4 + 12 * i))];
}

export const targets: readonly FuzzTarget[] = [
  { name: 'core-lp2-client', run: (input) => run(input, lp2World), seeds, maxLength: 300, batch: 32, weight: 2 },
  { name: 'core-lp1-client', run: (input) => run(input, lp1World), seeds, maxLength: 300, batch: 32, weight: 2 },
];
