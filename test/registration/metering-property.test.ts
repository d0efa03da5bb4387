/**
 * Random traffic, ends, top-ups, failures, restarts of the registrar and of the interface, against a model that knows what
 * each peer moved: never is more charged than was moved, and no less than what a reading could see (registration.md, rules 4, 5).
 */
import test from 'ava';
import fc from 'fast-check';
import { createMemoryStore } from '../../src/registration/store/memory.ts';
import { type DvpnRegistration, NO_TRANSFER, type RegistrationStore } from '../../src/registration/store/store.ts';
import { createMemoryWireGuard, type MemoryWireGuard } from '../../src/registration/wireguard/memory.ts';
import { runs, SEED } from '../support/property.ts';
import { client, createFixture, type Fixture, PRICED, START, token } from './fixture.ts';

const NAMES = ['alice', 'bob', 'carol'] as const;
const CLIENTS = NAMES.map((name) => client(name));
/** What PRICED grants. */
const GRANT = 1000;
const METERING_S = 30;
const OPTIONS = { meteringSeconds: METERING_S, graceSeconds: 200 };

const who = fc.nat(NAMES.length - 1);
const bytes = fc.nat(400);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('traffic' as const), who, received: bytes, sent: bytes }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('sweep' as const), seconds: fc.constantFrom(1, 10, 30, 30, 60) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('buy' as const), who }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('balance' as const), who }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), who }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('failing' as const),
      part: fc.constantFrom('store' as const, 'wireguard' as const),
      calls: fc.integer({ min: 1, max: 5 }),
      seconds: fc.constantFrom(1, 30, 100),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'failingBuy' as const, who: 0 }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'registrarRestarts' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'interfaceRestarts' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'countersRestart' as const }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What is known of one registration from its beginning to its end. */
interface Account {
  bought: number;
  /** All that its peers moved. */
  moved: number;
  /** Of it: what no reading has seen yet, what none will see, and what was beyond the balance. */
  unread: number;
  lost: number;
  /** The counters that are charged, and those of a peer that has gone since the reading: the next one may seem to go on from them. */
  charged: number;
  hidden: number;
}

class World {
  readonly store: RegistrationStore = createMemoryStore({ maxRegistrations: 10, maxTokens: 1000 });
  readonly wireguard: MemoryWireGuard = createMemoryWireGuard();
  /** What the peer's counters have to show. */
  readonly counters: ({ received: number; sent: number } | undefined)[] = CLIENTS.map(() => undefined);
  readonly accounts: (Account | undefined)[] = CLIENTS.map(() => undefined);
  #fixture: Fixture;
  #tokens = 0;
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor() {
    this.#fixture = this.#start(START);
  }

  async run(action: Step): Promise<void> {
    await this.#act(action);
    const shown = new Map<string, number>();
    for await (const { publicKey, received, sent } of this.wireguard.list()) {
      shown.set(publicKey.join(), received + sent);
    }
    for (const [n, { publicKey }] of CLIENTS.entries()) {
      const counters = this.counters[n];
      if (shown.get(publicKey.join()) !== (counters && counters.received + counters.sent)) {
        this.#gone(n);
        this.counters[n] = shown.has(publicKey.join()) ? { received: 0, sent: 0 } : undefined;
      }
      await this.#check(n);
    }
  }

  async finish(): Promise<void> {
    await this.run({ kind: 'sweep', seconds: METERING_S });
    await this.#fixture.registrar.close();
  }

