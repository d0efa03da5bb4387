/**
 * The loop of the registrar's thread, without the thread: messages in, messages out. It owns the registrar and what it works
 * with. Answers that are ready in one turn leave as one message; a fault of store or WireGuard raises an alarm, and a sweep
 * that finds both working again clears it, so that nothing needs a restart (registration.md, rule 9; design §2).
 */
import { loadProvider } from '../lp/crypto/load.ts';
import type { RandomSource } from '../lp/crypto/provider.ts';
import { assertNever } from '../lp/drop-reason.ts';
import type { Clock } from '../system/clock.ts';
import type { Timers } from '../system/timers.ts';
import { type AlarmPart, Alarms } from './alarms.ts';
import type { IssuerPublicKey } from './credentials/privacy-pass.ts';
import { createRegistrar, type Registrar, type RegistrarFault, type RegistrationOutcome } from './registrar.ts';
import {
  crossed,
  type FromRegistrar,
  packAnswers,
  type RegistrarEvent,
  type RegistrarInit,
  type RegistrarSnapshot,
  type ToRegistrar,
  transferOf,
  unpackRequests,
} from './registrar-messages.ts';
import { openParts, type RegistrarParts } from './registrar-parts.ts';
import { probeStore } from './store/probe.ts';

export interface RegistrarWorkerDependencies {
  readonly post: (message: FromRegistrar, transfer: readonly ArrayBuffer[]) => void;
  /** Runs the action at the end of this turn of the loop. */
  readonly defer: (action: () => void) => void;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: RandomSource;
  /** For tests: what is opened in place of what the choice says. */
  readonly open?: typeof openParts;
}

/** A fault that repeats with every request must not fill the log; the outcome `internal` counts them all. */
const MAX_FAULTS_TOLD = 16;
const FAULTS_WINDOW_S = 60;

export class RegistrarWorker {
  readonly #dependencies: RegistrarWorkerDependencies;
  readonly #alarms = new Alarms();
  #parts: RegistrarParts | undefined;
  #registrar: Registrar | undefined;
  #issuerKeys = 0;
  #answers: { readonly id: number; readonly outcome: RegistrationOutcome }[] = [];
  #sweeping = false;
  /** Faults of store and WireGuard since the start. */
  #faults = 0;
  #told = { count: 0, since: 0 };

  constructor(dependencies: RegistrarWorkerDependencies) {
    this.#dependencies = dependencies;
  }

  /** Messages are taken in order; the first is `open`. */
  receive(message: ToRegistrar): void {
    switch (message.kind) {
      case 'open':
        void this.#open(message.init);
        break;
      case 'requests':
        for (const { id, request } of unpackRequests(message)) {
          void this.#opened()
            .handle(request)
            .then((outcome) => {
              // It carried the owner's secret and perhaps a preshared key.
              request.body.fill(0);
              this.#answer(id, outcome);
            });
        }
        break;
      case 'sweep':
        void this.#sweep();
        break;
      case 'tick':
        this.#post({ kind: 'snapshot', snapshot: this.#snapshot() });
        break;
      case 'keys':
        this.#setKeys(message.keys);
        break;
      case 'close':
        void this.#close();
        break;
      default:
        assertNever(message);
    }
  }

