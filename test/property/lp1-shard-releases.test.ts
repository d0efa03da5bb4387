/**
 * The books between admission and a shard that admits LP1: whatever comes, in whatever order and batches, every reservation
 * is given back once to the source it was taken from, every index that is routed is freed, and the tables end empty.
 */
import test from 'ava';
import type { HandshakeStep } from '../../src/lp/client-session.ts';
import type { ClientSessionV1 } from '../../src/lp/v1/client-session.ts';
import { Initiator } from '../../src/lp/v2/initiator.ts';
import { encodeFailure, encodeForwardResponse } from '../../src/lp/wire/application-frame.ts';
import { writeLe32 } from '../../src/lp/wire/bytes.ts';
import { TYPE } from '../../src/lp/wire/packet.ts';
import { ANSWER } from '../../src/shard/messages.ts';
import { GATEWAY } from '../lp/v1/people.ts';
import { GRANT_ALL, Lp1Acceptor } from '../support/lp1-acceptor.ts';
import { sealAnyV1, splicedH1, watchNonces } from '../support/lp1-hostile.ts';
import {
  chosenIndices,
  crypto,
  dataPacket,
  familyOf,
  forwardPayload,
  type Ground,
  initiatorV1,
  lp1Gateway,
  registrationPayload,
} from '../support/lp1-shard.ts';
import type { Prng } from '../support/prng.ts';
import { forSeeds, must, runs } from '../support/property.ts';
import { indicesOf } from '../support/shard-state.ts';

const SOURCES = 3;
const H1_LENGTH = 291;
const STEPS = 140;

class Storm {
  private readonly prng: Prng;
  private readonly ground: Ground;
  private readonly acceptor: Lp1Acceptor;
  private readonly packets: Uint8Array[] = [];
  private readonly sessions: ClientSessionV1[] = [];

  constructor(prng: Prng) {
    this.prng = prng;
    this.ground = lp1Gateway({ crypto: watchNonces(crypto), records: 14, indices: 24 }, prng);
    this.ground.harness.createKemKey('ml-kem-768', prng.bytes(64));
    this.acceptor = new Lp1Acceptor(this.ground.harness);
  }

  step(): void {
    const { prng, acceptor } = this;
    const { harness } = this.ground;
    prng.pick([
      () => this.handshakeV1(),
      () => this.handshakeV1(),
      () => this.handshakeV1(),
      () => this.handshakeV2(),
      () => this.again(),
      () => this.again(),
      () => this.rekey(),
      () => this.rekey(),
      () => this.misuse(),
      () => this.answer(),
      () => this.request(),
      () => this.settle(),
      () => harness.later(prng.pick([500, 5_000, 10_000, 30_000, 61_000, 95_000, 90_000_000])),
      () => void acceptor.book(harness.tick()),
    ])();
  }

  /** What is asked is answered, and what is left runs out of time. */
  end(): void {
    const { acceptor } = this;
    const { harness } = this.ground;
    while (acceptor.claims.size > 0) this.settle();
    while (acceptor.requests.length > 0) this.answer();
    for (let i = 0; i < 3; i++) {
      harness.later(90_000_000);
      acceptor.book(harness.tick());
    }
    const { places, tokens, routed } = acceptor;
    must(places.size === 0, () => `places are left: ${[...places].join('; ')}`);
    must(routed.size === 0, () => `indices are left: ${[...routed].join()}`);
    must(tokens >= 0 && indicesOf(harness.shard).size === 0, 'nothing is held');
    const { gauges, counters } = harness.stats;
    must(gauges.records + gauges.sessions + gauges.families + gauges.pending_requests === 0, 'the tables are empty');
    must(counters.families_ended === counters.h3_accepted, 'every family has ended once');
    must(counters.late_answers === 0, 'every answer was waited for');
  }

  /** Indices that meet those of others, of records, sessions and claims. */
  private fewIndices() {
    const { prng } = this;
    const few = Array.from({ length: 3 }, () => (prng.chance(0.5) ? 0x8000_0000 : 1) + prng.below(9));
    return prng.chance(0.5) ? chosenIndices(prng.source(), few) : prng.source();
  }

  /** In one batch, or two, with packets of before among them. */
  private send(...packets: readonly Uint8Array[]): Uint8Array[] {
    const { prng, acceptor } = this;
    for (const packet of packets) {
      const grant = prng.chance(0.85) ? GRANT_ALL : prng.below(8);
      acceptor.take(packet, 1 + prng.below(SOURCES), grant);
      if (this.packets.length < 60) this.packets.push(packet.slice());
      else this.packets[prng.below(60)] = packet.slice();
      if (prng.chance(0.3)) acceptor.take(this.old(), 1 + prng.below(SOURCES));
    }
    return acceptor.flush().flatMap((effect) => (effect.kind === 'reply' ? [effect.packet] : []));
  }

