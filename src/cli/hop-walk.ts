/**
 * What a client does at one gateway after another, each step by itself, so that its time and its failure are its own (a
 * client in use saves round trips by letting requests ride in handshakes). Shared by probe and localnet. Invariant: after
 * `finish` no session is open, and with `release` no registration of ours stands at a gateway that can be reached and whose
 * protocol version has a release. What a version can do, the client is asked; which version it is, nobody here knows.
 */
import { timingSafeEqual } from 'node:crypto';
import {
  type AnswerBody,
  type Client,
  connect,
  type GatewayOptions,
  type Hop,
  type KemName,
  KIND,
  LewesError,
  TokenError,
} from '../client/index.ts';
import type { CryptoProvider } from '../lp/crypto/provider.ts';
import { encodeBase58 } from '../ops/base58.ts';
import { systemRandom } from '../system/random.ts';
import {
  checkReleased,
  type FreshEnrolment,
  freshEnrolment,
  type ShownRegistration,
  shownRegistration,
  wipe,
} from './enrolment.ts';
import type { GatewayPlan } from './probe-plan.ts';
import { StepFailure, type StepLog, stepError } from './step-log.ts';
import { TimedSource } from './timed-source.ts';
import type { Wallet } from './token-options.ts';
import type { Tunnel } from './wg-quick.ts';

const ECHO_BYTES = 32;
/** What releasing may take at each gateway; the second when time is up or the user has had enough. */
const RELEASE_MS = 5_000;
const LATE_RELEASE_MS = 2_000;

export interface WalkOptions {
  readonly crypto: CryptoProvider;
  readonly log: StepLog;
  /** Pays for registrations where the protocol version can carry a token. */
  readonly wallet: Wallet;
  /** Several packets per connection also where the protocol version has one by default. */
  readonly keepConnections?: boolean;
  /** The user's interruption. */
  readonly signal: AbortSignal;
  /** For everything but releasing. */
  readonly timeoutMs: number;
}

export interface HopTasks {
  readonly register: boolean;
  readonly rekey: boolean;
  /** The suites to use; leave it out for the client's own. */
  readonly kem?: readonly KemName[];
}

export interface WalkRegistration extends ShownRegistration {
  /** Whether the protocol version lets its owner end it; otherwise it ends by itself. */
  readonly releasable: boolean;
  readonly released: boolean;
}

type DvpnAnswer = Extract<AnswerBody, { status: 'completed'; mode: 'dvpn' }>;

interface Visited {
  readonly hop: Hop;
  readonly client: Client;
  readonly gateway: GatewayPlan;
  enrolment: FreshEnrolment | undefined;
  /** What it registered, with the gateway's key. */
  answer: DvpnAnswer | undefined;
}

export class HopWalk {
  /** By hop, of gateways that registered. */
  readonly registrations: Partial<Record<Hop, WalkRegistration>> = {};
  readonly #options: WalkOptions;
  readonly #deadlineMs: number;
  readonly #signal: AbortSignal;
  readonly #visited: Visited[] = [];

  constructor(options: WalkOptions) {
    this.#options = options;
    this.#deadlineMs = options.log.nowMs + options.timeoutMs;
    this.#signal = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)]);
  }

