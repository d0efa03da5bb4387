/**
 * The issuer's keys over time: one signs, the next is announced ahead of its begin, older ones only verify until they
 * expire, and expired ones are remembered for a while. Invariants: a key's `notAfter` is set when it is made and never
 * put off; what is announced is on the disk already; a private key is deleted when it signs no more.
 */
import { type BlindKey, generateBlindKey } from './blind-key.ts';
import type { FindKey } from './issue.ts';
import {
  type KeyDates,
  type KeyRecord,
  readKeyRecords,
  readPrivateKey,
  removePrivateKey,
  writeKeyRecords,
  writePrivateKey,
} from './key-file.ts';

/** Seconds. */
export interface KeySchedule {
  /** How long a key signs. */
  readonly issue: number;
  /** How long before its begin the next key is announced; gateways have to fetch the directory more often. */
  readonly announce: number;
  /** How long a key still signs after its successor's begin, for clients with an old directory. */
  readonly late: number;
  /** How long tokens are good after their key has ended: those fetched ahead on its last day. */
  readonly valid: number;
  /** How long an expired key is told of, so that its tokens are "expired" and not "invalid". */
  readonly remember: number;
}

const HOUR = 3_600;
const DAY = 24 * HOUR;
export const KEY_SCHEDULE: KeySchedule = {
  issue: 30 * DAY,
  announce: 3 * DAY,
  late: 6 * HOUR,
  valid: 60 * DAY,
  remember: 90 * DAY,
};
/** Clients whose clock is fast ask for the next key early. */
const EARLY_S = 300;
/** Truncated ids are one byte; with four keys that sign, 1 key in 64 collides. */
const GENERATE_TRIES = 64;

/** What a verifier takes. */
export interface IssuerKeyInfo {
  readonly spki: Uint8Array;
  readonly notAfter: number;
}

export type KeyPhase = 'next' | 'current' | 'verifying' | 'expired';

interface Held extends KeyRecord {
  readonly blind: BlindKey | undefined;
}

export interface IssuerKeysOptions {
  /** Made where it is missing. */
  readonly directory: string;
  readonly schedule?: KeySchedule;
  /** For tests. */
  readonly generate?: () => Promise<BlindKey>;
}

export class IssuerKeys {
  readonly #directory: string;
  readonly #schedule: KeySchedule;
  readonly #generate: () => Promise<BlindKey>;
  /** The newest first. */
  #keys: readonly Held[];
  #turn: Promise<unknown> = Promise.resolve();

