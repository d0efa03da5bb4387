/**
 * A real registrar beside its model: every answer is compared, and from time to time everything that is kept. Calls of store
 * and WireGuard fail when they are told to; then the answer has to be `try_later`, and nothing may have changed.
 */

import { type AnswerBody, decodeAnswer, encodeRequest, type RequestBody } from '../../src/lp/wire/registration-body.ts';
import type { CredentialVerifier } from '../../src/registration/credentials/verifier.ts';
import { createRegistrar, type Registrar } from '../../src/registration/registrar.ts';
import { nameKey, type RegistrationStore } from '../../src/registration/store/store.ts';
import { createMemoryWireGuard, type MemoryWireGuard } from '../../src/registration/wireguard/memory.ts';
import { bytes32, OPTIONS, START } from '../registration/fixture.ts';
import { type Fuse, failingStore, failingWireGuard } from './fuses.ts';
import type { Prng } from './prng.ts';
import { must } from './property.ts';
import { type Ask, type Expected, isMixnet, MODEL, type ModelRegistration, RegistrarModel } from './registrar-model.ts';

const OPS: readonly Ask['op'][] = [
  ...(['quote', 'quote', 'register', 'register', 'finalise', 'finalise', 'finalise'] as const),
  ...(['topup', 'balance', 'release'] as const),
];
const NAMES = [...Array.from({ length: 12 }, (_, i) => `wg${i}`), 'mix0', 'mix1', 'mix2'];

const VERIFIER: CredentialVerifier = {
  offer: () => ({
    kind: 'price',
    challenge: Uint8Array.of(1),
    issuer: 'issuer.example',
    price: { tokens: 1, bandwidth: MODEL.bandwidth, lifetime: MODEL.lifetime },
  }),
  verify: async ({ token }) => {
    const text = Buffer.from(token).toString();
    if (text.startsWith('kind')) return { kind: 'refused', code: 'credential_kind' };
    if (text.startsWith('bad')) return { kind: 'refused', code: 'credential_invalid' };
    const grant = { bandwidth: MODEL.bandwidth, lifetimeSeconds: MODEL.lifetime };
    return { kind: 'accepted', tokenId: bytes32(text), keepUntil: 2 ** 40, grant };
  },
};

/** `owner`: its hash in hex. `addresses`: the IPv4 one. */
type Kept = ReadonlyMap<string, ModelRegistration & { readonly addresses: string }>;

export interface World {
  /** Opens the store, or opens it again after a restart. */
  readonly openStore: (earlier: RegistrationStore | undefined) => Promise<RegistrationStore>;
  readonly prng: Prng;
}

