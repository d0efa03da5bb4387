/**
 * Two LP1 session families joined by a network that a test plays: everything ever sent is kept, so it can arrive never,
 * late, again, in any order, at its sender, or changed. Each side keeps account of what it sealed under which (key,
 * nonce), and throws at the second use of one. Sections are of lp1.md.
 */
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import { type FamilyEvent, FamilyV1, HANDSHAKE_COUNTERS, type Role } from '../../src/lp/v1/family.ts';
import { openOuter } from '../../src/lp/v1/outer.ts';
import type { SessionV1 } from '../../src/lp/v1/session.ts';
import { contentOf, counterOf, HEADER_LENGTH, receiverIndex, type TYPE } from '../../src/lp/wire/packet.ts';
import { Prng } from './prng.ts';
import { must } from './property.ts';

/** lp1.json: the client's and the gateway's X25519 secrets come from these Ed25519 seeds; the gateway's key is greater. */
const LESSER_SEED = 1;
const GREATER_SEED = 2;
export const FIRST_INDEX = 0x1234_5678;
/** PSQ's registered PSK, the first session's outer key and its Noise keys: any fixed bytes. */
export const PSQ = new Uint8Array(32).fill(0x71);
export const OUTER_KEY = new Uint8Array(32).fill(0x72);
const UP = new Uint8Array(32).fill(0x73);
const DOWN = new Uint8Array(32).fill(0x74);
/** What the owners of a family give a demoted session (§8.1). */
export const DEMOTED_TTL_MS = 60_000;
/** `FamilyV1` and its world's bounds. */
export const MAX_SESSIONS = 16;
const MAX_COUNTERS = 68;

export type SideName = 'client' | 'gateway';
export const SIDE_NAMES = ['client', 'gateway'] as const;

/** What the tests look at inside a family. */
export interface FamilyInside {
  readonly counters: Map<number, { next: number }>;
  readonly sessions: Map<number, SessionV1>;
}

interface Sealed {
  readonly key: string;
  readonly nonce: string;
  readonly packet: Uint8Array;
}

/** Every (key, nonce) with what was sealed under it, the first time and the last. */
export class SealingAccount {
  readonly sealed = new Map<string, Sealed>();
  readonly crypto: CryptoProvider;

  constructor(provider: CryptoProvider, who: string) {
    this.crypto = {
      ...provider,
      aeadSeal: (out, plaintext, aad, nonce, key) => {
        must(
          key.some((byte) => byte !== 0),
          () => `${who} seals under a wiped key`,
        );
        provider.aeadSeal(out, plaintext, aad, nonce, key);
        const parts = { key: latin1(key), nonce: latin1(nonce) };
        const pair = parts.key + parts.nonce;
        must(!this.sealed.has(pair), () => `${who} seals twice under one (key, nonce)`);
        this.sealed.set(pair, { ...parts, packet: out.slice(0, plaintext.length + 16) });
      },
    };
  }
}

