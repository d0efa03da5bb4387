/**
 * Registers with a node, or with an entry and, through it, an exit (nym.md §11): connections, handshakes and registrations
 * in the reference's order, or pipelined (§12) with a fall-back to that order on a fresh connection. Invariants: every wait
 * has an end; whichever way it ends, no connection is left; a Finalise whose answer was lost is followed by Initial on a
 * fresh connection, and no credential is asked for twice.
 */
import { matchesDigest } from '../../lp/nym/kem-suite.ts';
import { LewesError } from '../errors.ts';
import { sleep } from '../wakeup.ts';
import { DirectLink } from './direct-link.ts';
import { ExitLink } from './exit-link.ts';
import { unknownOutcome } from './explain.ts';
import type { HopLink } from './hop-link.ts';
import type { HopRegistration } from './hop-registration.ts';
import type { NymNodeData } from './node-data.ts';
import type { NymRun } from './run.ts';

/** How far to go: `finalise` is the whole of it. Only a trial stops before. */
export type NymExtent = 'handshake' | 'initial' | 'finalise';

/** §11: 100 ms · 2^min(attempt, 4), and a quarter of it at random. */
const FIRST_DELAY_MS = 100;
const MAX_DOUBLINGS = 4;

/** What a node that takes one message at a time does with two. Everything else is told by both orders alike. */
const PIPELINING_CODES: readonly LewesError['code'][] = ['connection_lost', 'forward_failed', 'timeout'];
/** What a fresh connection may mend. */
const PASSING_CODES: readonly LewesError['code'][] = [...PIPELINING_CODES, 'connect_failed', 'malformed_answer'];

export interface RegisterPlan {
  readonly entry: HopRegistration;
  readonly exit: HopRegistration | undefined;
  readonly extent: NymExtent;
  readonly pipelining: boolean;
  /** Attempts after one that failed before anything was paid. */
  readonly retries: number;
  /** Attempts to learn what became of a Finalise. */
  readonly finaliseRepeats: number;
  readonly onRegistered: (registration: HopRegistration, endpointIp: Uint8Array) => void;
}

export class Register {
  readonly #run: NymRun;
  readonly #plan: RegisterPlan;
  readonly #told = new Set<HopRegistration>();
  #pipelining: boolean;
  /** Something has left in this attempt that the reference would have held back. */
  #pipelined = false;
  #skewS = 0;

  constructor(run: NymRun, plan: RegisterPlan) {
    this.#run = run;
    this.#plan = plan;
    const refuses = run.kemKeyCache?.refusesPipelining(plan.entry.options.node.lpKey) ?? false;
    this.#pipelining = plan.pipelining && !refuses;
  }

  /** Rejects with LewesError. */
  async run(): Promise<void> {
    let repeats = 0;
    let fellBack = false;
    for (;;) {
      try {
        await this.#attempt();
        if (fellBack) this.#run.kemKeyCache?.noteRefusal(this.#plan.entry.options.node.lpKey);
        return;
      } catch (error) {
        if (!(error instanceof LewesError)) throw error;
        if (this.#pipelining && this.#pipelined && PIPELINING_CODES.includes(error.code)) {
          this.#pipelining = false;
          fellBack = true;
          continue;
        }
        repeats++;
        if (!this.#mayRepeat(error, repeats)) throw this.#final(error);
      }
      await sleep(this.#delayMs(repeats), this.#run.timers, this.#run.signal);
    }
  }

  get #registrations(): readonly HopRegistration[] {
    const { entry, exit } = this.#plan;
    return exit === undefined ? [entry] : [exit, entry];
  }

  #mayRepeat({ code }: LewesError, repeats: number): boolean {
    const uncertain = this.#registrations.some((each) => each.uncertain);
    const limit = uncertain ? this.#plan.finaliseRepeats : this.#plan.retries;
    return repeats <= limit && PASSING_CODES.includes(code);
  }

  #final(error: LewesError): LewesError {
    const uncertain = this.#registrations.find((each) => each.uncertain);
    return uncertain === undefined ? error : unknownOutcome(uncertain.options.hop, error);
  }

  #delayMs(attempt: number): number {
    const jitter = new Uint8Array(1);
    this.#run.random.fill(jitter);
    const delayMs = FIRST_DELAY_MS * 2 ** Math.min(attempt, MAX_DOUBLINGS);
    return delayMs * (1 + (jitter[0] ?? 0) / 1_024);
  }

  async #attempt(): Promise<void> {
    const { entry, exit } = this.#plan;
    this.#pipelined = false;
    const link = await DirectLink.connect(this.#run, entry.options.hop, entry.options.node);
    try {
      await link.handshake(this.#knownKey(entry.options.node));
      if (exit === undefined || exit.tunnel !== undefined) await this.#register([entry, link]);
      else await this.#registerBoth([entry, link], exit);
      await link.close();
    } finally {
      link.destroy();
    }
  }

  async #registerBoth([entry, link]: readonly [HopRegistration, DirectLink], exit: HopRegistration): Promise<void> {
    const exitLink = new ExitLink(this.#run, link, exit.options.node);
    try {
      if (this.#pipelining) {
        this.#pipelined = true;
        await this.#pipelinedBoth([entry, link], [exit, exitLink]);
      } else {
        await exitLink.handshake(undefined);
        await this.#register([exit, exitLink]);
        await this.#register([entry, link]);
      }
    } finally {
      exitLink.wipe();
    }
  }

  /** The entry's Initial travels with the exit's handshake; nobody is paid before both have answered. */
  async #pipelinedBoth(
    entry: readonly [HopRegistration, DirectLink],
    exit: readonly [HopRegistration, ExitLink],
  ): Promise<void> {
    const handshake = exit[1].handshake(this.#knownKey(exit[0].options.node));
    await together([handshake.then(() => this.#ask(exit)), this.#ask(entry)]);
    await together([this.#pay(exit), this.#pay(entry)]);
  }

  async #register(at: readonly [HopRegistration, HopLink]): Promise<void> {
    await this.#ask(at);
    await this.#pay(at);
  }

  async #ask([registration, link]: readonly [HopRegistration, HopLink]): Promise<void> {
    if (this.#plan.extent === 'handshake' || registration.tunnel !== undefined) return;
    await registration.ask(link, this.#skewS);
    this.#skewS = registration.skewS;
    this.#tell(registration, link);
  }

  async #pay([registration, link]: readonly [HopRegistration, HopLink]): Promise<void> {
    if (this.#plan.extent !== 'finalise') return;
    await registration.pay(link);
    this.#tell(registration, link);
  }

  #tell(registration: HopRegistration, link: HopLink): void {
    if (registration.tunnel === undefined || this.#told.has(registration)) return;
    this.#told.add(registration);
    this.#plan.onRegistered(registration, link.endpointIp);
  }

  /** Only for pipelining: the reference always asks. */
  #knownKey({ lpKey, kemDigest }: NymNodeData): Uint8Array | undefined {
    if (!this.#pipelining) return undefined;
    const key = this.#run.kemKeyCache?.get(lpKey);
    if (key === undefined || !matchesDigest(this.#run.crypto, key, kemDigest)) return undefined;
    this.#pipelined = true;
    return key;
  }
}

/** All come to their end; the first failure is the one that is told. */
async function together(tasks: readonly Promise<void>[]): Promise<void> {
  let first: { readonly error: unknown } | undefined;
  const noted = tasks.map((task) =>
    task.catch((error: unknown) => {
      first ??= { error };
    }),
  );
  await Promise.all(noted);
  if (first !== undefined) throw first.error;
}