  #start(now: number): Fixture {
    const { store, wireguard } = this;
    return Object.assign(createFixture(OPTIONS, { store, wireguard, verifier: PRICED }), { now });
  }

  async #act(action: Step): Promise<void> {
    switch (action.kind) {
      case 'traffic':
        return this.#move(action.who, action.received, action.sent);
      case 'sweep':
        return this.#sweep(action.seconds);
      case 'failing':
        this.#fixture.failing[action.part] = action.calls;
        await this.#sweep(action.seconds);
        this.#fixture.failing[action.part] = 0;
        return;
      case 'failingBuy':
        this.#fixture.failing.wireguard = 1;
        await this.#buy(action.who);
        this.#fixture.failing.wireguard = 0;
        return;
      case 'buy':
        return this.#buy(action.who);
      case 'balance':
        await this.#fixture.ask(this.#client(action.who).balance());
        return;
      case 'release':
        await this.#fixture.ask(this.#client(action.who).release());
        return;
      case 'registrarRestarts':
        await this.#fixture.registrar.close();
        this.#fixture = this.#start(this.#fixture.now);
        return;
      case 'interfaceRestarts':
        return this.wireguard.restart();
      case 'countersRestart':
        for (const { publicKey } of CLIENTS) this.wireguard.setCounters(publicKey, NO_TRANSFER);
    }
  }

  #move(n: number, received: number, sent: number): void {
    const { publicKey } = this.#client(n);
    const counters = this.counters[n];
    const account = this.accounts[n];
    // Without a tunnel nothing moves.
    if (counters === undefined || account === undefined) return;
    counters.received += received;
    counters.sent += sent;
    this.wireguard.setCounters(publicKey, counters);
    account.moved += received + sent;
    account.unread += received + sent;
  }

  async #buy(n: number): Promise<void> {
    this.#tokens += 1;
    const credential = token(`t${this.#tokens}`);
    const stands = (await this.#registration(n)) !== undefined;
    const { ask } = this.#fixture;
    const answer = await ask(stands ? this.#client(n).topup(credential) : this.#client(n).register(credential));
    if (answer.status !== 'completed') return;
    const account = (stands && this.accounts[n]) || newAccount();
    account.bought += GRANT;
    this.accounts[n] = account;
  }

  /** After a sweep without faults that comes an interval after the one before, everything that stands has been read. */
  async #sweep(seconds: number): Promise<void> {
    const { registrar, faults } = this.#fixture;
    this.#fixture.now += seconds;
    const earlier = faults.length;
    await registrar.sweep();
    const { now } = this.#fixture;
    const isDue = now - this.#sweptAt >= METERING_S;
    this.#sweptAt = now;
    if (!isDue || faults.length > earlier) return;
    for (const n of NAMES.keys()) {
      const account = this.accounts[n];
      const registration = await this.#registration(n);
      if (account === undefined || registration === undefined) continue;
      const tunnelStands = this.wireguard.peer(registration.wgPublicKey) !== undefined;
      if (tunnelStands !== (registration.phase.kind === 'active')) throw new Error(`${NAMES[n]}: peer against phase`);
      this.#read(account, registration);
    }
  }

  /** What the reading had to see has been charged. */
  #read(account: Account, { bandwidth }: DvpnRegistration): void {
    account.lost += account.hidden;
    const paid = account.bought - bandwidth;
    if (bandwidth > 0 && paid < account.moved - account.lost) {
      throw new Error(`charged ${paid} of ${account.moved}, of which ${account.lost} could not be seen`);
    }
    account.lost = account.moved - paid;
    account.unread = 0;
    account.hidden = 0;
  }

  #gone(n: number): void {
    const account = this.accounts[n];
    if (account === undefined) return;
    account.lost += account.unread;
    account.unread = 0;
    account.hidden = Math.max(account.hidden, account.charged);
  }

  async #check(n: number): Promise<void> {
    const registration = await this.#registration(n);
    if (registration === undefined) {
      this.accounts[n] = undefined;
      return;
    }
    const account = this.accounts[n];
    if (account === undefined) throw new Error(`${NAMES[n]} has a registration that nobody paid for`);
    const { bandwidth, charged } = registration;
    account.charged = charged.received + charged.sent;
    if (bandwidth < 0) throw new Error(`${NAMES[n]} is below 0`);
    const paid = account.bought - bandwidth;
    if (paid > account.moved) throw new Error(`${NAMES[n]} was charged ${paid} for ${account.moved}`);
  }

  async #registration(n: number): Promise<DvpnRegistration | undefined> {
    const { publicKey } = this.#client(n);
    const found = await this.store.transaction((tx) => tx.get({ mode: 'dvpn', wgPublicKey: publicKey }));
    return found?.mode === 'dvpn' ? found : undefined;
  }

  #client(n: number): ReturnType<typeof client> {
    const found = CLIENTS[n];
    if (found === undefined) throw new Error('no such client');
    return found;
  }
}

function newAccount(): Account {
  return { bought: 0, moved: 0, unread: 0, lost: 0, charged: 0, hidden: 0 };
}

test('what is charged is what was moved, less what no reading could see, and never more', async (t) => {
  const sequence = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
    const world = new World();
    for (const action of steps) await world.run(action);
    await world.finish();
  });
  await t.notThrowsAsync(fc.assert(sequence, { numRuns: runs(80, 3000), seed: SEED }) ?? Promise.resolve());
});
