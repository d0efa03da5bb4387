/**
 * The registration at one hop while connections come and go: the enrolment, and the one credential that it may have.
 * Invariant: the source is asked once at most, whichever connection wanted it, and is told at the end what became of it.
 */
import { Redacted } from '../../lp/crypto/secret.ts';
import type { NymTunnel } from '../../lp/nym/registration.ts';
import { type Hop, LewesError } from '../errors.ts';
import {
  credentialError,
  type NymCredentialOutcome,
  type NymCredentialRequest,
  type NymCredentialSource,
} from './credential-source.ts';
import { Enrolment, type EnrolmentStep } from './enrolment.ts';
import { enrolmentError } from './explain.ts';
import type { HopLink } from './hop-link.ts';
import { inTime } from './in-time.ts';
import type { NymNodeData } from './node-data.ts';
import type { NymRun } from './run.ts';

export interface HopRegistrationOptions {
  readonly hop: Hop;
  readonly node: NymNodeData;
  readonly wgPublicKey: Uint8Array;
  readonly presharedKey: Uint8Array;
  readonly credentials: NymCredentialSource | undefined;
  readonly searchClock: boolean;
}

export class HopRegistration extends Redacted {
  readonly options: HopRegistrationOptions;
  readonly #run: NymRun;
  #enrolment: Enrolment | undefined;
  #credential: Promise<Uint8Array> | undefined;
  #request: NymCredentialRequest | undefined;
  readonly #noUse = new AbortController();
  #next: EnrolmentStep | undefined;
  #tunnel: NymTunnel | undefined;
  #refused = false;

  constructor(run: NymRun, options: HopRegistrationOptions) {
    super();
    this.#run = run;
    this.options = options;
  }

  get tunnel(): NymTunnel | undefined {
    return this.#tunnel;
  }

  get wantsCredential(): boolean {
    return this.#next?.kind === 'credentialRequired';
  }

  get uncertain(): boolean {
    return this.#enrolment?.uncertain ?? false;
  }

  get paid(): boolean {
    return this.#enrolment?.credentialSent ?? false;
  }

  get confirmedByInitial(): boolean {
    return this.#enrolment?.confirmedByInitial ?? false;
  }

  get skewS(): number {
    return this.#enrolment?.skewS ?? 0;
  }

  /** Initial on this connection, and as far as it goes without a credential. Rejects with LewesError. */
  async ask(link: HopLink, clockGuessS: number): Promise<void> {
    this.#enrolment ??= this.#enrol(clockGuessS);
    await this.#converse(link, this.#enrolment.begin(this.#unixMs), this.#enrolment);
  }

  /** After `ask`, where a credential is wanted. Rejects with LewesError. */
  async pay(link: HopLink): Promise<void> {
    const enrolment = this.#enrolment;
    if (enrolment === undefined || !this.wantsCredential) return;
    const { hop } = this.options;
    const startMs = this.#run.clock.now().monotonicMs;
    this.#run.enter(hop, 'credential');
    this.#credential ??= this.#fetch();
    const { credentialMs } = this.#run.timeouts;
    const late = `the source of credentials gave none within ${credentialMs / 1_000} s`;
    const error = () => credentialError(hop, 'timeout', late);
    const credential = await inTime(this.#credential, credentialMs, error, this.#run);
    this.#run.stepDone(hop, 'credential', this.#run.clock.now().monotonicMs - startMs);
    const step = enrolment.pay(credential, this.#unixMs);
    if (step === undefined) {
      throw credentialError(hop, 'malformed', 'the credential is no zk-nym as it goes over the wire; nothing was sent');
    }
    await this.#converse(link, step, enrolment);
  }

  /** The end, whichever it is. */
  settle(): void {
    const outcome = this.#outcome();
    const request = this.#request;
    this.#enrolment?.wipe();
    this.#noUse.abort();
    if (request === undefined) return;
    // One that comes too late is told of as well.
    const tell = () => this.options.credentials?.settled?.(request, outcome);
    this.#credential?.then(tell, () => {});
  }

  #outcome(): NymCredentialOutcome {
    if (!this.paid) return 'unused';
    if (this.#tunnel !== undefined) return 'accepted';
    return this.#refused ? 'refused' : 'unknown';
  }

  get #unixMs(): number {
    return this.#run.clock.now().unixMs;
  }

  #enrol(guessS: number): Enrolment {
    const { hop, node, wgPublicKey, presharedKey, searchClock } = this.options;
    const ticket = hop === 'exit' ? 'wireguard_exit' : 'wireguard_entry';
    const clock = { guessS, hintS: node.clockHintS, search: searchClock };
    return new Enrolment({ wgPublicKey, presharedKey, ticket, clock });
  }

  async #converse(link: HopLink, first: EnrolmentStep, enrolment: Enrolment): Promise<void> {
    const { hop, node } = this.options;
    let step = first;
    while (step.kind === 'send') {
      const startMs = this.#run.clock.now().monotonicMs;
      const answer = link.ask(step.step, step.body);
      // Sealed by now; it holds the preshared key or the credential.
      step.body.fill(0);
      const next = enrolment.receive(await answer, this.#unixMs);
      if (next.kind !== 'failed') this.#run.stepDone(hop, step.step, this.#run.clock.now().monotonicMs - startMs);
      step = next;
    }
    this.#next = step;
    if (step.kind === 'completed') this.#tunnel = step.tunnel;
    if (step.kind !== 'failed') return;
    this.#refused = step.failure.reason !== 'malformed';
    throw enrolmentError(hop, step.failure, node.clockHintS);
  }

  async #fetch(): Promise<Uint8Array> {
    const { hop, node, credentials } = this.options;
    if (credentials === undefined) {
      throw credentialError(hop, 'no_source', 'the node wants a credential, and there is no source of credentials');
    }
    const ticket = hop === 'exit' ? 'wireguard_exit' : 'wireguard_entry';
    this.#request = { hop, ticket, identity: node.identity, signal: this.#noUse.signal };
    try {
      return Uint8Array.from(await credentials.credential(this.#request));
    } catch (error) {
      this.#request = undefined;
      if (error instanceof LewesError) throw error;
      throw credentialError(hop, 'source', 'the source of credentials gave none; its error is the cause', error);
    }
  }
}