/** The content of a packet that this side sealed, as its account knows the key. */
export function contentSealed(side: Side, packet: Uint8Array): Uint8Array {
  const body = latin1(packet.subarray(HEADER_LENGTH));
  for (const { key, packet: sealed } of side.account.sealed.values()) {
    if (latin1(sealed) !== body) continue;
    const copy = packet.slice();
    must(openOuter(side.account.crypto, Uint8Array.from(Buffer.from(key, 'latin1')), copy), 'a sealed packet opens');
    return contentOf(copy).slice();
  }
  throw new Error(`${side.name} sealed no such packet`);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

export interface WorldOptions {
  /** Whose static key is the greater one; lp1.json's is the gateway's. */
  readonly winner?: SideName;
  readonly prng?: Prng;
  /** Indices that some other session of this side has. */
  readonly taken?: ReadonlySet<number>;
}

export class Side {
  readonly name: SideName;
  readonly family: FamilyV1;
  readonly account: SealingAccount;
  /** All that it ever sent, in order. */
  readonly sent: Uint8Array[] = [];
  /** Payloads that it sealed, and those that it was given, once each. */
  readonly said = new Set<string>();
  readonly heard = new Set<string>();
  /** How often it went over to a new session. */
  promotions = 0;
  /** The Ready of its newest session, where it was this side that sent one. */
  ready: Uint8Array | undefined;
  private readonly world: Lp1World;

  constructor(world: Lp1World, name: SideName, family: FamilyV1, account: SealingAccount) {
    this.world = world;
    this.name = name;
    this.family = family;
    this.account = account;
  }

  get peer(): Side {
    return this.world[this.name === 'client' ? 'gateway' : 'client'];
  }

  get inside(): FamilyInside {
    return this.family as unknown as FamilyInside;
  }

  get index(): number {
    return this.family.current.index;
  }

  /** A data packet with a payload that no other has; on the current session, or the one that is given. */
  say(session: SessionV1 = this.family.current, extra = 0): Uint8Array {
    const text = `${this.name} ${this.said.size} ${'.'.repeat(extra)}`;
    const packet = session.transport.sealData(Buffer.from(text));
    must(packet !== undefined, 'data is sealed');
    this.said.add(text);
    this.sent.push(packet);
    return packet.slice();
  }

  /** A control packet that an honest peer would not send now, under the right key. */
  forge(type: (typeof TYPE)[keyof typeof TYPE], content: Uint8Array = new Uint8Array(0)): Uint8Array {
    const packet = this.family.current.transport.seal(type, content);
    must(packet !== undefined, 'a packet is sealed');
    return packet;
  }

  /** KK1, where the family starts. */
  start(): Uint8Array | undefined {
    const packet = this.family.startRekey(this.world.now);
    if (packet !== undefined) this.sent.push(packet);
    this.check();
    return packet?.slice();
  }

  mustStart(): Uint8Array {
    const packet = this.start();
    must(packet !== undefined, `${this.name} starts a rekeying`);
    return packet;
  }

  /** What it answers goes to `sent`. The bytes given stay as they are. */
  receive(packet: Uint8Array): FamilyEvent {
    const event = this.family.receive(packet.slice(), this.world.now);
    if (event.kind === 'data') this.hear(Buffer.from(event.payload).toString());
    if (event.kind === 'send') this.sent.push(event.packet.slice());
    if (event.kind === 'promoted') {
      this.promotions++;
      this.ready = event.ready.slice();
      this.sent.push(this.ready);
    }
    this.check();
    return event;
  }

  /** As `receive`, and an index that is asked for is granted at once. */
  take(packet: Uint8Array): FamilyEvent {
    const event = this.receive(packet);
    if (event.kind === 'ready') this.promote(event.index);
    return event;
  }

  promote(index: number): SessionV1 | undefined {
    const session = this.family.promote(index, this.world.now);
    if (session !== undefined) {
      this.promotions++;
      this.ready = undefined;
    }
    this.check();
    return session;
  }

  /** As the owners do it: an own KK1 is given up in time, and so is a demoted session. */
  tick(): void {
    const { now } = this.world;
    this.family.giveUp(now);
    for (const session of [...this.family.all]) {
      if (session.expired(now.monotonicMs, Number.POSITIVE_INFINITY, DEMOTED_TTL_MS)) this.family.remove(session);
    }
    this.check();
  }

  /** A payload comes from the peer, unchanged, once. */
  private hear(text: string): void {
    must(this.peer.said.has(text), () => `${this.name} was given what ${this.peer.name} never said`);
    must(!this.heard.has(text), () => `${this.name} was given a payload twice`);
    this.heard.add(text);
  }

  private check(): void {
    const { sessions, counters } = this.inside;
    must(sessions.size <= MAX_SESSIONS, () => `${sessions.size} sessions`);
    must(counters.size <= MAX_COUNTERS, () => `${counters.size} counters`);
    const current = [...sessions.values()].filter((session) => session.place.kind === 'current');
    must(current.length === 1 && current[0] === this.family.current, 'one session is current, the newest');
  }
}

export class Lp1World {
  readonly prng: Prng;
  readonly client: Side;
  readonly gateway: Side;
  now = { monotonicMs: 1_000, unixMs: 1_764_583_200_000 };

  constructor(provider: CryptoProvider, options: WorldOptions = {}) {
    this.prng = options.prng ?? new Prng(7);
    const [lesser, greater] = [LESSER_SEED, GREATER_SEED].map((fill) => {
      const secret = provider.x25519SecretOfEd25519(new Uint8Array(32).fill(fill));
      return { secret, publicKey: provider.x25519PublicKey(secret) };
    });
    const clientWins = options.winner === 'client';
    const keys = { client: clientWins ? greater! : lesser!, gateway: clientWins ? lesser! : greater! };
    const side = (name: SideName): Side => {
      const role: Role = name === 'client' ? 'initiator' : 'responder';
      const account = new SealingAccount(provider, name);
      const own = keys[name];
      const family = new FamilyV1(
        {
          crypto: account.crypto,
          random: this.prng.source(),
          role,
          index: FIRST_INDEX,
          psq: PSQ.slice(),
          outerKey: OUTER_KEY.slice(),
          noise: { initiatorToResponder: UP.slice(), responderToInitiator: DOWN.slice() },
          staticSecret: own.secret,
          staticPublic: own.publicKey,
          peerStatic: keys[name === 'client' ? 'gateway' : 'client'].publicKey,
          nextCounter: HANDSHAKE_COUNTERS[role],
          isTaken: (index) => options.taken?.has(index) === true,
        },
        this.now,
      );
      return new Side(this, name, family, account);
    };
    this.client = side('client');
    this.gateway = side('gateway');
  }

  get sides(): readonly [Side, Side] {
    return [this.client, this.gateway];
  }

  get agreed(): boolean {
    return this.client.index === this.gateway.index;
  }

  later(ms: number): void {
    const { monotonicMs, unixMs } = this.now;
    this.now = { monotonicMs: monotonicMs + ms, unixMs: unixMs + ms };
  }

  /** A payload each way on the current sessions, over a good network; whether both were opened. */
  exchange(): boolean {
    return this.sides.every((side) => side.peer.receive(side.say()).kind === 'data');
  }

  /** A rekeying over a good network. */
  rekey(from: Side): void {
    const { peer } = from;
    must(peer.receive(from.mustStart()).kind === 'send', 'KK1 is answered');
    must(from.receive(last(peer)).kind === 'promoted', 'KK2 promotes');
    must(peer.take(last(from)).kind === 'ready', 'Ready is taken');
    must(this.agreed, 'both sides have the same newest session');
  }

  /** Where one side is ahead because its Ready got lost, that same packet brings the other one after. */
  heal(): void {
    for (const side of this.sides) {
      if (this.agreed || side.ready === undefined || receiverIndex(side.ready) !== side.peer.index) continue;
      must(side.peer.take(side.ready).kind === 'ready', () => `${side.name}'s Ready is taken when it comes again`);
    }
    must(this.agreed, 'both sides have the same newest session');
  }
}

export function last(side: Side): Uint8Array {
  return side.sent.at(-1)!;
}

export const STATES = [
  'transport',
  'started by the client',
  'started by the gateway',
  'started by both',
  'answered by the gateway',
  'answered by the client',
  'claiming at the gateway',
  'claiming at the client',
  'promoted at the client alone',
  'promoted at the gateway alone',
  'demoted by the client’s rekeying',
  'demoted by the gateway’s rekeying',
] as const;
export type StateName = (typeof STATES)[number];

/** A pair in a state. Data went both ways before; what was sent on the way there has arrived, but for the last packets. */
export function worldIn(provider: CryptoProvider, state: StateName, options: WorldOptions = {}): Lp1World {
  const world = new Lp1World(provider, options);
  must(world.exchange() && world.exchange(), 'data goes both ways');
  const { client, gateway } = world;
  const [first] = state.split(' ');
  if (first === 'transport') return world;
  if (state === 'started by both') {
    client.mustStart();
    gateway.mustStart();
    return world;
  }
  const named = state.includes('client') ? client : gateway;
  const from = first === 'answered' || first === 'claiming' ? named.peer : named;
  advance(from, first!);
  return world;
}

function advance(from: Side, until: string): void {
  const { peer } = from;
  const kk1 = from.mustStart();
  if (until === 'started') return;
  must(peer.receive(kk1).kind === 'send', 'KK1 is answered');
  if (until === 'answered') return;
  must(from.receive(last(peer)).kind === 'promoted', 'KK2 promotes');
  if (until === 'promoted') return;
  const event = peer.receive(last(from));
  must(event.kind === 'ready', 'Ready is taken');
  if (until === 'demoted') must(peer.promote(event.index) !== undefined, 'the index is granted');
}

/** Packets of these bytes, but with one thing changed. */
export const SPOILERS: Readonly<Record<string, (packet: Uint8Array, prng: Prng) => Uint8Array>> = {
  'a flipped bit': (packet, prng) => {
    const copy = packet.slice();
    copy[prng.below(copy.length)]! ^= 1 << prng.below(8);
    return copy;
  },
  'a cut end': (packet, prng) => packet.slice(0, prng.below(packet.length)),
  'another counter': (packet, prng) => {
    const copy = packet.slice();
    const counter = counterOf(packet) + 1 + prng.below(2_000);
    new DataView(copy.buffer).setBigUint64(4, BigInt(counter), true);
    return copy;
  },
  'random bytes behind the index': (packet, prng) => {
    const random = prng.bytes(34 + prng.below(80));
    random.set(packet.subarray(0, 4));
    if (prng.chance(0.8)) random.set(packet.subarray(4, 12), 4);
    return random;
  },
};
