/**
 * The mixed load of a run, and how it recovers: sessions that echo, rekey and register, handshakes, two hops, and clients of Nym's, all
 * through the proxies. Whoever needs longer than the budget after a fault is a violation.
 */
import { setTimeout as wait } from 'node:timers/promises';
import {
  type ConnectOptions,
  type GatewayOptions,
  MemoryKemKeyCache,
  type NymNodeData,
} from '../../src/client/index.ts';
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import { Buyer, type Shop } from './buyers.ts';
import { EchoClient, HandshakeClient, Marks, RekeyingClient, TwoHopClient } from './clients.ts';
import { overBudget, type RetryBudget, type Violations } from './invariants.ts';
import { NymClient } from './nym-clients.ts';
import type { Patient } from './patient.ts';

/**
 * What a client may need after a fault. It notices a session that is gone after two requests of a second each, then has three
 * attempts at a handshake; through an entry both hops may be gone, and are found so one after the other.
 */
export const BUDGET: RetryBudget = { attempts: 24, seconds: 20 };
const TIMEOUTS = { connectMs: 2_000, openMs: 8_000, requestMs: 1_000, forwardMs: 1_500 };
const LOOK_EVERY_MS = 20;
const ABANDONED_AFTER_MS = 12_000;

const COUNTS = { echo: 6, rekey: 4, handshake: 3, twoHops: 4, buyers: 8, nym: 3 } as const;

export interface LoadParts {
  readonly crypto: CryptoProvider;
  readonly violations: Violations;
  readonly shop: Shop;
  /** Through the proxies. */
  readonly entry: GatewayOptions;
  readonly exit: GatewayOptions;
  readonly nym: {
    readonly entry: NymNodeData;
    readonly exit: NymNodeData;
    /** Whether bytes on the way to either were harmed since then. */
    readonly harmedSince: (ms: number) => boolean;
  };
}

export interface Recovery {
  /** Clients that saw an error or lost a session since the fault began. */
  readonly affected: number;
  /** Of each client, in milliseconds from the end of the fault. */
  readonly ms: readonly number[];
  /** Its name. */
  readonly slowest: string;
}

export class Load {
  /** Seconds of the entry's clock before this machine's. */
  entryAheadS = 0;
  readonly #parts: LoadParts;
  readonly #stop = new AbortController();
  readonly #patients: readonly Patient[];
  #running: Promise<unknown> = Promise.resolve();

  constructor(parts: LoadParts) {
    this.#parts = parts;
    this.#patients = this.#makePatients();
  }

  get clients(): number {
    return this.#patients.length;
  }

  start(): void {
    this.#running = Promise.all(this.#patients.map((patient) => patient.run()));
  }

  /** Resolves when all are recovered, or one is beyond its budget, which is a violation. */
  async recovered(beganMs: number, endedMs: number): Promise<Recovery> {
    const records = this.#patients.map(({ record }) => record);
    const { violations } = this.#parts;
    for (;;) {
      const nowMs = performance.now();
      const over = records.map((record) => overBudget(record, endedMs, nowMs, BUDGET)).find((why) => why !== undefined);
      if (over !== undefined) violations.tell(over);
      const ms = records.flatMap((record) => record.recoveredAfter(endedMs) ?? []);
      if (ms.length === records.length || violations.first !== undefined) {
        const slowest = records.reduce((a, b) =>
          (a.recoveredAfter(endedMs) ?? 0) < (b.recoveredAfter(endedMs) ?? 0) ? b : a,
        );
        return {
          affected: records.filter((record) => record.wasDisturbedSince(beganMs)).length,
          ms,
          slowest: slowest.name,
        };
      }
      await wait(LOOK_EVERY_MS);
    }
  }

  /** Ends what is under way, and closes all sessions. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Like `stop`, without waiting for those that cannot end. */
  async abandon(): Promise<void> {
    this.#stop.abort();
    await Promise.race([this.#running, wait(ABANDONED_AFTER_MS)]);
  }

  #makePatients(): Patient[] {
    const { violations, shop, crypto, entry, exit, nym } = this.#parts;
    const stop = this.#stop.signal;
    const marks = new Marks();
    const keyCache = new MemoryKemKeyCache();
    const common = { crypto, timeouts: TIMEOUTS };
    const direct: ConnectOptions = { ...common, gateway: entry, keyCache };
    // Half of them ask for the gateway's KEM key each time.
    const uncached: ConnectOptions = { ...common, gateway: entry };
    const through: ConnectOptions = { ...common, gateway: exit, via: entry, keyCache };
    const parts = (options: ConnectOptions) => ({ violations, stop, marks, options });
    const { harmedSince } = nym;
    const nymParts = { violations, stop, crypto, harmedSince, aheadS: () => this.entryAheadS, entry: nym.entry };
    const some = <T>(count: number, make: (n: number) => T) => Array.from({ length: count }, (_, n) => make(n + 1));
    return [
      ...some(COUNTS.echo, (n) => new EchoClient(`echo ${n}`, parts(n % 2 === 0 ? direct : uncached))),
      ...some(COUNTS.rekey, (n) => new RekeyingClient(`rekey ${n}`, parts(direct))),
      ...some(COUNTS.handshake, (n) => new HandshakeClient(`handshake ${n}`, parts(n % 2 === 0 ? direct : uncached))),
      ...some(COUNTS.twoHops, (n) => new TwoHopClient(`two hops ${n}`, parts(through))),
      ...some(COUNTS.buyers, (n) => new Buyer(`buyer ${n}`, { violations, stop, shop, options: direct })),
      ...some(COUNTS.nym, (n) => new NymClient(`nym ${n}`, { ...nymParts, pipelining: n % 2 === 0 })),
      new NymClient('nym two hops', { ...nymParts, exit: nym.exit, pipelining: false }),
    ];
  }
}
