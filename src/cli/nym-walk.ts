/**
 * What a client does at a Nym node, or at an entry and an exit, step by step with the time of each; shared by probe and
 * localnet. Invariants: no credential leaves unless the walk was given one and told to go that far; secrets of what was
 * registered are wiped by `finish`.
 */
import {
  fileCredentialSource,
  type Hop,
  LewesError,
  MemoryNymKemKeyCache,
  mockCredentialSource,
  type NymCredentialOutcome,
  type NymCredentialSource,
  type NymExtent,
  type NymNodeData,
  type NymRegistration,
  type NymTrialResult,
  nymNodeFromAnnouncement,
  tryNym,
} from '../client/index.ts';
import type { CryptoProvider } from '../lp/crypto/provider.ts';
import { encodeBase58 } from '../ops/base58.ts';
import { systemRandom } from '../system/random.ts';
import { type FreshEnrolment, freshEnrolment, wipe } from './enrolment.ts';
import type { NymHopPlan, NymProbePlan } from './nym-probe-plan.ts';
import { type StepError, type StepLog, stepError } from './step-log.ts';
import type { Tunnel } from './wg-quick.ts';

/** What is known and was found of a node. */
export interface ShownNymNode {
  /** fetched: from its announcement just now; stored: from a file; given: by hand. */
  readonly source: NymNodeData['source'];
  readonly lpKey: string;
  /** `blake3:` and 64 hex digits. */
  readonly kemDigest: string;
  readonly announcedPort?: number;
  /** Seconds that had to be added to this machine's time; 0 where the clocks agree, or nothing was asked. */
  readonly clockSkewS: number;
  /** It would have registered for a credential. */
  readonly wantsCredential: boolean;
  /** What became of the credential that was given. */
  readonly credential?: NymCredentialOutcome;
}

/** Without secrets. */
export interface ShownNymRegistration {
  readonly ipv4: string;
  readonly ipv6: string;
  readonly endpoints: readonly string[];
  readonly paid: boolean;
  readonly confirmedByInitial: boolean;
  readonly releasable: false;
}

export interface NymWalkOptions {
  readonly crypto: CryptoProvider;
  readonly log: StepLog;
  /** The user's interruption. */
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

type NymVisit = Pick<NymProbePlan, 'target' | 'via' | 'extent' | 'mockCredential'>;
type NymTrialOptions = Parameters<typeof tryNym>[0];

interface Known {
  readonly plan: NymHopPlan;
  readonly node: NymNodeData;
  readonly keys: FreshEnrolment;
  registration: NymRegistration | undefined;
}

export class NymWalk {
  /** By hop. */
  readonly nodes: Partial<Record<Hop, ShownNymNode>> = {};
  readonly registrations: Partial<Record<Hop, ShownNymRegistration>> = {};
  readonly #options: NymWalkOptions;
  readonly #signal: AbortSignal;
  /** In the order of the way. */
  readonly #known: Known[] = [];