  private constructor({ directory, schedule = KEY_SCHEDULE, generate = generateBlindKey }: IssuerKeysOptions) {
    this.#directory = directory;
    this.#schedule = schedule;
    this.#generate = generate;
    this.#keys = newestFirst(
      readKeyRecords(directory).map((record) => ({ ...record, blind: readPrivateKey(directory, record.id) })),
    );
  }

  /** Reads the directory and makes what `maintain` makes. `now` in unix seconds. Throws OperatorError ERR_ISSUER_KEYS. */
  static async open(options: IssuerKeysOptions, now: number): Promise<IssuerKeys> {
    const keys = new IssuerKeys(options);
    await keys.maintain(now);
    return keys;
  }

  /** Finds the key that signs now under a truncated id. */
  finder(now: number): FindKey {
    return (truncatedId) =>
      this.#keys.find(({ blind, ...dates }) => blind?.truncatedId === truncatedId && this.#signs(dates, now))?.blind;
  }

  /** For the directory: keys that sign, will sign, or verify; the newest first. */
  announced(now: number): readonly { readonly spki: Uint8Array; readonly notBefore: number }[] {
    return this.#keys.filter(({ notAfter }) => now < notAfter).map(({ spki, notBefore }) => ({ spki, notBefore }));
  }

  /** For a gateway's verifier: expired ones, too. */
  verifierKeys(): readonly IssuerKeyInfo[] {
    return this.#keys.map(({ spki, notAfter }) => ({ spki, notAfter }));
  }

  /** The newest first. */
  status(now: number): readonly (KeyDates & { readonly id: string; readonly phase: KeyPhase })[] {
    return this.#keys.map(({ id, notBefore, issueUntil, notAfter }) => {
      return { id, notBefore, issueUntil, notAfter, phase: phaseOf({ notBefore, issueUntil, notAfter }, now) };
    });
  }

  /**
   * What time asks for: a first key, the next key, the end of old ones. To be called at least once in `announce` seconds.
   * Resolves to whether anything has changed. Rejects with OperatorError ERR_ISSUER_KEYS; then nothing has changed.
   */
  maintain(now: number): Promise<boolean> {
    return this.#inTurn(() => this.#maintain(now));
  }

  /** Signs with a new key from now on; tokens of the old one stay good until it expires. */
  rotate(now: number): Promise<void> {
    return this.#inTurn(async () => {
      const next = this.#keys.find(({ notBefore, blind }) => notBefore > now && blind !== undefined);
      const rest = this.#keys.filter((key) => key !== next).map((key) => endIssue(key, now));
      const first = next === undefined ? await this.#make(now) : { ...next, notBefore: now };
      this.#store([first, ...rest]);
      await this.#maintain(now);
    });
  }

  /** For a key that others may have: its tokens are expired from now on. Resolves to whether there is such a key. */
  retire(id: string, now: number): Promise<boolean> {
    return this.#inTurn(async () => {
      const lost = this.#keys.find((key) => key.id === id);
      if (lost === undefined) return false;
      const ended: Held = { ...lost, ...endedBy(lost, now), blind: undefined };
      this.#store(this.#keys.map((key) => (key === lost ? ended : key)));
      removePrivateKey(this.#directory, id);
      await this.#maintain(now);
      return true;
    });
  }

  async #maintain(now: number): Promise<boolean> {
    const { announce, late, remember } = this.#schedule;
    const kept = this.#keys.filter(({ notAfter }) => now < notAfter + remember);
    const done = kept.filter(({ blind, issueUntil }) => blind !== undefined && now >= issueUntil + late);
    const keys: Held[] = kept.map((key) => (done.includes(key) ? { ...key, blind: undefined } : key));
    // The one that begins last; a clock that was set back does not bring a second successor.
    const latest = keys.find(({ blind, issueUntil }) => blind !== undefined && now < issueUntil);
    const covered = latest !== undefined && now < latest.issueUntil - announce;
    if (!covered) keys.unshift(await this.#make(latest?.issueUntil ?? now));
    if (covered && done.length === 0 && kept.length === this.#keys.length) return false;
    const gone = [...done, ...this.#keys.filter((key) => !kept.includes(key))];
    this.#store(keys);
    // After the list: should this fail, a key is left over that nothing signs with, and the next start reads the list.
    for (const { id } of gone) removePrivateKey(this.#directory, id);
    return true;
  }

  /** A key with its private half on the disk; it is nothing yet, until the list names it. */
  async #make(notBefore: number): Promise<Held> {
    for (let tries = 0; tries < GENERATE_TRIES; tries++) {
      const blind = await this.#generate();
      if (this.#keys.some((key) => key.blind?.truncatedId === blind.truncatedId)) continue;
      writePrivateKey(this.#directory, blind);
      const issueUntil = notBefore + this.#schedule.issue;
      const dates = { notBefore, issueUntil, notAfter: issueUntil + this.#schedule.valid };
      return { id: blind.id, spki: blind.spki, ...dates, blind };
    }
    throw new Error('assertion: fresh keys differ in their last byte');
  }

  #store(keys: readonly Held[]): void {
    const sorted = newestFirst(keys);
    writeKeyRecords(this.#directory, sorted);
    this.#keys = sorted;
  }

  #signs({ notBefore, issueUntil, notAfter }: KeyDates, now: number): boolean {
    return notBefore - EARLY_S <= now && now < Math.min(issueUntil + this.#schedule.late, notAfter);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function newestFirst(keys: readonly Held[]): readonly Held[] {
  return [...keys].sort((a, b) => b.notBefore - a.notBefore);
}

function phaseOf({ notBefore, issueUntil, notAfter }: KeyDates, now: number): KeyPhase {
  if (now >= notAfter) return 'expired';
  if (now < notBefore) return 'next';
  return now < issueUntil ? 'current' : 'verifying';
}

function endIssue(key: Held, now: number): Held {
  return { ...key, issueUntil: Math.max(key.notBefore, Math.min(key.issueUntil, now)) };
}

function endedBy({ notBefore, issueUntil, notAfter }: KeyDates, now: number): KeyDates {
  const end = Math.min(notAfter, now);
  return { notBefore: Math.min(notBefore, end), issueUntil: Math.min(issueUntil, end), notAfter: end };
}