  private old(): Uint8Array {
    const { prng } = this;
    const packet = prng.pick(this.packets).slice();
    if (packet.length === H1_LENGTH && prng.chance(0.3)) return splicedH1(this.ground, packet);
    if (prng.chance(0.3)) packet[prng.below(packet.length)]! ^= 1 << prng.below(8);
    return packet;
  }

  private again(): void {
    if (this.packets.length > 0) this.send(this.old());
  }

  /** As far as loss lets it. */
  private handshake(initiator: ReturnType<typeof initiatorV1> | Initiator): void {
    const { prng } = this;
    const { harness } = this.ground;
    let step: HandshakeStep = initiator.start(harness.now);
    while (step.kind === 'send' && !prng.chance(0.12)) {
      let next: HandshakeStep = { kind: 'wait' };
      for (const reply of this.send(...step.packets)) {
        const taken = initiator.receive(reply.slice(), harness.now);
        if (taken.kind !== 'wait' && taken.kind !== 'drop') next = taken;
      }
      step = next;
    }
    if (step.kind !== 'established' || initiator instanceof Initiator) return;
    this.sessions.push(step.session as ClientSessionV1);
    if (this.sessions.length > 6) this.sessions.shift();
  }

  private handshakeV1(): void {
    this.handshake(initiatorV1(this.ground, { random: this.fewIndices(), clientSeed: this.prng.bytes(32) }));
  }

  private handshakeV2(): void {
    const { prng } = this;
    const own = {
      crypto,
      random: this.fewIndices(),
      clientSeed: prng.bytes(32),
      kem: 'ml-kem-768',
      kemKey: undefined,
    } as const;
    const gateway = {
      gatewayEd25519: GATEWAY.ed25519,
      gatewayX25519: GATEWAY.x25519,
      pinnedHashes: [],
      clockOffsetMs: 0,
    };
    this.handshake(new Initiator({ ...own, ...gateway, earlyFrame: new Uint8Array(0) }, this.ground.harness.now));
  }

  private rekey(): void {
    const { prng } = this;
    if (this.sessions.length === 0) return;
    const session = prng.pick(this.sessions);
    const { now } = this.ground.harness;
    session.tick(now);
    const kk1 = session.startRekey(undefined, now);
    if (kk1.kind !== 'packet') return;
    for (const reply of this.send(kk1.packet)) {
      const received = prng.chance(0.2) ? undefined : session.receive(reply.slice(), now);
      if (received?.kind === 'rekeyed' && prng.chance(0.8)) this.send(...received.packets);
    }
    if (prng.chance(0.6)) this.settle();
  }

  /** A client's own keys used otherwise: above all a Ready for an index of its choice. */
  private misuse(): void {
    const { prng } = this;
    if (this.sessions.length === 0) return;
    const { transport } = prng.pick([...familyOf(prng.pick(this.sessions)).all]);
    const type = prng.chance(0.6) ? TYPE.subsessionReady : prng.pick(Object.values(TYPE));
    const content = prng.bytes(prng.pick([0, 4, 4, 56, 64]));
    if (content.length === 4 && prng.chance(0.8))
      writeLe32(content, 0, prng.pick([...this.acceptor.routed.keys(), 3, 4]));
    this.send(sealAnyV1(transport, 1, type, content));
  }

  private request(): void {
    const { prng } = this;
    if (this.sessions.length === 0) return;
    const session = prng.pick(this.sessions);
    const timestamp = BigInt(Math.floor(this.ground.harness.unixMs / 1_000));
    const payload = prng.chance(0.5) ? forwardPayload() : registrationPayload({ timestamp });
    this.send(dataPacket(session, payload, prng.pick([...familyOf(session).all]).index));
  }

  private answer(): void {
    const { prng, acceptor } = this;
    const key = acceptor.requests.shift();
    if (key === undefined) return;
    const [kind, body] = prng.pick([
      [ANSWER.forward, encodeForwardResponse({ status: prng.below(7), packets: [prng.bytes(40)] })],
      [ANSWER.failure, encodeFailure({ code: 4, text: 'later' })],
      [ANSWER.registration, prng.bytes(12)],
    ] as const);
    acceptor.book(this.ground.harness.answer(key, kind, body));
  }

  private settle(): void {
    const { prng, acceptor } = this;
    const key = [...acceptor.claims.keys()][0];
    if (key !== undefined) acceptor.settleClaim(key, prng.chance(0.3));
  }
}

test('every reservation is released once and to its own source, every index freed, whatever comes of LP1', (t) => {
  const counts = { h3_accepted: 0, rekeys: 0, index_collisions: 0, records_evicted: 0, collisions: 0 };
  forSeeds(runs(25, 2_000), (prng) => {
    const storm = new Storm(prng);
    for (let i = 0; i < STEPS; i++) storm.step();
    storm.end();
    const { counters } = (storm as unknown as { ground: Ground }).ground.harness.stats;
    for (const name of Object.keys(counts) as (keyof typeof counts)[]) counts[name] += counters[name];
  });
  for (const [name, n] of Object.entries(counts)) t.true(n > 30, `${name} ${n}: the storm reaches what it is about`);
});