  constructor(options: NymWalkOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)]);
  }

  /** What fails is noted; mistakes of ours are thrown. */
  async visit({ target, via, extent, mockCredential }: NymVisit): Promise<void> {
    const hops = via === undefined ? [target] : [via, target];
    for (const plan of hops) {
      const node = await this.#learn(plan);
      if (node === undefined) continue;
      this.nodes[plan.hop] = shownNode(node);
      const keys = freshEnrolment(this.#options.crypto, systemRandom);
      this.#known.push({ plan, node, keys, registration: undefined });
    }
    const [first, second] = this.#known;
    if (first === undefined || this.#known.length < hops.length) return;
    await this.#walk(first, second, extent, this.#credentials(mockCredential));
    this.#judgeClocks();
  }

  /** In the order of the way, with their secrets. */
  tunnels(): readonly Tunnel[] {
    return this.#known.flatMap(({ plan, keys: { secretKey }, registration }) => {
      if (registration === undefined) return [];
      const { presharedKey, ipv4, ipv6, gatewayKey, endpoint } = registration;
      const identity = plan.identity === undefined ? 'not told' : encodeBase58(plan.identity);
      return [{ secretKey, presharedKey, ipv4, ipv6, gatewayKey, endpoints: [endpoint], keepalive: 0, identity }];
    });
  }

  finish(): void {
    for (const { keys, registration } of this.#known) {
      wipe(keys);
      registration?.presharedKey.fill(0);
    }
  }

  async #learn({ hop, address, identity, data }: NymHopPlan): Promise<NymNodeData | undefined> {
    if (data.kind === 'given') return data.node;
    if (identity === undefined) throw new Error('assertion: an announcement is verified by an identity');
    const { crypto, log } = this.#options;
    const startMs = log.nowMs;
    let failure: unknown;
    for (const from of data.from) {
      try {
        const options = { from, identity, address, hop, crypto, signal: this.#signal, allowPrivate: true };
        const node = await nymNodeFromAnnouncement(options);
        log.done(hop, 'announcement', log.nowMs - startMs);
        return node;
      } catch (error) {
        const elsewhere = mayBeElsewhere(error);
        if (failure === undefined || !elsewhere) failure = error;
        if (!elsewhere) break;
      }
    }
    const told = this.#explained(failure);
    const others = data.from.length > 1 && mayBeElsewhere(failure) ? `; nor from ${data.from.slice(1).join(', ')}` : '';
    log.failed(hop, 'announcement', log.nowMs - startMs, { ...told, message: `${told.message}${others}` });
    return undefined;
  }

  async #walk(
    first: Known,
    second: Known | undefined,
    extent: NymExtent,
    credentials: NymCredentialSource,
  ): Promise<void> {
    const { crypto, log } = this.#options;
    const at = ({ node, keys: { wgPublicKey, presharedKey } }: Known) => ({ node, wgPublicKey, presharedKey });
    let lastMs = log.nowMs;
    const options: NymTrialOptions = {
      entry: at(first),
      ...(second !== undefined && { exit: at(second) }),
      credentials,
      kemKeyCache: new MemoryNymKemKeyCache(),
      crypto,
      signal: this.#signal,
      onStep: ({ hop, step, ms }) => {
        lastMs = log.nowMs;
        log.done(hop, step, ms);
      },
      onResult: (result) => this.#note(result),
    };
    try {
      await tryNym(options, extent);
    } catch (error) {
      if (!(error instanceof LewesError)) throw error;
      const { code, reason, message } = this.#explained(error);
      const told = { code, reason, message: `${message}${this.#portNote(error)}` };
      log.failed(error.hop, error.step, log.nowMs - lastMs, told);
    }
  }

  #note({ hop, registration, wantsCredential, clockSkewS }: NymTrialResult): void {
    this.#show(hop, { wantsCredential, clockSkewS });
    const known = this.#known.find(({ plan }) => plan.hop === hop);
    if (registration === undefined || known === undefined) return;
    known.registration = registration;
    this.registrations[hop] = shownRegistration(registration);
  }

  #show(hop: Hop, more: Partial<ShownNymNode>): void {
    const node = this.nodes[hop];
    if (node !== undefined) this.nodes[hop] = { ...node, ...more };
  }

  #credentials(mock: boolean): NymCredentialSource {
    const files: Partial<Record<Hop, string>> = {};
    for (const { plan } of this.#known) {
      if (plan.credentialFile !== undefined) files[plan.hop] = plan.credentialFile;
    }
    const source = mock ? mockCredentialSource() : fileCredentialSource(files);
    return {
      credential: (request) => source.credential(request),
      settled: ({ hop }, credential) => this.#show(hop, { credential }),
    };
  }

  /** The node's port is another than the one that was dialled. */
  #portNote({ hop, step }: LewesError): string {
    const { announcedPort, address } = this.#known.find(({ plan }) => plan.hop === hop)?.node ?? {};
    if (announcedPort === undefined || announcedPort === address?.port) return '';
    if (step !== 'connect' && step !== 'kkt') return '';
    return `; the node announces port ${announcedPort}, not ${address?.port}`;
  }

  /** The registration went through with another time than this machine's: here, and not for clients that do not search. */
  #judgeClocks(): void {
    for (const { plan } of this.#known) {
      const { clockSkewS = 0 } = this.nodes[plan.hop] ?? {};
      if (clockSkewS === 0) continue;
      const message = `the node's clock is about ${Math.abs(clockSkewS)} s ${clockSkewS > 0 ? 'ahead of' : 'behind'} this machine's, and more than 30 s are refused: set the clock of this machine, or tell the operator of the node`;
      this.#options.log.failed(plan.hop, 'initial', 0, { code: 'clock', reason: 'skew', message });
    }
  }

  #explained(error: unknown): StepError {
    const fields = stepError(error);
    if (fields.code !== 'aborted') return fields;
    if (this.#options.signal.aborted) return { ...fields, message: 'interrupted before it was done' };
    const seconds = this.#options.timeoutMs / 1_000;
    const message = `not done within ${seconds} s: the node is overloaded, far away or silent; try again, or allow more time`;
    return { code: 'timeout', reason: 'deadline', message };
  }
}

/** Another place may have the announcement; what is wrong in itself is wrong everywhere. */
export function mayBeElsewhere(error: unknown): boolean {
  const reasons = ['unreachable', 'timeout', 'http_status', 'not_json', 'malformed', 'too_long'];
  return error instanceof LewesError && error.code === 'announcement' && reasons.includes(error.reason);
}

function shownNode({ source, lpKey, kemDigest, announcedPort }: NymNodeData): ShownNymNode {
  return {
    source,
    lpKey: encodeBase58(lpKey),
    kemDigest: `${kemDigest.hash}:${Buffer.from(kemDigest.digest).toString('hex')}`,
    ...(announcedPort !== undefined && { announcedPort }),
    clockSkewS: 0,
    wantsCredential: false,
  };
}

function shownRegistration({ ipv4, ipv6, endpoint, paid, confirmedByInitial }: NymRegistration): ShownNymRegistration {
  return { ipv4, ipv6, endpoints: [endpoint], paid, confirmedByInitial, releasable: false };
}
