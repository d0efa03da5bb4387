/**
 * What a gateway knows of the keys of an issuer that is not its own: as the directory told them, kept in a file, so that a
 * restart works while the issuer cannot be reached. Invariant: a key's end is set when the key is seen first and never put
 * off, however often it is listed, because spent tokens are forgotten by it; a key that is listed no more has ended.
 */
import { readFileSync, statSync } from 'node:fs';
import { z } from 'zod';
import type { DirectoryKey } from '../lp/wire/issuer-directory.ts';
import { replaceFile } from '../ops/atomic-file.ts';
import { OperatorError, reasonOf, systemCode } from '../ops/operator-error.ts';

/** What a verifier takes. */
export interface FollowedKey {
  readonly spki: Uint8Array;
  /** Unix seconds. */
  readonly notAfter: number;
  /** Listed no more: its tokens are expired. */
  readonly retired: boolean;
}

/**
 * How long the tokens of a key are taken. Lewes issuers end theirs within 93 days; an issuer that keeps one key for longer
 * than this would have the gateway remember every token for ever.
 */
export const KEY_LIFE_S = 400 * 86_400;
/** Of the issuers that were ever followed; what is beyond them is forgotten, the oldest first. */
const MAX_KEYS = 128;
const MAX_FILE_BYTES = 1_048_576;

const fileSchema = z.strictObject({
  version: z.literal(1),
  keys: z
    .array(
      z.strictObject({
        issuer: z.string().max(2_048),
        spki: z.base64().max(1_024),
        notAfter: z.int().min(0),
        listed: z.boolean(),
      }),
    )
    .max(MAX_KEYS),
});

type KeyRecord = z.infer<typeof fileSchema>['keys'][number];

export class FollowedKeys {
  readonly #file: string;
  readonly #issuer: string;
  /** The newest first. */
  #keys: readonly KeyRecord[];

  /** `issuer`: its address. Throws OperatorError ERR_ISSUER_DIRECTORY. */
  constructor(file: string, issuer: string) {
    this.#file = file;
    this.#issuer = issuer;
    this.#keys = read(file);
  }

  get keys(): readonly FollowedKey[] {
    return this.#own.map(({ spki, notAfter, listed }) => {
      return { spki: Uint8Array.from(Buffer.from(spki, 'base64')), notAfter, retired: !listed };
    });
  }

  /**
   * Takes over what the directory lists now (unix seconds); an empty list is a fault of the issuer and changes nothing.
   * Returns whether anything has changed. Throws OperatorError ERR_ISSUER_DIRECTORY when it cannot be written.
   */
  update(listed: readonly DirectoryKey[], now: number): boolean {
    const names = [...new Set(listed.map(({ spki }) => Buffer.from(spki).toString('base64')))];
    if (names.length === 0) return false;
    const own = this.#own;
    const fresh = names.filter((spki) => !own.some((key) => key.spki === spki));
    const changed = own.some((key) => key.listed !== names.includes(key.spki));
    if (fresh.length === 0 && !changed) return false;
    const known = this.#keys.map((key) =>
      key.issuer === this.#issuer ? { ...key, listed: names.includes(key.spki) } : key,
    );
    const begun = fresh.map((spki) => ({ issuer: this.#issuer, spki, notAfter: now + KEY_LIFE_S, listed: true }));
    this.#store([...begun, ...known].slice(0, MAX_KEYS));
    return true;
  }

  get #own(): readonly KeyRecord[] {
    return this.#keys.filter(({ issuer }) => issuer === this.#issuer);
  }

  #store(keys: readonly KeyRecord[]): void {
    try {
      replaceFile(this.#file, `${JSON.stringify({ version: 1, keys })}\n`);
    } catch (cause) {
      throw broken(
        `cannot be written (${reasonOf(cause)})`,
        this.#file,
        'check that this user may write there and that the disk is not full',
      );
    }
    this.#keys = keys;
  }
}

function read(file: string): readonly KeyRecord[] {
  const damaged = () =>
    broken('is damaged', file, 'restore it from a backup; without it, tokens that were spent may be spent again');
  let text: string;
  try {
    if (statSync(file).size > MAX_FILE_BYTES) throw damaged();
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    if (error instanceof OperatorError) throw error;
    throw broken(`cannot be read (${reasonOf(error)})`, file, 'make it readable for this user');
  }
  try {
    return fileSchema.parse(JSON.parse(text)).keys;
  } catch {
    throw damaged();
  }
}

function broken(what: string, file: string, remedy: string): OperatorError {
  return new OperatorError('ERR_ISSUER_DIRECTORY', `the list of issuer keys ${file} ${what}`, remedy);
}
