/**
 * One session family between a ClientFamily and a Shard, over a network that a test plays: everything ever sent is kept,
 * so it can arrive never, late, again, in any order. After every event it asserts the invariants of lp2.md §6 that
 * the Spin model lp2-rekey.pml states.
 */
import type { ClientReceived } from '../../src/lp/client-session.ts';
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import type { Lifetimes } from '../../src/lp/responder-context.ts';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import type { GatewaySessionV2 } from '../../src/lp/v2/gateway-session.ts';
import type { Transport } from '../../src/lp/v2/transport.ts';
import { decodeFrame } from '../../src/lp/wire/application-frame.ts';
import { establish, opaque, sealedFrame, startedRekey } from './handshake.ts';
import type { Prng } from './prng.ts';
import { must } from './property.ts';
import { recordSealing } from './sealing-record.ts';
import { ShardHarness } from './shard-harness.ts';
import { memoryOf, sessionsOf } from './shard-state.ts';

interface ClientInside {
  readonly sessions: Map<number, { readonly transport: Transport; readonly place: { readonly kind: string } }>;
}

interface GatewayInside {
  readonly current: GatewaySessionV2;
  readonly pending: GatewaySessionV2 | undefined;
}

const ZERO = '00'.repeat(32);

export class RekeyWorld {
  readonly prng: Prng;
  readonly harness: ShardHarness;
  readonly family: ClientFamily;
  /** Every packet ever sent, each way. */
  readonly toGateway: Uint8Array[] = [];
  readonly toClient: Uint8Array[] = [];
  readonly answered = new Set<number>();
  /** The client has sent Close: it is gone. */
  closed = false;
  rekeyAsked = false;
  lastRequestId = 0;
  private readonly keyOwners = new Map<string, number>();
  private readonly sealedBy = new Map<string, number>();
  private readonly children = new Map<string, number>();

  constructor(provider: CryptoProvider, prng: Prng, lifetimes: Partial<Lifetimes> = {}) {
    const { crypto } = recordSealing(provider);
    this.prng = prng;
    const random = prng.source();
    const gatewaySeed = prng.bytes(32);
    this.harness = new ShardHarness({ crypto, random, gatewaySeed, unixMs: 1_764_583_200_000, lifetimes });
    this.harness.createKemKey('ml-kem-768', prng.bytes(64));
    this.family = establish(this.harness, { crypto, random, clientSeed: prng.bytes(32) }).family;
  }

  get now() {
    return this.harness.now;
  }

  /** The gateway's side; `undefined` when it has lost the family. */
  get gateway(): GatewayInside | undefined {
    const session = sessionsOf(this.harness.shard)[0];
    const family = session?.family as unknown as GatewayInside | undefined;
    // Past its time it is lost, whether it was looked up since or not.
    return family?.current.expired(this.now.monotonicMs) === false ? family : undefined;
  }

  startRekey(): void {
    const packet = startedRekey(this.family, this.prng.chance(0.4), this.now);
    if (packet !== undefined) this.toGateway.push(packet);
    this.check();
  }

  sendRequest(): number {
    const id = ++this.lastRequestId;
    const packet = sealedFrame(this.family, opaque(id, this.prng.bytes(this.prng.below(20))));
    if (packet !== undefined) this.toGateway.push(packet);
    this.check();
    return id;
  }

  close(): void {
    const packet = this.family.close();
    if (packet !== undefined) this.toGateway.push(packet);
    this.closed = true;
  }

  clientTick(): void {
    this.toGateway.push(...this.family.tick(this.now));
    this.check();
  }

  /** What the gateway replies goes on its way; returns how many packets that are. */
  deliverToGateway(packet: Uint8Array): number {
    const replies = this.harness.replies(packet.slice());
    this.toClient.push(...replies);
    this.check();
    return replies.length;
  }

  deliverToClient(packet: Uint8Array): ClientReceived {
    const received = this.family.receive(packet.slice(), this.now);
    if (received.kind === 'rekeyed') this.toGateway.push(...received.packets);
    if (received.kind === 'rekeyAsked') this.rekeyAsked = true;
    if (received.kind === 'frame') this.answered.add(decodeFrame(received.bytes)?.requestId ?? -1);
    this.check();
    return received;
  }

  /** Hands over everything that was sent since the given marks, and what that brings about, until nothing is under way. */
  flush(fromGateway = this.toGateway.length, fromClient = this.toClient.length): void {
    for (let up = fromGateway, down = fromClient; up < this.toGateway.length || down < this.toClient.length; ) {
      if (up < this.toGateway.length) this.deliverToGateway(this.toGateway[up++]!);
      else this.deliverToClient(this.toClient[down++]!);
    }
  }

  /** A round trip over a good network; whether the answer was there at its end. */
  roundTrip(): boolean {
    const [up, down] = [this.toGateway.length, this.toClient.length];
    const id = this.sendRequest();
    this.flush(up, down);
    return this.answered.has(id);
  }

