/**
 * The books between admission and the shard (lp2.md §4.5): each reservation that comes with a packet is given back exactly
 * once, to the source it was taken from, and each index that is routed to the shard is freed when it is none any more.
 */
import test from 'ava';
import type { HandshakeStep } from '../../src/lp/client-session.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import type { KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { ADMIT, ANSWER } from '../../src/shard/messages.ts';
import { AcceptorModel } from '../support/acceptor-model.ts';
import { initiatorFor, sealedFrame, startedRekey } from '../support/handshake.ts';
import type { Prng } from '../support/prng.ts';
import { forSeeds, must, runs } from '../support/property.ts';
import { type Effect, ShardHarness } from '../support/shard-harness.ts';

const crypto = await loadProvider('native');
const SOURCES = 3;

class Storm {
  private readonly prng: Prng;
  private readonly harness: ShardHarness;
  readonly model: AcceptorModel;
  private readonly packets: Uint8Array[] = [];
  private readonly families: ClientFamily[] = [];
  private readonly requests: number[] = [];
  private kemKey: KemAnnouncement | undefined;

  constructor(prng: Prng) {
    this.prng = prng;
    const options = { crypto, random: prng.source(), gatewaySeed: prng.bytes(32), unixMs: 1_764_583_200_000 };
    this.harness = new ShardHarness({ ...options, records: 12, indices: 16 });
    this.harness.createKemKey('ml-kem-768', prng.bytes(64));
    this.model = new AcceptorModel(this.harness);
  }

  step(): void {
    const { prng, harness, model } = this;
    switch (prng.below(12)) {
      case 0:
      case 1:
      case 2:
        this.handshake();
        return;
      case 3:
      case 4:
        // Anything ever sent comes again, whole or broken, from anywhere.
        if (this.packets.length > 0) this.send(this.broken(prng.pick(this.packets)));
        return;
      case 5:
        if (this.families.length > 0) this.rekey(prng.pick(this.families));
        return;
      case 6:
        this.close();
        return;
      case 7:
        harness.later(prng.pick([500, 5_000, 30_000, 61_000, 95_000, 301_000]));
        return;
      case 8:
        this.answer();
        return;
      case 9:
        this.request();
        return;
      default:
        model.tick();
    }
  }

  /** All that is left runs out of time. */
  end(): void {
    for (let i = 0; i < 6; i++) {
      this.harness.later(5 * 3_600_000);
      this.model.tick();
    }
    const { places, tokens, routed } = this.model;
    must(places.size === 0, () => `places are left: ${[...places].join('; ')}`);
    must(routed.size === 0, () => `indices are left: ${[...routed].join()}`);
    must(tokens >= 0, 'tokens');
    const { gauges, counters } = this.harness.stats;
    must(gauges.records === 0 && gauges.sessions === 0 && gauges.families === 0, 'the tables are empty');
    must(counters.families_ended === counters.h3_accepted, 'every family has ended once');
  }

  private send(packet: Uint8Array): Effect[] {
    const { prng } = this;
    const source = 1 + prng.below(SOURCES);
    const grant = prng.chance(0.85) ? 7 : prng.below(8) & (ADMIT.token | ADMIT.session | ADMIT.record);
    if (this.packets.length < 60) this.packets.push(packet.slice());
    else this.packets[prng.below(60)] = packet.slice();
    const effects = this.model.send(packet, source, grant);
    for (const effect of effects) if (effect.kind === 'request') this.requests.push(effect.key);
    return effects;
  }

  /** As far as loss lets it; each packet may come from another address. */
  private handshake(): void {
    const { prng, harness } = this;
    const random = prng.source();
    const earlyFrame = prng.chance(0.3) ? encodeFrame(KIND.registrationRequest, 1, prng.bytes(9)) : new Uint8Array(0);
    const kemKey = prng.chance(0.7) ? this.kemKey : undefined;
    const initiator = initiatorFor(harness, { crypto, random, kemKey, earlyFrame });
    let step: HandshakeStep<ClientFamily> = initiator.start(harness.now);
    while (step.kind === 'send' && !prng.chance(0.12)) {
      let next: HandshakeStep<ClientFamily> = { kind: 'wait' };
      for (const packet of step.packets) {
        for (const effect of this.send(packet)) {
          if (effect.kind !== 'reply') continue;
          const taken = initiator.receive(effect.packet.slice(), harness.now);
          if (taken.kind !== 'wait' && taken.kind !== 'drop') next = taken;
        }
      }
      step = next;
    }
    this.kemKey = initiator.kemKey ?? this.kemKey;
    if (step.kind === 'established') this.families.push(step.session);
    if (this.families.length > 6) this.families.shift();
  }

  private rekey(family: ClientFamily): void {
    const { prng, harness } = this;
    const kk1 = startedRekey(family, prng.chance(0.2), harness.now);
    if (kk1 === undefined) return;
    for (const effect of this.send(kk1)) {
      if (effect.kind !== 'reply' || prng.chance(0.3)) continue;
      const received = family.receive(effect.packet.slice(), harness.now);
      if (received.kind === 'rekeyed' && prng.chance(0.7)) for (const ready of received.packets) this.send(ready);
    }
  }

  private request(): void {
    if (this.families.length === 0) return;
    const frame = encodeFrame(KIND.registrationRequest, this.prng.below(4), this.prng.bytes(3));
    const packet = sealedFrame(this.prng.pick(this.families), frame);
    if (packet !== undefined) this.send(packet);
  }

  private close(): void {
    const family = this.families.splice(this.prng.below(this.families.length + 1), 1)[0];
    const packet = family?.close();
    if (packet !== undefined) this.send(packet);
  }

  private answer(): void {
    const key = this.requests.shift();
    if (key !== undefined) this.model.book(this.harness.answer(key, ANSWER.registration, this.prng.bytes(12)));
  }

  private broken(packet: Uint8Array): Uint8Array {
    const copy = packet.slice();
    if (this.prng.chance(0.4)) copy[this.prng.below(copy.length)]! ^= 1 << this.prng.below(8);
    return copy.length < 34 ? packet : copy;
  }
}

test('every reservation is released once and to its own source, every index freed, whatever comes', (t) => {
  forSeeds(runs(40, 2_000), (prng) => {
    const storm = new Storm(prng);
    for (let i = 0; i < 120; i++) storm.step();
    storm.end();
  });
  t.pass();
});