export class RegistrarWorld {
  readonly #prng: Prng;
  readonly #openStore: World['openStore'];
  readonly #fuses: Record<'store' | 'wireguard', Fuse> = {
    store: { after: 0, count: 0, blown: 0 },
    wireguard: { after: 0, count: 0, blown: 0 },
  };
  #model = new RegistrarModel();
  #store!: RegistrationStore;
  #wireguard!: MemoryWireGuard;
  #registrar!: Registrar;
  /** By name: what was told of it, for as long as it stands. */
  readonly #addresses = new Map<string, string>();
  #now = START;
  #tokens = 0;
  readonly seen = new Map<string, number>();

  private constructor({ prng, openStore }: World) {
    this.#prng = prng;
    this.#openStore = openStore;
  }

  static async create(options: World): Promise<RegistrarWorld> {
    const world = new RegistrarWorld(options);
    await world.#start(undefined);
    return world;
  }

  async step(): Promise<void> {
    const prng = this.#prng;
    this.#now += prng.chance(0.02) ? prng.below(400) : prng.below(6);
    const chance = prng.below(1_000);
    if (chance < 4) await this.#restart();
    else if (chance < 40) await this.#sweep();
    else await this.#ask();
    if (prng.chance(0.02)) await this.check();
  }

  async close(): Promise<void> {
    await this.#registrar.close();
    await this.#store.close();
    await this.#wireguard.close();
  }

  async #start(earlier: RegistrationStore | undefined): Promise<void> {
    this.#store = await this.#openStore(earlier);
    this.#wireguard = createMemoryWireGuard();
    this.#registrar = createRegistrar(
      {
        ...OPTIONS,
        // Six hosts, one of them the gateway's own.
        ipv4: { cidr: '10.9.0.0/29' },
        grant: { bandwidth: MODEL.bandwidth, lifetimeSeconds: MODEL.lifetime },
        quoteHoldSeconds: MODEL.quoteHold,
        graceSeconds: MODEL.grace,
        registrationsLimit: MODEL.limit,
        quotesPerSession: MODEL.quotesPerFamily,
      },
      {
        now: () => this.#now,
        random: this.#prng.source(),
        blake3: ownerHash,
        store: failingStore(this.#store, this.#fuses.store),
        wireguard: failingWireGuard(this.#wireguard, this.#fuses.wireguard),
        verifier: VERIFIER,
        report: ({ kind, error }) => must(kind !== 'internal', () => `internal: ${String(error)}`),
      },
    );
    // It does not know yet which peers there are.
    await this.#settle(true);
  }

  async #restart(): Promise<void> {
    const earlier = this.#store;
    // Half of them crash: nobody closes anything.
    if (this.#prng.chance(0.5)) await this.#registrar.close();
    this.#model.restart();
    await this.#start(earlier);
    this.#count('restart');
    await this.check();
  }

  async #sweep(): Promise<void> {
    const broken = this.#lightFuses(0.3);
    await this.#sweepAll();
    if (broken) await this.#recover();
    else this.#model.sweep(this.#now);
    this.#count(broken ? 'sweep that fails' : 'sweep');
  }

  async #ask(): Promise<void> {
    const ask = this.#someAsk();
    const broken = this.#lightFuses(0.08);
    const answer = await this.#answerTo(ask);
    if (broken) {
      const blown = this.#fuses.store.blown + this.#fuses.wireguard.blown > 0;
      if (answer.status === 'failed' && answer.code === 'try_later') {
        must(blown, () => `${JSON.stringify(ask)} has to wait though nothing failed`);
        await this.#adopt(ask);
        this.#count('try_later');
        return;
      }
    }
    const stood = this.#model.stands(ask.name, this.#now);
    const got = summary(answer);
    if (this.#fuses.wireguard.blown > 0) this.#allowLateEnd(ask, got);
    const expected = this.#model.ask(ask, this.#now);
    must(
      same(got, expected),
      () => `${JSON.stringify(ask)} at ${this.#now - START}: ${show(got)}, not ${show(expected)}`,
    );
    this.#checkAddresses(ask, answer, stood);
    this.#count(`${ask.op} ${got.kind === 'failed' ? got.code : got.kind}`);
    if (broken) await this.#recover();
  }

  /** A peer that could not be removed in this very request keeps its registration in grace, which the request may renew. */
  #allowLateEnd(ask: Ask, got: Expected): void {
    const known = this.#model.registrations.get(ask.name);
    if (known === undefined || (known.graceUntil ?? known.expires + MODEL.grace) > this.#now) return;
    const late = this.#model.copy();
    late.registrations.set(ask.name, { ...known, graceUntil: this.#now + 5 });
    const changed = late.copy();
    if (!same(changed.ask(ask, this.#now), got)) return;
    // Where both readings give this answer, the usual one is as good: what is kept is settled afterwards.
    if (!same(this.#model.copy().ask(ask, this.#now), got)) this.#model = late;
  }

  /** After a request that failed: what it would have done was not done, or wholly done and not answered. */
  async #adopt(ask: Ask): Promise<void> {
    const done = this.#model.copy();
    const quote = done.quotes.get(ask.name);
    done.ask(ask, this.#now);
    // It has no addresses that would tell whose they are, and ends by itself.
    if (isMixnet(ask.name) && quote !== undefined) done.quotes.set(ask.name, quote);
    this.#addresses.delete(ask.name);
    await this.#recover();
    if (this.#matches(await this.#kept())) return;
    // Only where both store and WireGuard failed: the change could not be taken back.
    const both = this.#fuses.store.blown > 0 && this.#fuses.wireguard.blown > 0;
    must(both, () => `${JSON.stringify(ask)} failed and has changed something`);
    this.#model = done;
    this.#model.sweep(this.#now);
    must(this.#matches(await this.#kept()), () => `${JSON.stringify(ask)} failed and was done by half`);
    this.#count('done without an answer');
  }

  /** Store and WireGuard work again: one sweep has to set everything right. */
  async #recover(): Promise<void> {
    const { store, wireguard } = this.#fuses;
    store.count = 0;
    wireguard.count = 0;
    await this.#settle(wireguard.blown > 0);
  }

  /** With `doubt`, a peer that may still be there keeps its addresses a little longer than its registration's grace. */
  async #settle(doubt: boolean): Promise<void> {
    await this.#sweepAll();
    for (const [name, { graceUntil }] of doubt ? await this.#kept() : []) {
      const known = this.#model.registrations.get(name);
      const end = known && (known.graceUntil ?? known.expires + MODEL.grace);
      if (known === undefined || end === undefined || end > this.#now || graceUntil !== this.#now + 5) continue;
      this.#model.registrations.set(name, { ...known, graceUntil });
    }
    this.#model.sweep(this.#now);
  }

  /** Everything that is kept, in the store, at WireGuard and in the pools, is what the model says. */
  async check(): Promise<void> {
    await this.#settle(false);
    const kept = await this.#kept();
    must(this.#matches(kept), () => `the store has ${show([...kept])}, not ${show([...this.#model.registrations])}`);
    for (const [name, { addresses }] of kept) {
      const told = this.#addresses.get(name);
      must(told === undefined || isMixnet(name) || told === addresses, () => `${name} was told another address`);
    }
    const active = [...kept].filter(([name, { graceUntil }]) => !isMixnet(name) && graceUntil === undefined);
    must(this.#wireguard.size === active.length, () => `${this.#wireguard.size} peers, not ${active.length}`);
    for (const [name, { addresses }] of active) {
      const peer = this.#wireguard.peer(bytes32(name));
      must(peer?.allowedIps[0] === `${addresses}/32`, () => `the peer of ${name} has other addresses`);
    }
    const used = [...kept.values()].flatMap(({ addresses }) => (addresses === '' ? [] : [addresses]));
    must(new Set(used).size === used.length, 'an address was leased twice');
    const { leases, quotes, registrations } = this.#registrar.status();
    must(leases.ipv4.allocated === used.length, () => `${leases.ipv4.allocated} allocated, not ${used.length}`);
    const held = [...this.#model.quotes.keys()].filter((name) => !isMixnet(name)).length;
    must(leases.ipv4.held === held && leases.ipv6.held === held, () => `${leases.ipv4.held} held, not ${held}`);
    must(quotes === this.#model.quotes.size, () => `${quotes} quotes, not ${this.#model.quotes.size}`);
    must(registrations.dvpn.active === active.length, 'the counts differ from the store');
  }

  async #kept(): Promise<Kept> {
    const kept = new Map<string, ModelRegistration & { readonly addresses: string }>();
    for await (const registration of this.#store.registrations()) {
      const name = NAMES.find((candidate) => nameKey(registrationName(candidate)) === nameKey(registration));
      must(name !== undefined, 'the store has a name that nobody has');
      const { bandwidth, expires, phase, ownerHash } = registration;
      const addresses = registration.mode === 'dvpn' ? registration.addresses.ipv4.join('.') : '';
      if (registration.mode === 'dvpn') registration.presharedKey.wipe();
      const owner = Buffer.from(ownerHash).toString('hex');
      kept.set(name, {
        owner,
        bandwidth,
        expires,
        addresses,
        graceUntil: phase.kind === 'grace' ? phase.until : undefined,
      });
    }
    return kept;
  }

  #matches(kept: Kept): boolean {
    if (kept.size !== this.#model.registrations.size) return false;
    return [...this.#model.registrations].every(([name, { owner, bandwidth, expires, graceUntil }]) => {
      const found = kept.get(name);
      return (
        found?.owner === hashOf(owner) &&
        found.bandwidth === bandwidth &&
        found.expires === expires &&
        found.graceUntil === graceUntil
      );
    });
  }

  #checkAddresses({ name, op }: Ask, answer: AnswerBody, stood: boolean): void {
    if (answer.status === 'failed' || isMixnet(name)) return;
    const addresses = 'addresses' in answer ? answer.addresses?.ipv4.join('.') : undefined;
    must(addresses !== undefined, () => `${op} of ${name} has no addresses`);
    const told = this.#addresses.get(name);
    must(!stood || told === undefined || told === addresses, () => `${name} has ${addresses} and had ${told}`);
    this.#addresses.set(name, addresses);
  }

  #someAsk(): Ask {
    const prng = this.#prng;
    const name = prng.pick(NAMES);
    return {
      op: prng.pick(OPS),
      name,
      owner: prng.chance(0.9) ? name : 'mallory',
      source: `198.51.100.${prng.below(3)}`,
      family: `family ${prng.below(4)}`,
      token: this.#someToken(),
    };
  }

  /** Mostly a new one; some again, by whoever; some that are none. */
  #someToken(): string | undefined {
    const prng = this.#prng;
    const chance = prng.below(100);
    if (chance < 60) return `t${this.#tokens++}`;
    if (chance < 85 && this.#tokens > 0) return `t${Math.max(0, this.#tokens - 1 - prng.below(12))}`;
    return prng.pick(['', 'bad', 'kind']) || undefined;
  }

  async #answerTo({ op, name, owner, source, family, token }: Ask): Promise<AnswerBody> {
    const named = registrationName(name);
    const credential = token === undefined ? {} : { credential: { kind: 'test', token: Buffer.from(token) } };
    const enrolment = named.mode === 'dvpn' ? { ...named, presharedKey: bytes32(`psk ${this.#prng.below(3)}`) } : named;
    const secret = bytes32(`owner ${owner}`);
    const request: RequestBody =
      op === 'quote'
        ? { op, enrolment, owner: secret }
        : op === 'register'
          ? { op, enrolment, owner: secret, ...credential }
          : op === 'finalise' || op === 'topup'
            ? { op, name: named, owner: secret, ...credential }
            : { op, name: named, owner: secret };
    const quotesAllowed = MODEL.quotesPerSource;
    const outcome = await this.#registrar.handle({ body: encodeRequest(request), source, family, quotesAllowed });
    must(outcome.kind === 'answer', () => `${op} has no answer`);
    const answer = decodeAnswer(outcome.body);
    must(answer.kind === 'value', () => `the answer to ${op} is malformed`);
    return answer.value;
  }

  #lightFuses(probability: number): boolean {
    const prng = this.#prng;
    const { store, wireguard } = this.#fuses;
    for (const fuse of [store, wireguard]) {
      fuse.blown = 0;
      fuse.count = prng.chance(probability) ? 1 + prng.below(3) : 0;
      fuse.after = prng.below(4);
    }
    return store.count + wireguard.count > 0;
  }

  /** A sweep takes each registration one phase on: from active to grace, or from grace to its end. */
  async #sweepAll(): Promise<void> {
    await this.#registrar.sweep();
    await this.#registrar.sweep();
  }

  #count(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }
}

function registrationName(name: string) {
  return isMixnet(name)
    ? ({ mode: 'mixnet', clientId: bytes32(name) } as const)
    : ({ mode: 'dvpn', wgPublicKey: bytes32(name) } as const);
}

function hashOf(owner: string): string {
  return Buffer.from(ownerHash(bytes32(`owner ${owner}`))).toString('hex');
}

function ownerHash(secret: Uint8Array): Uint8Array {
  return bytes32(Buffer.from(secret).toString('hex'));
}

function summary(answer: AnswerBody): Expected {
  if (answer.status === 'failed') return { kind: 'failed', code: answer.code };
  if (answer.status === 'credential_required') return { kind: 'credential_required', heldUntil: answer.heldUntil };
  return { kind: 'completed', bandwidth: answer.bandwidth, expires: answer.expires };
}

function same(a: Expected, b: Expected): boolean {
  return show(a) === show(b);
}

function show(value: unknown): string {
  return JSON.stringify(value);
}
