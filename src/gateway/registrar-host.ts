/**
 * The main thread's side of the registrar: a `Registrar` whose work is done on another thread. Requests are bounded, those
 * of one turn of the loop cross as one message, and each gets exactly one outcome: a thread that ends answers all that it
 * owes with `try_later`, and a fresh one goes on with the same store. Nothing here waits for the disk (registration.md, rule 9).
 */
import { assertNever } from '../lp/drop-reason.ts';
import type { Now } from '../lp/time.ts';
import { encodeAnswer } from '../lp/wire/registration-body.ts';
import type { Alarm } from '../registration/alarms.ts';
import { failed } from '../registration/answers.ts';
import type { IssuerPublicKey } from '../registration/credentials/privacy-pass.ts';
import type {
  OutcomeCount,
  Registrar,
  RegistrarStatus,
  RegistrationOutcome,
  RegistrationRequest,
} from '../registration/registrar.ts';
import {
  type CrossedError,
  type FromRegistrar,
  packRequests,
  type RegistrarEvent,
  type RegistrarInit,
  type RegistrarSnapshot,
  unpackAnswers,
} from '../registration/registrar-messages.ts';
import type { CancelTimer } from '../system/timers.ts';
import type { RegistrarThread } from './registrar-thread.ts';
import { Silence } from './silence.ts';

export class RegistrarStartError extends Error {
  /** The cause's own, where it has one: `STORE_IN_USE`, `WIREGUARD_KEY`, … */
  readonly code: string;
  /** The thread itself said that it cannot work like this, and did not just fail. */
  readonly refused: boolean;

  constructor(reason: CrossedError, refused: boolean, options?: ErrorOptions) {
    super(refused ? reason.message : `the registrar did not start: ${reason.message}`, options);
    this.code = refused ? reason.code : 'REGISTRAR_START_FAILED';
    this.refused = refused;
  }
}

export interface RegistrarHostDependencies {
  readonly start: () => RegistrarThread;
  /** For each thread anew: what is secret in it is moved to the thread. */
  readonly init: (keys: readonly IssuerPublicKey[]) => RegistrarInit;
  readonly now: () => Now;
  readonly after: (ms: number, action: () => void) => CancelTimer;
  /** Runs the action at the end of this turn of the loop. */
  readonly defer: (action: () => void) => void;
  /** Requests that wait for their answers; what comes besides is told to try later. */
  readonly queueLength: number;
  readonly startTimeoutMs: number;
  readonly onEvent: (event: RegistrarEvent) => void;
  readonly onLost: (loss: RegistrarLoss) => void;
  /** The registrar cannot be replaced: the gateway must stop. */
  readonly onFatal: (error: Error) => void;
}

export interface RegistrarLoss {
  readonly reason: Error;
  readonly requests: number;
}

export interface RegistrarHostStatus extends RegistrarStatus {
  readonly running: boolean;
  /** How often the thread was replaced. */
  readonly epoch: number;
  /** Requests that were answered `try_later` because their thread ended. */
  readonly lostRequests: number;
  /** Requests that were answered `try_later` because the queue was full or there was no thread. */
  readonly shedRequests: number;
  readonly stored: RegistrarSnapshot['stored'];
  readonly alarms: readonly Alarm[];
  readonly issuerKeys: number;
}

const MAX_REPLACEMENTS = 5;
const REPLACEMENT_WINDOW_MS = 60_000;
/** A store that cannot be opened while the gateway runs is tried again, as one that cannot be written is. */
const REOPEN_AFTER_MS = 5_000;
/** A tick is answered at once, whatever waits; nothing but a hanging thread explains half a minute. */
const SILENCE_LIMIT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 10_000;
/** A full queue empties in milliseconds. */
const RETRY_QUEUE_S = 1;
/** A fresh thread takes its store over in a second or two. */
const RETRY_LOST_S = 5;

export class RegistrarHost implements Pick<Registrar, 'handle' | 'sweep' | 'status' | 'close'> {
  readonly #dependencies: RegistrarHostDependencies;
  #thread: RegistrarThread | undefined;
  #running = false;
  #epoch = 0;
  #snapshot: RegistrarSnapshot | undefined;
  #keys: readonly IssuerPublicKey[] = [];
  #nextId = 1;
  /** All that have no outcome yet, those of `#gathering` included. */
  readonly #waiting = new Map<number, (outcome: RegistrationOutcome) => void>();
  #gathering: { readonly id: number; readonly request: RegistrationRequest }[] = [];
  #swept: PromiseWithResolvers<void> | undefined;
  #closed: PromiseWithResolvers<void> | undefined;
  /** When the tick that has no answer yet was sent. */
  #tickMs: number | undefined;
  readonly #silence = new Silence();
  #replacedMs: number[] = [];
  #lostRequests = 0;
  #shedRequests = 0;
  #cancelReopen: CancelTimer = () => undefined;
  #failStart: (reason: Error) => void = () => undefined;
  #ended: Promise<void> | undefined;