  /** lp2-rekey.pml: what is asserted in every state. */
  private check(): void {
    this.checkKeys();
    const gateway = this.gateway;
    if (gateway === undefined || this.closed) return;
    this.checkSealing(gateway);
    this.checkChildren(gateway);
    const clientPlace = this.clientSessions.get(gateway.current.index)?.place.kind;
    must(
      clientPlace === 'live' || clientPlace === 'old',
      () => `the client has the gateway's newest as ${clientPlace}`,
    );
    const { index } = this.family;
    const known = gateway.current.index === index || gateway.pending?.index === index;
    must(known, 'what the client seals on is the gateway’s newest or pending');
  }

  /** Both sides have the same newest session. */
  get agreed(): boolean {
    const { gateway } = this;
    const place = this.clientSessions.get(this.family.index)?.place.kind;
    return gateway?.current.index === this.family.index && place === 'live' && this.clientUnconfirmed === 0;
  }

  private get clientSessions(): ClientInside['sessions'] {
    return (this.family as unknown as ClientInside).sessions;
  }

  private get clientUnconfirmed(): number {
    return [...this.clientSessions.values()].filter((session) => session.place.kind === 'old').length;
  }

  /** No two sessions with equal keys, and one session's keys are the same on both sides. */
  private checkKeys(): void {
    const transports = [
      ...sessionsOf(this.harness.shard).map((session) => session.transport),
      ...[...this.clientSessions.values()].map((session) => session.transport),
    ];
    for (const transport of transports) {
      const memory = memoryOf(transport);
      const pair = [memory.subarray(0, 32), memory.subarray(32, 64)].map((key) => Buffer.from(key).toString('hex'));
      const key = pair.sort().join();
      must(!key.includes(ZERO), 'a session that opens has keys');
      const owner = this.keyOwners.get(key);
      must(owner === undefined || owner === transport.index, 'two sessions have equal keys');
      this.keyOwners.set(key, transport.index);
    }
  }

  /** Only the newest session seals, on either side; its chain is there, and a demoted one's is wiped. */
  private checkSealing(gateway: GatewayInside): void {
    for (const session of sessionsOf(this.harness.shard)) {
      const { kind } = session.place;
      must((kind === 'current') === (session === gateway.current), 'one session is the newest');
      must((kind === 'pending') === (session === gateway.pending), 'one session at most is pending');
      if (kind === 'pending') must(session.transport.sealed === 0, 'nothing is sealed on a pending session');
      this.checkSealer(`gateway ${session.index}`, session.transport, kind === 'current', kind === 'demoted');
    }
    if (gateway.pending?.place.kind === 'pending')
      must(gateway.pending.place.parent === gateway.current, 'the pending session is a child of the newest');
    for (const [index, { transport, place }] of this.clientSessions)
      this.checkSealer(`client ${index}`, transport, place.kind === 'live', place.kind === 'demoted');
  }

  private checkSealer(who: string, transport: Transport, seals: boolean, demoted: boolean): void {
    const before = this.sealedBy.get(who);
    const wiped = transport.chain.every((byte) => byte === 0);
    must(wiped === demoted, `${who}: the chain lasts until the demotion`);
    if (seals || before === undefined) this.sealedBy.set(who, transport.sealed);
    else must(transport.sealed === before, `${who} seals and is not the newest`);
  }

  /** One KK1 makes one session at most. */
  private checkChildren({ current, pending }: GatewayInside): void {
    const n = current.answeredKk1?.n;
    if (n === undefined || pending === undefined) return;
    const attempt = `${current.index} ${n}`;
    const child = this.children.get(attempt);
    must(child === undefined || child === pending.index, 'one KK1 made two sessions');
    this.children.set(attempt, pending.index);
  }
}

/**
 * The network has become good. Within two round trips requests are answered; when no attempt is left, both sides agree;
 * and then a rekey goes through.
 */
export function mustRecover(world: RekeyWorld): void {
  const { harness, family } = world;
  for (let trip = 0; trip < 2; trip++) {
    drift(world);
    must(world.roundTrip() || trip === 0, 'a request is answered within two round trips');
  }
  // The pending attempt is repeated until it is answered or dropped; 10 s after the last KK1 the next may come.
  for (let second = 0; second < 40; second++) {
    const [up, down] = [world.toGateway.length, world.toClient.length];
    harness.later(1_000);
    world.clientTick();
    harness.tick();
    world.flush(up, down);
  }
  must(!family.rekeying, 'no attempt is left');
  must(world.roundTrip(), 'a request is answered');
  must(world.agreed, 'both sides have the same newest session');
  const before = family.rekeys;
  const [up, down] = [world.toGateway.length, world.toClient.length];
  world.startRekey();
  must(family.rekeying, 'the next attempt starts');
  world.flush(up, down);
  must(family.rekeys === before + 1, 'a rekey goes through');
  must(world.agreed, 'and its session is the newest on both sides');
  must(world.roundTrip(), 'and it is good');
}

/** Old packets still come in. */
function drift(world: RekeyWorld): void {
  const { prng, toGateway, toClient } = world;
  for (let i = prng.below(6); i > 0; i--) {
    if (prng.chance(0.5) && toGateway.length > 0) world.deliverToGateway(prng.pick(toGateway));
    else if (toClient.length > 0) world.deliverToClient(prng.pick(toClient));
  }
}
