/**
 * The registrar: hostile bodies in, answers out (registration.md). Requests of one name run one at a time in the order in
 * which they came, those of different names beside each other, a sweep alone; the queue is bounded, and whatever goes wrong
 * in one request becomes its own answer. It has no timers: the gateway calls `sweep` on its tick, and what has run out counts as ended at every lookup.
 */
import type { RandomSource } from '../lp/crypto/provider.ts';
import {
  type AnswerBody,
  decodeRequest,
  encodeAnswer,
  type MalformedBody,
  type RegistrationCode,
  type RegistrationName,
  type RegistrationOp,
  type RequestBody,
} from '../lp/wire/registration-body.ts';
import { failed } from './answers.ts';
import type { CredentialVerifier } from './credentials/verifier.ts';
import { AddressPool, type LeaseCounts, TunnelLeases } from './leases.ts';
import { Ledger, ReadingDueError, type RegistrationCounts } from './ledger.ts';
import { NameQueues } from './name-queues.ts';
import { Operations } from './operations.ts';
import { checkOptions, type RegistrarOptions } from './options.ts';
import { Quotes } from './quotes.ts';
import { nameKey, type RegistrationStore, StoreError } from './store/store.ts';
import { type WireGuardBackend, WireGuardError } from './wireguard/backend.ts';

export type { RegistrarOptions } from './options.ts';

export interface RegistrationRequest {
  /** MessagePack map of frame kind 1, hostile. Must not change until the outcome is there; nothing of it is kept then. */
  readonly body: Uint8Array;
  /** Key of the address that made the session: IPv4 address or IPv6 /64. */
  readonly source: string;
  /** Key of the session family. */
  readonly family: string;
  /** How many quotes this source may hold at once; a listed entry has its own number. */
  readonly quotesAllowed: number;
}

export type RegistrationOutcome =
  /** The body of frame kind 2. */
  | { readonly kind: 'answer'; readonly body: Uint8Array }
  /** Frame kind 5: 1 malformed, 4 try later. */
  | { readonly kind: 'failure'; readonly code: 1 | 4; readonly text: string };

export type OutcomeLabel = 'completed' | 'credential_required' | RegistrationCode | 'malformed' | 'unavailable';

export interface OutcomeCount {
  /** `unknown`: the body was not read or not readable. */
  readonly op: RegistrationOp | 'unknown';
  readonly outcome: OutcomeLabel;
  readonly count: number;
}

export interface RegistrarStatus {
  readonly registrations: RegistrationCounts;
  readonly quotes: number;
  readonly leases: { readonly ipv4: LeaseCounts; readonly ipv6: LeaseCounts };
  readonly queueLength: number;
  readonly outcomes: readonly OutcomeCount[];
}

/** Something that the operator should see. `error` holds no secrets. */
export interface RegistrarFault {
  readonly kind: 'store' | 'wireguard' | 'internal';
  readonly during: RegistrationOp | 'sweep';
  readonly error: unknown;
}

export interface RegistrarDependencies {
  /** Unix seconds, whole. */
  readonly now: () => number;
  readonly random: RandomSource;
  readonly blake3: (message: Uint8Array) => Uint8Array;
  readonly store: RegistrationStore;
  readonly wireguard: WireGuardBackend;
  readonly verifier: CredentialVerifier;
  readonly report: (fault: RegistrarFault) => void;
}

export interface Registrar {
  /** Never rejects. */
  handle(request: RegistrationRequest): Promise<RegistrationOutcome>;
  /**
   * Charges transfer when it is time, ends what has run out and repairs what could not be carried out. Never rejects; a
   * call during a sweep joins it.
   */
  sweep(): Promise<void>;
  /** The WireGuard interface has come back without its peers: the next sweep sets all of them. */
  peersLost(): void;
  status(): RegistrarStatus;
  /** Finishes what is queued and refuses the rest. Store and WireGuard are closed by whoever made them. */
  close(): Promise<void>;
}

/** A full queue empties in milliseconds. */
const RETRY_QUEUE_S = 1;
/** A store or a WireGuard interface that restarts takes a few seconds. */
const RETRY_FAULT_S = 5;

/** Throws `RegistrationConfigError` for options that cannot work. */
export function createRegistrar(options: RegistrarOptions, dependencies: RegistrarDependencies): Registrar {
  return new LocalRegistrar(options, dependencies);
}

class LocalRegistrar implements Registrar {
  readonly #dependencies: RegistrarDependencies;
  readonly #queues: NameQueues;
  readonly #leases: TunnelLeases;
  readonly #quotes: Quotes;
  readonly #ledger: Ledger;
  readonly #operations: Operations;
  readonly #outcomes = new Map<string, { op: OutcomeCount['op']; outcome: OutcomeLabel; count: number }>();
  #sweeping: Promise<void> | undefined;
  #closed = false;

