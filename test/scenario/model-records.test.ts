/**
 * Real cores through random traces of the Spin model lp2-records.pml: one attempt of an honest client on one handshake
 * index, a network that delivers anything ever sent at any time and again, an attacker who has or has not seen the
 * ClientHello; at a random point the network becomes good. Flags and results are those of models/README.md §1.
 */
import test from 'ava';
import type { HandshakeStep } from '../../src/lp/client-session.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import type { Initiator } from '../../src/lp/v2/initiator.ts';
import { createKemKey, importKemKey, type KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { TYPE, typeOf } from '../../src/lp/wire/packet.ts';
import { echoes, establish, initiatorFor } from '../support/handshake.ts';
import { Observer } from '../support/observer.ts';
import type { Prng } from '../support/prng.ts';
import { forSeeds, must, runs } from '../support/property.ts';
import { recordSealing } from '../support/sealing-record.ts';
import { ShardHarness } from '../support/shard-harness.ts';
import { memoryOf, recordsOf, sessionsOf } from '../support/shard-state.ts';

const native = await loadProvider('native');

interface Flags {
  /** 1 and 5 back to back on one connection. */
  readonly pipe?: true;
  /** The first H1 uses a KEM key that the gateway does not know any more. */
  readonly stale?: true;
  /** The attacker has seen the ClientHello. */
  readonly observer?: true;
  /** Asks less: the client finishes, or holds the KEM key for its next attempt. */
  readonly weak?: true;
}

class RecordWorld {
  private readonly prng: Prng;
  private readonly flags: Flags;
  private readonly harness: ShardHarness;
  private readonly clientSeed: Uint8Array;
  private readonly crypto;
  private readonly initiator: Initiator;
  private readonly observer: Observer;
  private readonly toGateway: Uint8Array[] = [];
  private readonly toClient: Uint8Array[] = [];
  private ticks = 0;
  private outcome: HandshakeStep<ClientFamily> | undefined;

  constructor(prng: Prng, flags: Flags) {
    this.prng = prng;
    this.flags = flags;
    this.crypto = recordSealing(native).crypto;
    const { crypto } = this;
    const gatewaySeed = prng.bytes(32);
    this.harness = new ShardHarness({ crypto, random: prng.source(), gatewaySeed, unixMs: 1_764_583_200_000 });
    const keySeed = prng.bytes(64);
    this.harness.createKemKey('ml-kem-768', keySeed.slice());
    this.clientSeed = prng.bytes(32);
    const key = this.announcement(gatewaySeed, keySeed);
    const cached = flags.stale ? this.announcement(gatewaySeed, prng.bytes(64)) : key;
    const kemKey = flags.pipe ? cached : undefined;
    this.initiator = initiatorFor(this.harness, {
      crypto,
      random: prng.source(),
      clientSeed: this.clientSeed,
      kemKey,
    });
    this.clientStep(this.initiator.start(this.harness.now));
    this.observer = new Observer(crypto, prng, this.harness.ed25519Public, key, this.toGateway[0]!);
  }

  play(events: number): void {
    for (let i = 0; i < events; i++) {
      this.step();
      this.check();
    }
  }

  /** The client repeats what it waits for, everything arrives; what drifted before still does. */
  becomeGood(): void {
    for (let round = 0; round < 8 && this.outcome === undefined; round++) {
      if (this.prng.chance(0.5)) this.step();
      const [up, down] = [this.toGateway.length, this.toClient.length];
      this.harness.later(Math.max(1, this.initiator.nextTickMs() - this.harness.monotonicMs));
      this.clientStep(this.initiator.tick(this.harness.now));
      this.flush(up, down);
      this.check();
    }
    const done = this.outcome?.kind === 'established';
    if (this.flags.weak) must(done || this.initiator.kemKey !== undefined, 'done, or the KEM key is there');
    else must(done, () => `the client finishes: ${JSON.stringify(this.outcome)} ${JSON.stringify(this.harness.drops)}`);
    this.finish();
  }

  /** What the client has is good; and if it has only the key, its next attempt goes through. */
  private finish(): void {
    const { harness, outcome } = this;
    if (outcome?.kind === 'established') {
      must(echoes(harness, outcome.session), 'the session echoes');
      return;
    }
    const { crypto, prng } = this;
    const { family } = establish(harness, { crypto, random: prng.source(), kemKey: this.initiator.kemKey });
    must(echoes(harness, family), 'the next attempt goes through');
  }

  private step(): void {
    const { prng, toGateway, toClient, observer } = this;
    const event = prng.below(10);
    if (event < 4) this.deliverToGateway(prng.pick(toGateway));
    else if (event < 8 && toClient.length > 0) this.deliverToClient(prng.pick(toClient));
    else if (event === 8) this.timer();
    else if (!this.flags.observer) this.deliverToGateway(observer.garbageH1());
    else this.observe();
  }

  private observe(): void {
    const { prng, observer, harness } = this;
    const recorded = recordsOf(harness.shard).length > 0;
    if (prng.chance(0.3)) this.deliverToClient(observer.forgedError4(harness.unixMs));
    else if (prng.chance(0.2)) this.deliverToGateway(observer.garbageH1());
    else if (recorded && observer.built < 4) {
      const h1 = observer.validH1();
      this.toGateway.push(h1);
      this.deliverToGateway(h1);
    } else {
      const h2 = this.toClient.filter((packet) => typeOf(packet) === TYPE.handshake);
      const h3 = h2.length > 0 ? observer.h3For(prng.pick(h2)) : undefined;
      if (h3 !== undefined) this.toGateway.push(h3);
    }
  }

  /** A repeat of the client; few enough that the attempt does not run out of them before the network is good. */
  private timer(): void {
    if (this.ticks >= 2 || this.outcome !== undefined) return;
    this.ticks++;
    this.harness.later(Math.max(1, this.initiator.nextTickMs() - this.harness.monotonicMs));
    this.clientStep(this.initiator.tick(this.harness.now));
    if (this.prng.chance(0.5)) this.harness.tick();
  }

  private flush(fromGateway: number, fromClient: number): void {
    for (let up = fromGateway, down = fromClient; up < this.toGateway.length || down < this.toClient.length; ) {
      if (up < this.toGateway.length) this.deliverToGateway(this.toGateway[up++]!);
      else this.deliverToClient(this.toClient[down++]!);
    }
  }

  /** A hello that comes with its H1 on one connection makes record and H1 in one step. */
  private deliverToGateway(packet: Uint8Array): void {
    const first = recordsOf(this.harness.shard).length === 0;
    this.toClient.push(...this.harness.replies(packet.slice()));
    if (first && this.flags.pipe && packet === this.toGateway[0])
      this.toClient.push(...this.harness.replies(this.toGateway[1]!.slice()));
  }

  private deliverToClient(packet: Uint8Array): void {
    if (this.outcome === undefined) this.clientStep(this.initiator.receive(packet.slice(), this.harness.now));
  }

  private clientStep(step: HandshakeStep<ClientFamily>): void {
    if (step.kind === 'send') {
      // A repeat is the same content: one object stands for it.
      for (const packet of step.packets)
        if (!this.toGateway.some((known) => Buffer.compare(known, packet) === 0)) this.toGateway.push(packet);
        else this.toGateway.push(this.toGateway.find((known) => Buffer.compare(known, packet) === 0)!);
    } else if (step.kind === 'established' || step.kind === 'failed') this.outcome = step;
  }

  /** Three H1 at most, one session for each, one of them the client's; no two sessions with equal keys. */
  private check(): void {
    const { shard } = this.harness;
    for (const record of recordsOf(shard)) {
      const sessions = record.states.map((state) => state.sessionIndex);
      must(sessions.length <= 3 && new Set(sessions).size === sessions.length, 'three H1 have three indices');
    }
    const { h1_read, h3_accepted } = this.harness.stats.counters;
    must(h3_accepted <= h1_read && h1_read <= 3, 'one session at most for each H1 that read');
    const own = this.crypto.x25519PublicKey(this.crypto.x25519SecretOfEd25519(this.clientSeed));
    const sessions = sessionsOf(shard);
    const clients = sessions.filter(({ transport }) => Buffer.compare(transport.peerStatic, own) === 0);
    must(clients.length <= 1, 'the client has one session');
    if (this.outcome?.kind === 'established')
      must(clients[0]?.index === this.outcome.session.index, 'its H3 opened under its own H1');
    const keys = sessions.map((session) => memoryOf(session.transport));
    const distinct = new Set(keys.map((memory) => Buffer.from(memory.subarray(0, 64)).toString('hex')));
    must(distinct.size === sessions.length, 'no two sessions have equal keys');
  }

  private announcement(gatewaySeed: Uint8Array, seed: Uint8Array): KemAnnouncement {
    const identity = { ed25519Seed: gatewaySeed, ed25519Public: this.harness.ed25519Public };
    const seconds = Math.floor(this.harness.unixMs / 1_000);
    const material = createKemKey(this.crypto, 'ml-kem-768', seed, identity, seconds, 86_400);
    return importKemKey(this.crypto, material).announcement;
  }
}

const CASES: readonly { readonly name: string; readonly flags: Flags }[] = [
  { name: '1 and 5 back to back, a blind attacker', flags: { pipe: true } },
  { name: 'first contact, a blind attacker', flags: {} },
  { name: 'a stale KEM key, a blind attacker', flags: { pipe: true, stale: true } },
  { name: '1 and 5 back to back, an observer', flags: { pipe: true, observer: true } },
  { name: 'first contact, an observer, the weak goal', flags: { observer: true, weak: true } },
  {
    name: 'a stale KEM key, an observer, the weak goal',
    flags: { pipe: true, stale: true, observer: true, weak: true },
  },
];

for (const { name, flags } of CASES) {
  test(`the client finishes once the network is good: ${name}`, (t) => {
    forSeeds(runs(60, 1_000), (prng) => {
      const world = new RecordWorld(prng, flags);
      world.play(prng.below(60));
      world.becomeGood();
    });
    t.pass();
  });
}

test('a gateway that lost its record and takes the ClientHello again gives no two sessions equal keys', (t) => {
  forSeeds(runs(40, 500), (prng) => {
    const { crypto } = recordSealing(native);
    const options = { crypto, gatewaySeed: prng.bytes(32), unixMs: 1_764_583_200_000 };
    const harness = new ShardHarness({ ...options, random: prng.source(), records: 1 });
    harness.createKemKey('ml-kem-768', prng.bytes(64));
    const random = prng.source();
    const { kemKey } = establish(harness, { crypto, random }).initiator;
    // The record that holds an H1 makes no room, so the loss is the clock's: 90 s on the monotonic one only.
    harness.monotonicMs += 90_000;
    const initiator = initiatorFor(harness, { crypto, random, kemKey });
    const start = initiator.start(harness.now);
    must(start.kind === 'send', 'hello and H1');
    const [hello, h1] = start.packets as [Uint8Array, Uint8Array];
    const h2s: Uint8Array[] = [];
    for (let run = 0; run < 3; run++) {
      harness.packet(hello.slice());
      h2s.push(...harness.replies(h1.slice()));
      harness.monotonicMs += 90_000;
    }
    must(new Set(h2s.map((h2) => Buffer.from(h2).toString('hex'))).size === 3, 'each run has its own H2');
    // The client takes one of them; its H3 opens under the run of that H2 only.
    const taken = prng.below(3);
    const step = initiator.receive(h2s[taken]!, harness.now);
    must(step.kind === 'send', 'H3');
    harness.packet(hello.slice());
    harness.packet(h1.slice());
    must(harness.replies(step.packets[0]!.slice()).length === 0, 'the H3 of a lost run opens under no other');
  });
  t.pass();
});