  /**
   * Does everything at one gateway, reached through the one that was visited last. True when the way leads on: the gateway
   * answers. What fails is noted. Throws a LewesError `invalid_option` before anything was sent.
   */
  async visit(hop: Hop, gateway: GatewayPlan, { register, rekey, kem }: HopTasks): Promise<boolean> {
    const client = await this.#connect(hop, gateway, kem);
    if (client === undefined) return false;
    const visited: Visited = { hop, client, gateway, enrolment: undefined, answer: undefined };
    this.#visited.push(visited);
    if (client.offers(KIND.opaque) && !(await this.#step(hop, 'echo', () => this.#echo(client)))) return false;
    const tasks = [
      register && (() => this.#step(hop, 'registration', () => this.#register(visited))),
      rekey && (() => this.#step(hop, 'rekey', () => client.rekey({ signal: this.#signal }))),
    ];
    for (const task of tasks) {
      // A step that fails does not stand in the way of the next, but one interruption is told once.
      if (task && !(await task()) && this.#signal.aborted) return false;
    }
    return true;
  }

  /** What was registered, in the order of the way, with its secrets: they are wiped by `finish`. */
  tunnels(): readonly Tunnel[] {
    return this.#visited.flatMap(({ hop, client, gateway, enrolment, answer }) => {
      const registration = this.registrations[hop];
      if (enrolment === undefined || answer === undefined || registration === undefined) return [];
      const { secretKey, presharedKey, owner } = enrolment;
      // Where a registration can only be made, neither of them was sent; the gateway's key stands for the first (lp1.md §8.6).
      const shared = client.managesRegistrations ? { presharedKey, owner } : { presharedKey: gateway.identity };
      const identity = encodeBase58(gateway.identity);
      return [{ ...registration, ...shared, secretKey, gatewayKey: answer.wgPublicKey, identity }];
    });
  }

  /** Releases what was registered where that is asked for, and closes the sessions; the exit's first. */
  async finish({ release }: { readonly release: boolean }): Promise<void> {
    for (const visited of this.#visited.toReversed()) {
      if (release) await this.#release(visited);
      if (visited.enrolment !== undefined) wipe(visited.enrolment);
      await visited.client.close();
    }
  }

  async #connect(hop: Hop, gateway: GatewayOptions, kem?: readonly KemName[]): Promise<Client | undefined> {
    const { crypto, log, keepConnections } = this.#options;
    const via = this.#visited.at(-1)?.client;
    let connected = false;
    let lastMs = log.nowMs;
    try {
      const client = await connect({
        gateway,
        ...(via !== undefined && { via }),
        ...(kem !== undefined && { kem }),
        ...(keepConnections === true && { keepConnections }),
        crypto,
        signal: this.#options.signal,
        // Not by the signal: the client knows what it was waiting for when time is up.
        timeouts: { openMs: Math.max(1, Math.floor(this.#deadlineMs - lastMs)) },
        // It tells what it finds; trying again is the user's affair.
        attempts: 1,
        reconnect: false,
        onStep: ({ step, ms }) => {
          // Later steps are timed where they are taken.
          if (connected) return;
          log.done(hop, step, ms);
          lastMs = log.nowMs;
        },
      });
      connected = true;
      return client;
    } catch (error) {
      if (!(error instanceof LewesError) || error.code === 'invalid_option') throw error;
      // The entry was connected to on its own, so its client calls itself direct.
      const at = error.hop === 'direct' ? (this.#visited.at(-1)?.hop ?? hop) : error.hop;
      log.failed(at, error.step, log.nowMs - lastMs, this.#explained(error));
      return undefined;
    }
  }

  async #echo(client: Client): Promise<void> {
    const sent = new Uint8Array(ECHO_BYTES);
    systemRandom.fill(sent);
    const echoed = await client.echo(sent, { signal: this.#signal });
    if (echoed.length === sent.length && timingSafeEqual(echoed, sent)) return;
    const message = 'the gateway sent other bytes back; tell its operator';
    throw new StepFailure({ code: 'malformed_answer', reason: 'echo', message });
  }

  /** Resolves to the milliseconds of the token, which is a step of its own. */
  async #register(visited: Visited): Promise<number> {
    const enrolment = freshEnrolment(this.#options.crypto, systemRandom);
    // Noted first: when no answer comes, nobody knows whether it was executed.
    visited.enrolment = enrolment;
    const { secretKey: _, ...request } = enrolment;
    const payment = new TimedSource(this.#options.wallet(visited.gateway.address), visited.hop, this.#options.log);
    const answer = await visited.client.enrol(request, payment, { signal: this.#signal }).catch((error: unknown) => {
      if (error instanceof LewesError && error.code === 'payment_failed') this.#forget(visited);
      throw error;
    });
    if (answer.status !== 'completed') this.#forget(visited);
    else if (answer.mode === 'dvpn') visited.answer = answer;
    const { managesRegistrations: releasable } = visited.client;
    this.registrations[visited.hop] = { ...shownRegistration(answer), releasable, released: false };
    return payment.ms;
  }

  /** There is nothing to release. */
  #forget(visited: Visited): void {
    if (visited.enrolment !== undefined) wipe(visited.enrolment);
    visited.enrolment = undefined;
  }

  async #release({ hop, client, enrolment }: Visited): Promise<void> {
    if (enrolment === undefined || !client.managesRegistrations) return;
    const { wgPublicKey, owner } = enrolment;
    const timeoutMs = this.#signal.aborted ? LATE_RELEASE_MS : RELEASE_MS;
    await this.#step(hop, 'release', async () => {
      const answer = await client.release({ mode: 'dvpn', wgPublicKey, owner }, { timeoutMs });
      const known = this.registrations[hop];
      const unknown = answer.status === 'failed' && answer.code === 'not_owner';
      // The request whose answer was missing had not arrived, then.
      if (unknown && known === undefined) return;
      checkReleased(answer);
      if (known !== undefined) this.registrations[hop] = { ...known, released: true };
    });
  }

  /** False, with the failure noted, where the step failed. `work` may resolve to milliseconds that are noted elsewhere. */
  async #step(hop: Hop, step: 'echo' | 'registration' | 'rekey' | 'release', work: () => Promise<unknown>) {
    const { log } = this.#options;
    const startMs = log.nowMs;
    try {
      const result = await work();
      const elsewhereMs = typeof result === 'number' ? result : 0;
      log.done(hop, step, log.nowMs - startMs - elsewhereMs);
      return true;
    } catch (error) {
      // Told as the step `token`.
      if (isToldOfToken(error)) return false;
      log.failed(hop, step, log.nowMs - startMs, this.#explained(error));
      return false;
    }
  }

  #explained(error: unknown) {
    const fields = stepError(error);
    if (fields.code !== 'aborted' && fields.reason !== 'aborted') return fields;
    if (this.#options.signal.aborted) return { ...fields, message: 'interrupted before it was done' };
    const seconds = this.#options.timeoutMs / 1_000;
    const message = `not done within ${seconds} s: the gateway is overloaded, far away or unreachable; try again, or allow more time`;
    return { code: 'timeout', reason: 'deadline', message };
  }
}

/** Those of an interruption are told by the step that waited. */
function isToldOfToken(error: unknown): boolean {
  return error instanceof LewesError && error.cause instanceof TokenError && error.cause.code !== 'aborted';
}