  constructor(options: RegistrarOptions, dependencies: RegistrarDependencies) {
    const settings = checkOptions(options);
    const { random, store, wireguard, verifier, blake3 } = dependencies;
    const leases = new TunnelLeases(
      new AddressPool(settings.ranges.ipv4, random),
      new AddressPool(settings.ranges.ipv6, random),
    );
    const { graceSeconds, meteringSeconds, quoteHoldSeconds } = settings;
    this.#dependencies = dependencies;
    this.#queues = new NameQueues(settings.queueLength);
    this.#leases = leases;
    this.#quotes = new Quotes(quoteHoldSeconds, (quote) => quote.tunnel && leases.releaseHeld(quote.tunnel.addresses));
    this.#ledger = new Ledger({ store, wireguard, leases, graceSeconds, meteringSeconds });
    this.#operations = new Operations({
      settings,
      ledger: this.#ledger,
      quotes: this.#quotes,
      leases,
      verifier,
      blake3,
    });
  }

  async handle(request: RegistrationRequest): Promise<RegistrationOutcome> {
    if (this.#closed) {
      this.#count('unknown', 'unavailable');
      return { kind: 'failure', code: 4, text: 'the registrar is closed' };
    }
    if (this.#queues.isFull) return this.#answer('unknown', failed('try_later', RETRY_QUEUE_S));
    const decoded = decodeRequest(request.body);
    if (decoded.kind === 'malformed') {
      this.#count('unknown', 'malformed');
      return { kind: 'failure', code: 1, text: malformedText(decoded) };
    }
    const body = decoded.value;
    const name = nameOf(body);
    const { answered } = await this.#queues.run(nameKey(name), async () => {
      const outcome = await this.#handleNow(body, name, request, false);
      if (outcome !== 'reading_due') return { answered: outcome };
      // Queued before this job ends, so that whoever waits for all of them waits for this one, too.
      return { answered: this.#queues.runExclusive(() => this.#handleNow(body, name, request, true)) };
    });
    const outcome = await answered;
    if (outcome === 'reading_due') throw new Error('assertion: whoever runs alone may read');
    return outcome;
  }

  sweep(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#sweeping ??= this.#queues
      .runExclusive(() => this.#sweepNow())
      .finally(() => {
        this.#sweeping = undefined;
      });
    return this.#sweeping;
  }

  peersLost(): void {
    this.#ledger.peersLost();
    void this.sweep();
  }

  status(): RegistrarStatus {
    const { dvpn, mixnet } = this.#ledger.counts;
    return {
      registrations: { dvpn: { ...dvpn }, mixnet: { ...mixnet } },
      quotes: this.#quotes.size,
      leases: this.#leases.counts(),
      queueLength: this.#queues.length,
      outcomes: [...this.#outcomes.values()].map((entry) => ({ ...entry })),
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    while (this.#queues.length > 0) await this.#queues.idle();
    this.#quotes.clear();
  }

  async #handleNow(
    body: RequestBody,
    name: RegistrationName,
    { source, family, quotesAllowed }: RegistrationRequest,
    alone: boolean,
  ): Promise<RegistrationOutcome | 'reading_due'> {
    const { op } = body;
    try {
      using scope = new DisposableStack();
      await this.#ledger.restore();
      const now = this.#dependencies.now();
      this.#quotes.expire(now);
      scope.use(this.#quotes.use(name));
      return this.#answer(op, await this.#operations.run(body, { now, source, family, quotesAllowed, scope, alone }));
    } catch (error) {
      if (error instanceof ReadingDueError) return 'reading_due';
      const kind = this.#report(op, error);
      return this.#answer(op, kind === 'internal' ? failed('internal') : failed('try_later', RETRY_FAULT_S));
    }
  }

  async #sweepNow(): Promise<void> {
    try {
      const now = this.#dependencies.now();
      this.#quotes.expire(now);
      await this.#ledger.restore();
      await this.#ledger.sweep(now);
    } catch (error) {
      this.#report('sweep', error);
    }
  }

  #report(during: RegistrarFault['during'], error: unknown): RegistrarFault['kind'] {
    const kind =
      error instanceof StoreError ? 'store' : error instanceof WireGuardError ? 'wireguard' : ('internal' as const);
    this.#dependencies.report({ kind, during, error });
    return kind;
  }

  #answer(op: OutcomeCount['op'], answer: AnswerBody): RegistrationOutcome {
    const body = encodeAnswer(answer);
    this.#count(op, answer.status === 'failed' ? answer.code : answer.status);
    return { kind: 'answer', body };
  }

  #count(op: OutcomeCount['op'], outcome: OutcomeLabel): void {
    const key = `${op} ${outcome}`;
    const entry = this.#outcomes.get(key);
    if (entry === undefined) this.#outcomes.set(key, { op, outcome, count: 1 });
    else entry.count += 1;
  }
}

function nameOf(body: RequestBody): RegistrationName {
  return 'name' in body ? body.name : body.enrolment;
}

/** Names only what the specification names: the peer's own text goes nowhere. */
function malformedText({ reason, key }: MalformedBody): string {
  return key === undefined ? reason : `${reason}: ${key}`;
}