  constructor(dependencies: RegistrarHostDependencies) {
    this.#dependencies = dependencies;
  }

  /** Rejects with RegistrarStartError; then nothing is left running. */
  async start(): Promise<void> {
    const thread = this.#dependencies.start();
    this.#thread = thread;
    let cancel: CancelTimer = () => undefined;
    try {
      const opened = new Promise<RegistrarSnapshot>((resolve, reject) => {
        const late = () => reject(new Error('no answer from its thread'));
        cancel = this.#dependencies.after(this.#dependencies.startTimeoutMs, late);
        this.#failStart = reject;
        thread.onLost(reject);
        thread.onMessage((message) => {
          if (message.kind === 'opened') resolve(message.snapshot);
          else if (message.kind === 'refused') reject(new RegistrarStartError(message.error, true));
          else this.#receive(message);
        });
      });
      thread.post({ kind: 'open', init: this.#dependencies.init(this.#keys) });
      this.#snapshot = await opened;
    } catch (cause) {
      this.#thread = undefined;
      await thread.destroy();
      if (cause instanceof RegistrarStartError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new RegistrarStartError({ code: '', message: reason }, false, { cause });
    } finally {
      cancel();
    }
    thread.onMessage((message) => this.#receive(message));
    thread.onLost((reason) => this.#lost(reason));
    this.#tickMs = undefined;
    this.#running = true;
  }

  handle(request: RegistrationRequest): Promise<RegistrationOutcome> {
    if (this.#ended !== undefined) {
      return Promise.resolve({ kind: 'failure', code: 4, text: 'the registrar is closed' });
    }
    if (!this.#running || this.#waiting.size >= this.#dependencies.queueLength) {
      this.#shedRequests += 1;
      return Promise.resolve(tryLater(this.#running ? RETRY_QUEUE_S : RETRY_LOST_S));
    }
    const id = this.#nextId++;
    if (this.#gathering.length === 0) this.#dependencies.defer(() => this.#flush());
    this.#gathering.push({ id, request });
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  sweep(): Promise<void> {
    if (!this.#running) return Promise.resolve();
    if (this.#swept === undefined) {
      this.#swept = Promise.withResolvers<void>();
      this.#thread?.post({ kind: 'sweep' });
    }
    return this.#swept.promise;
  }

  /** Asks for a sign of life, and gives up a thread that has not answered the last time. */
  tick(): void {
    if (!this.#running) return;
    const nowMs = this.#dependencies.now().monotonicMs;
    const silentMs = this.#silence.look(this.#tickMs, nowMs);
    if (this.#tickMs === undefined) {
      this.#tickMs = nowMs;
      this.#thread?.post({ kind: 'tick' });
    } else if (silentMs > SILENCE_LIMIT_MS) {
      this.#lost(new Error(`no sign of life within ${SILENCE_LIMIT_MS} ms`));
    }
  }

  /** Before the start: those that it begins with. A key that cannot be one is refused at the start or, later, reported. */
  setIssuerKeys(keys: readonly IssuerPublicKey[]): void {
    // Copies of their own: a view would take its whole buffer across.
    this.#keys = keys.map((key) => ({ ...key, spki: Uint8Array.from(key.spki) }));
    if (this.#running) this.#thread?.post({ kind: 'keys', keys: this.#keys });
  }

  /** As the thread told it last: at most a second old while it works, exact when nothing waits. */
  status(): RegistrarHostStatus {
    const status = this.#snapshot?.status ?? NOTHING;
    return {
      ...status,
      outcomes: withUnhandled(status.outcomes, this.#lostRequests + this.#shedRequests),
      queueLength: this.#waiting.size,
      running: this.#running,
      epoch: this.#epoch,
      lostRequests: this.#lostRequests,
      shedRequests: this.#shedRequests,
      stored: this.#snapshot?.stored,
      alarms: this.#snapshot?.alarms ?? [],
      issuerKeys: this.#snapshot?.issuerKeys ?? 0,
    };
  }

  /** Finishes what waits and refuses the rest. */
  close(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    this.#cancelReopen();
    this.#failStart(new Error('it was told to stop'));
    const thread = this.#thread;
    if (thread !== undefined && this.#running) {
      this.#flush();
      const closed = Promise.withResolvers<void>();
      this.#closed = closed;
      const cancel = this.#dependencies.after(CLOSE_TIMEOUT_MS, () => closed.resolve());
      thread.post({ kind: 'close' });
      await closed.promise;
      cancel();
    }
    this.#running = false;
    await thread?.destroy();
    this.#giveUp();
  }

  #flush(): void {
    const gathered = this.#gathering;
    this.#gathering = [];
    if (gathered.length > 0) this.#thread?.post(packRequests(gathered));
  }

  #receive(message: FromRegistrar): void {
    switch (message.kind) {
      case 'answers':
        if (message.snapshot !== undefined) this.#snapshot = message.snapshot;
        for (const { id, outcome } of unpackAnswers(message)) {
          const resolve = this.#waiting.get(id);
          this.#waiting.delete(id);
          resolve?.(outcome);
        }
        break;
      case 'swept':
        this.#snapshot = message.snapshot;
        this.#swept?.resolve();
        this.#swept = undefined;
        break;
      case 'snapshot':
        this.#snapshot = message.snapshot;
        this.#tickMs = undefined;
        break;
      case 'event':
        this.#dependencies.onEvent(message.event);
        break;
      case 'closed':
        this.#closed?.resolve();
        break;
      case 'opened':
      case 'refused':
        throw new Error('assertion: a registrar opens once');
      default:
        assertNever(message);
    }
  }

  /** Once per epoch. */
  #lost(reason: Error): void {
    const thread = this.#thread;
    if (thread === undefined || !this.#running) return;
    this.#thread = undefined;
    this.#running = false;
    this.#snapshot = undefined;
    const requests = this.#giveUp();
    this.#dependencies.onLost({ reason, requests });
    if (this.#closed === undefined) void this.#replace(thread);
    else {
      void thread.destroy();
      this.#closed.resolve();
    }
  }

  /** Every promise that the thread owed is kept here. */
  #giveUp(): number {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#gathering = [];
    this.#lostRequests += waiting.length;
    for (const resolve of waiting) resolve(tryLater(RETRY_LOST_S));
    this.#swept?.resolve();
    this.#swept = undefined;
    return waiting.length;
  }

  async #replace(old: RegistrarThread): Promise<void> {
    // Two on one store would be one too many.
    await old.destroy();
    while (this.#ended === undefined) {
      const nowMs = this.#dependencies.now().monotonicMs;
      this.#replacedMs = this.#replacedMs.filter((at) => nowMs - at < REPLACEMENT_WINDOW_MS);
      if (this.#replacedMs.length >= MAX_REPLACEMENTS) {
        this.#dependencies.onFatal(new Error('the registrar failed too often within a minute'));
        return;
      }
      this.#replacedMs.push(nowMs);
      this.#epoch += 1;
      if (await this.#startAgain()) return;
    }
  }

  /** Whether it runs, or waits for a store to come back, which is no failure of its thread. */
  async #startAgain(): Promise<boolean> {
    try {
      await this.start();
    } catch (error) {
      if (!(error instanceof RegistrarStartError)) throw error;
      if (!error.refused) {
        this.#dependencies.onLost({ reason: error, requests: 0 });
        return false;
      }
      this.#reopenLater(error);
      return true;
    }
    if (this.#ended === undefined) void this.sweep();
    return true;
  }

  #reopenLater({ code, message }: RegistrarStartError): void {
    if (this.#ended !== undefined) return;
    const part = code.startsWith('WIREGUARD') ? ('wireguard' as const) : ('store' as const);
    const since = Math.floor(this.#dependencies.now().unixMs / 1_000);
    const before = this.#snapshot?.alarms.find((alarm) => alarm.part === part);
    const alarm: Alarm = before ?? { part, since, code, message };
    this.#snapshot = { status: NOTHING, stored: undefined, alarms: [alarm], issuerKeys: 0 };
    if (before === undefined) this.#dependencies.onEvent({ kind: 'alarm', alarm });
    this.#cancelReopen = this.#dependencies.after(REOPEN_AFTER_MS, () => {
      void this.#startAgain().then((settled) => {
        if (!settled) void this.#replace(NO_THREAD);
        else if (this.#running) this.#dependencies.onEvent({ kind: 'recovered', part });
      });
    });
  }
}

const NOTHING: RegistrarStatus = {
  registrations: { dvpn: { active: 0, grace: 0 }, mixnet: { active: 0, grace: 0 } },
  quotes: 0,
  leases: { ipv4: { allocated: 0, held: 0, free: 0 }, ipv6: { allocated: 0, held: 0, free: 0 } },
  queueLength: 0,
  outcomes: [],
};

const NO_THREAD: RegistrarThread = {
  post: () => undefined,
  onMessage: () => undefined,
  onLost: () => undefined,
  destroy: async () => undefined,
};

function tryLater(retryAfterS: number): RegistrationOutcome {
  return { kind: 'answer', body: encodeAnswer(failed('try_later', retryAfterS)) };
}

/** What never reached the registrar, as it counts what did. */
function withUnhandled(outcomes: readonly OutcomeCount[], unhandled: number): readonly OutcomeCount[] {
  return unhandled === 0 ? outcomes : [...outcomes, { op: 'unknown', outcome: 'try_later', count: unhandled }];
}
