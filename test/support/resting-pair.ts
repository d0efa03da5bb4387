/**
 * Two shards that get the same batches at the same times, one of which never lays a session to rest: all that they do must
 * be equal. Clients talk, rekey, register, repeat old packets and are quiet for seconds, minutes or hours.
 */
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import { encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { ANSWER } from '../../src/shard/messages.ts';
import { initiatorFor, opaque, sealedFrame, startedRekey } from './handshake.ts';
import { Prng } from './prng.ts';
import { must } from './property.ts';
import { crypto, requestKeys } from './scenario.ts';
import { type Effect, ShardHarness } from './shard-harness.ts';

const HOUR = 3_600_000;
const CLIENTS = 3;

function makeHarness(seed: number): ShardHarness {
  const prng = new Prng(seed);
  const gatewaySeed = prng.bytes(32);
  const harness = new ShardHarness({ crypto, random: prng.source(), gatewaySeed, unixMs: 1_764_583_200_000 });
  harness.createKemKey('ml-kem-768', prng.bytes(64));
  return harness;
}

function keepAwake(harness: ShardHarness): void {
  const inside = harness.shard as unknown as { sessions: { layToRest: () => boolean } };
  inside.sessions.layToRest = () => false;
}

/** The order in which a sweep comes to sessions is its own. */
const sorted = (effects: readonly Effect[]) =>
  effects
    .map((e) => JSON.stringify(e, (_, v) => (v instanceof Uint8Array ? Buffer.from(v).toString('hex') : v)))
    .sort();

export class RestingPair {
  /** The most sessions that were at rest at once. */
  rested = 0;
  private readonly prng: Prng;
  private readonly resting: ShardHarness;
  private readonly awake: ShardHarness;
  private readonly clients: ClientFamily[] = [];
  private readonly sent: Uint8Array[] = [];
  private readonly waiting: number[] = [];

  constructor(prng: Prng) {
    this.prng = prng;
    this.resting = makeHarness(prng.seed);
    this.awake = makeHarness(prng.seed);
    keepAwake(this.awake);
    for (let i = 0; i < CLIENTS; i++) this.connect(i);
  }

  step(): void {
    const { prng } = this;
    const at = prng.below(CLIENTS);
    const client = this.clients[at]!;
    switch (prng.below(10)) {
      case 0:
      case 1:
        this.later(prng.below(20_000));
        break;
      case 2:
        this.later(prng.chance(0.2) ? prng.below(5 * HOUR) : prng.below(200_000));
        break;
      case 3:
        this.send(client, startedRekey(client, prng.chance(0.5), this.resting.now));
        break;
      case 4:
        this.send(client, sealedFrame(client, encodeFrame(KIND.registrationRequest, prng.below(9), prng.bytes(3))));
        break;
      case 5:
        this.answer();
        break;
      case 6:
        if (this.sent.length > 0) this.send(client, prng.pick(this.sent).slice());
        break;
      case 7:
        if (prng.chance(0.1)) this.send(client, client.close());
        if (!client.open) this.connect(at);
        break;
      default:
        this.send(client, sealedFrame(client, opaque(prng.below(100), prng.bytes(prng.below(20)))));
    }
  }

  private connect(at: number): void {
    const initiator = initiatorFor(this.resting, { crypto, random: this.prng.source() });
    let step = initiator.start(this.resting.now);
    for (let round = 0; round < 4 && step.kind === 'send'; round++) {
      const replies = step.packets.flatMap((packet) => this.packet(packet));
      for (const reply of replies) step = initiator.receive(reply, this.resting.now);
    }
    must(step.kind === 'established', () => `the handshake ended with ${step.kind}`);
    if (step.kind === 'established') this.clients[at] = step.session;
  }

  private later(ms: number): void {
    for (const harness of [this.resting, this.awake]) harness.later(ms);
    for (const client of this.clients) for (const packet of client.tick(this.resting.now)) this.send(client, packet);
    // Twice: the record goes first.
    for (let i = 0; i < 2; i++) this.both((harness) => harness.tick());
    this.rested = Math.max(this.rested, this.resting.stats.gauges.sessions_at_rest);
    const [a, b] = [this.resting, this.awake].map(({ stats: { counters, drops, gauges } }) =>
      JSON.stringify([counters, drops, gauges.sessions, gauges.families, gauges.records, gauges.pending_requests]),
    );
    must(a === b, () => `the counters differ: ${a} and ${b}`);
  }

  private send(client: ClientFamily, packet: Uint8Array | undefined): void {
    if (packet === undefined) return;
    this.sent.push(packet.slice());
    for (const reply of this.packet(packet)) {
      const received = client.receive(reply, this.resting.now);
      if (received.kind === 'rekeyed') for (const next of received.packets) this.send(client, next);
    }
  }

  private packet(packet: Uint8Array): Uint8Array[] {
    const effects = this.both((harness) => harness.packet(packet.slice()));
    this.waiting.push(...requestKeys(effects));
    return effects.flatMap((effect) => (effect.kind === 'reply' ? [effect.packet] : []));
  }

  private answer(): void {
    const key = this.waiting.splice(this.prng.below(Math.max(1, this.waiting.length)), 1)[0];
    if (key === undefined) return;
    const body = this.prng.bytes(8);
    const [kind, bytes] = this.prng.chance(0.5) ? [ANSWER.registration, body] : [ANSWER.failure, Uint8Array.of(3, 0)];
    this.both((harness) => harness.answer(key, kind, bytes.slice()));
  }

  private both(act: (harness: ShardHarness) => Effect[]): Effect[] {
    const effects = act(this.resting);
    const [a, b] = [sorted(effects).join('\n'), sorted(act(this.awake)).join('\n')];
    must(a === b, () => `the one that rests does\n${a}\nthe other\n${b}`);
    return effects;
  }
}
