/**
 * Clients of the other listener (nym.md §11): a connection, KKT, PSQ and Initial, and then away, with a node or through it with
 * its exit. Nothing is ever paid, so no registration comes of it; that a credential is wanted is the only right answer, and who
 * can read it has the keys of the session that asked.
 */
import { randomBytes } from 'node:crypto';
import { type Hop, type LewesError, MemoryNymKemKeyCache, type NymNodeData, tryNym } from '../../src/client/index.ts';
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import { Patient, type PatientParts } from './patient.ts';

/** Below a second or two for each answer, as the other clients have it: what hangs is given up, and tried again. */
const TIMEOUTS = { connectMs: 2_000, handshakeMs: 3_000, registrationMs: 2_000, forwardMs: 2_500 };
const KEY_BYTES = 32;

export interface NymParts extends PatientParts {
  readonly crypto: CryptoProvider;
  readonly entry: NymNodeData;
  /** Reached through the entry. */
  readonly exit?: NymNodeData;
  readonly pipelining: boolean;
  /** Of the entry's clock before this machine's, in seconds: what a fetched announcement is dated by. */
  readonly aheadS: () => number;
  /** Whether bytes of connections came twice or out of order since then: a stream does not survive that. */
  readonly harmedSince: (ms: number) => boolean;
}

export class NymClient extends Patient {
  protected override readonly paceMs = 150;
  protected override readonly parts: NymParts;
  /** The same in each act: a name has one quote, however often it is asked for. */
  readonly #keys = { entry: randomBytes(KEY_BYTES), exit: randomBytes(KEY_BYTES) };
  readonly #kemKeyCache = new MemoryNymKemKeyCache();

  constructor(name: string, parts: NymParts) {
    super(name, parts);
    this.parts = parts;
  }

  protected override async act(): Promise<void> {
    const { crypto, entry, exit, pipelining, stop, aheadS } = this.parts;
    const asked = new Map<Hop, boolean>();
    const options = {
      entry: { node: { ...entry, clockHintS: aheadS() }, wgPublicKey: this.#keys.entry },
      ...(exit !== undefined && { exit: { node: exit, wgPublicKey: this.#keys.exit } }),
      crypto,
      pipelining,
      kemKeyCache: this.#kemKeyCache,
      timeouts: TIMEOUTS,
      signal: stop,
    };
    await tryNym({ ...options, onResult: ({ hop, wantsCredential }) => asked.set(hop, wantsCredential) }, 'initial');
    const wrong = [...asked].filter(([, wantsCredential]) => !wantsCredential).map(([hop]) => hop);
    if (wrong.length > 0 || asked.size !== (exit === undefined ? 1 : 2)) {
      this.parts.violations.tell(`${this.record.name}: Initial was not answered by asking for a credential: ${wrong}`);
    }
  }

  /** What is broken on the way may look like a broken answer; nothing else may. */
  protected override excuses({ code }: LewesError, beganMs: number): boolean {
    return code === 'malformed_answer' && this.parts.harmedSince(beganMs);
  }

  protected override close(): Promise<void> {
    return Promise.resolve();
  }
}