  async #open(init: RegistrarInit): Promise<void> {
    const { clock, timers, random, open = openParts } = this.#dependencies;
    try {
      const crypto = await loadProvider(init.crypto);
      const note = (text: string) => this.#tell({ kind: 'note', part: 'wireguard', text });
      const peersLost = () => this.#registrar?.peersLost();
      const parts = await open(init, { clock, timers, random, note, peersLost });
      this.#parts = parts;
      const { store, wireguard, verifier } = parts;
      this.#registrar = createRegistrar(init.options, {
        now: () => this.#now(),
        random,
        blake3: (message) => crypto.blake3(message),
        store,
        wireguard,
        verifier,
        report: (fault) => this.#report(fault),
      });
      this.#issuerKeys = init.credentials.kind === 'none' ? 0 : init.credentials.keys.length;
    } catch (error) {
      await this.#closeParts();
      this.#post({ kind: 'refused', error: crossed(error) });
      return;
    }
    this.#post({ kind: 'opened', snapshot: this.#snapshot() });
  }

  #answer(id: number, outcome: RegistrationOutcome): void {
    this.#answers.push({ id, outcome });
    if (this.#answers.length === 1) this.#dependencies.defer(() => this.#flush());
  }

  #flush(): void {
    const answers = this.#answers;
    if (answers.length === 0) return;
    this.#answers = [];
    this.#watchPool();
    const idle = this.#opened().status().queueLength === 0;
    this.#post({ kind: 'answers', ...packAnswers(answers), ...(idle && { snapshot: this.#snapshot() }) });
  }

  /** One at a time; a call during a sweep is answered by its end. */
  async #sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    const faults = this.#faults;
    await this.#opened().sweep();
    if (this.#alarms.isUp('store')) await this.#probeStore();
    // Whoever failed has been asked again by now, and has not failed again.
    if (faults === this.#faults) {
      this.#clear('store');
      this.#clear('wireguard');
    }
    this.#watchPool();
    this.#sweeping = false;
    this.#post({ kind: 'swept', snapshot: this.#snapshot() });
  }

  async #probeStore(): Promise<void> {
    const { store } = this.#parts ?? {};
    if (store === undefined) return;
    try {
      await probeStore(store, this.#dependencies.random);
    } catch (error) {
      this.#report({ kind: 'store', during: 'sweep', error });
    }
  }

  #setKeys(keys: readonly IssuerPublicKey[]): void {
    const { verifier } = this.#parts ?? {};
    if (verifier?.setKeys === undefined) return;
    try {
      verifier.setKeys(keys);
      this.#issuerKeys = keys.length;
    } catch (error) {
      this.#tell({ kind: 'keysRefused', error: crossed(error) });
    }
  }

  async #close(): Promise<void> {
    await this.#registrar?.close();
    this.#flush();
    await this.#closeParts();
    this.#post({ kind: 'closed' });
  }

  async #closeParts(): Promise<void> {
    const { store, wireguard } = this.#parts ?? {};
    this.#parts = undefined;
    for (const part of [wireguard, store]) {
      try {
        await part?.close();
      } catch (error) {
        this.#tell({ kind: 'fault', during: 'sweep', error: crossed(error) });
      }
    }
  }

  #report({ kind, during, error }: RegistrarFault): void {
    if (kind === 'internal') {
      if (this.#mayTell()) this.#tell({ kind: 'fault', during, error: crossed(error) });
      return;
    }
    this.#faults += 1;
    const alarm = { part: kind, since: this.#now(), ...crossed(error) };
    if (this.#alarms.raise(alarm)) this.#tell({ kind: 'alarm', alarm });
  }

  /** Clients are told to come back, which only the operator can make worth while. */
  #watchPool(): void {
    const { ipv4, ipv6 } = this.#opened().status().leases;
    if (ipv4.free > 0 && ipv6.free > 0) {
      this.#clear('pool');
      return;
    }
    const dry = ipv4.free === 0 ? 'ipv4_pool' : 'ipv6_pool';
    const message = `registration.${dry} has no free address; enlarge it, or wait until registrations end`;
    const alarm = { part: 'pool', since: this.#now(), code: 'POOL_EXHAUSTED', message } as const;
    if (this.#alarms.raise(alarm)) this.#tell({ kind: 'alarm', alarm });
  }

  #clear(part: AlarmPart): void {
    if (this.#alarms.clear(part)) this.#tell({ kind: 'recovered', part });
  }

  #mayTell(): boolean {
    const now = this.#now();
    if (now - this.#told.since >= FAULTS_WINDOW_S) this.#told = { count: 0, since: now };
    this.#told.count += 1;
    return this.#told.count <= MAX_FAULTS_TOLD;
  }

  #snapshot(): RegistrarSnapshot {
    return {
      status: this.#opened().status(),
      stored: this.#stored(),
      alarms: this.#alarms.list,
      issuerKeys: this.#issuerKeys,
    };
  }

  #stored(): RegistrarSnapshot['stored'] {
    try {
      return this.#parts?.store.counts?.();
    } catch {
      // A store that is gone raises its alarm where it is used.
      return undefined;
    }
  }

  #opened(): Registrar {
    if (this.#registrar === undefined) throw new Error('assertion: a registrar is asked before it is open');
    return this.#registrar;
  }

  #now(): number {
    return Math.floor(this.#dependencies.clock.now().unixMs / 1_000);
  }

  #tell(event: RegistrarEvent): void {
    this.#post({ kind: 'event', event });
  }

  #post(message: FromRegistrar): void {
    this.#dependencies.post(message, transferOf(message));
  }
}
