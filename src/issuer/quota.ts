/**
 * Who may have how many tokens. The quota file is the operator's (TOML: the SHA-256 of an access key, tokens in all) and
 * is read again when it changes; what was issued is counted in a file of the issuer's own. Invariant: a token leaves only
 * after its count is on the disk, so no crash and no race gives more tokens than were granted.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { parse } from 'smol-toml';
import { z } from 'zod';
import { replaceFile } from '../ops/atomic-file.ts';
import { OperatorError, reasonOf, systemCode } from '../ops/operator-error.ts';

export interface QuotaOptions {
  /** The operator's; never written. */
  readonly file: string;
  /** The issuer's count of tokens issued. */
  readonly usedFile: string;
  /** A quota file that was changed into something unreadable: the old one stays in force. */
  readonly report: (error: OperatorError) => void;
}

export type Charge =
  | {
      readonly kind: 'charged';
      /** Resolves when it is on the disk; rejects, and takes the charge back, when it cannot be written. */
      readonly settled: Promise<void>;
    }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'exhausted' };

interface Entry {
  readonly hash: Buffer;
  /** The same in hex, as both files have it. */
  readonly name: string;
  readonly tokens: number;
}

const MAX_ENTRIES = 10_000;
const MAX_FILE_BYTES = 4_194_304;
const HASH = z.string().regex(/^[0-9a-f]{64}$/);
const COUNT = z.int().min(0);
const quotaSchema = z.strictObject({
  access: z
    .array(z.strictObject({ key_sha256: HASH, tokens: COUNT, note: z.string().max(256).optional() }))
    .max(MAX_ENTRIES)
    .default([]),
});
const usedSchema = z.strictObject({ version: z.literal(1), used: z.record(HASH, COUNT) });

/** The `[[access]]` entry of a new access key, for the operator to put into the quota file. */
export function quotaEntry(accessKey: string, tokens: number): string {
  return `[[access]]\nkey_sha256 = "${hashOf(accessKey).toString('hex')}"\ntokens = ${tokens}\n`;
}

/** 256 random bits, as text that fits into a header. */
export function newAccessKey(): string {
  return randomBytes(32).toString('base64url');
}

export class Quota {
  readonly #options: QuotaOptions;
  readonly #used: Map<string, number>;
  /** Keys the index, so that how a lookup takes its time says nothing of the hashes that are in it. */
  readonly #indexKey = randomBytes(32);
  #entries: ReadonlyMap<string, Entry>;
  #version: string;
  #saving: Promise<void> | undefined;

  /** Throws OperatorError: ERR_QUOTA_FILE or ERR_QUOTA_USED. */
  constructor(options: QuotaOptions) {
    this.#options = options;
    this.#used = readUsed(options.usedFile);
    this.#version = versionOf(options.file);
    this.#entries = this.#read();
  }

  /** What this access key has left; `undefined` for an unknown one. */
  left(accessKey: string): number | undefined {
    const entry = this.#find(accessKey);
    return entry === undefined ? undefined : Math.max(0, entry.tokens - this.#usedBy(entry));
  }

  /** Takes one token. Synchronous up to the charge, so that requests side by side cannot share one. */
  charge(accessKey: string): Charge {
    const entry = this.#find(accessKey);
    if (entry === undefined) return { kind: 'unknown' };
    if (this.#usedBy(entry) >= entry.tokens) return { kind: 'exhausted' };
    this.#used.set(entry.name, this.#usedBy(entry) + 1);
    const settled = this.#save().catch((error: unknown) => {
      this.#used.set(entry.name, this.#usedBy(entry) - 1);
      throw error;
    });
    return { kind: 'charged', settled };
  }

  #usedBy({ name }: Entry): number {
    return this.#used.get(name) ?? 0;
  }

  #find(accessKey: string): Entry | undefined {
    this.#refresh();
    const hash = hashOf(accessKey);
    const entry = this.#entries.get(this.#indexOf(hash));
    return entry !== undefined && timingSafeEqual(entry.hash, hash) ? entry : undefined;
  }

  #refresh(): void {
    try {
      const version = versionOf(this.#options.file);
      if (version === this.#version) return;
      // First, so that a broken file is reported once.
      this.#version = version;
      this.#entries = this.#read();
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      if (error.code === 'ERR_QUOTA_FILE') this.#options.report(error);
    }
  }

  #read(): ReadonlyMap<string, Entry> {
    const entries = new Map<string, Entry>();
    for (const { key_sha256: name, tokens } of readQuota(this.#options.file)) {
      const hash = Buffer.from(name, 'hex');
      entries.set(this.#indexOf(hash), { hash, name, tokens });
    }
    return entries;
  }

  #indexOf(hash: Uint8Array): string {
    return createHmac('sha256', this.#indexKey).update(hash).digest('base64');
  }

  /** One write for all charges of a turn of the event loop. */
  #save(): Promise<void> {
    this.#saving ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        this.#saving = undefined;
        try {
          const used = Object.fromEntries(this.#used);
          replaceFile(this.#options.usedFile, `${JSON.stringify({ version: 1, used })}\n`);
          resolve();
        } catch (cause) {
          reject(
            new OperatorError(
              'ERR_QUOTA_USED',
              `the count of issued tokens cannot be written to ${this.#options.usedFile} (${reasonOf(cause)})`,
              'check that this user may write there and that the disk is not full',
              { cause },
            ),
          );
        }
      });
    });
    return this.#saving;
  }
}

function hashOf(accessKey: string): Buffer {
  return createHash('sha256').update(accessKey).digest();
}

/** Changes whenever the file does. */
function versionOf(file: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    return systemCode(error) ?? 'unreadable';
  }
}

function readQuota(file: string): z.infer<typeof quotaSchema>['access'] {
  const text = readText(file, quotaError);
  if (text === undefined) throw quotaError(file, 'is not there');
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw quotaError(file, `is no TOML (${reasonOf(error).split('\n')[0]})`);
  }
  const parsed = quotaSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw quotaError(file, `has a fault at ${issue?.path.join('.') || 'its top'} (${issue?.message})`);
  }
  const names = new Set<string>();
  for (const { key_sha256: name } of parsed.data.access) {
    if (names.has(name)) throw quotaError(file, `has the key ${name} twice`);
    names.add(name);
  }
  return parsed.data.access;
}

function readUsed(file: string): Map<string, number> {
  const text = readText(file, usedError);
  if (text === undefined) return new Map();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw usedError(file, 'is damaged');
  }
  const parsed = usedSchema.safeParse(value);
  if (!parsed.success) throw usedError(file, 'is damaged');
  return new Map(Object.entries(parsed.data.used));
}

/** `undefined` where there is no file. */
function readText(file: string, failed: (file: string, what: string) => OperatorError): string | undefined {
  try {
    const { size } = statSync(file);
    if (size > MAX_FILE_BYTES) throw failed(file, `has more than ${MAX_FILE_BYTES} bytes`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error instanceof OperatorError ? error : failed(file, `cannot be read (${reasonOf(error)})`);
  }
}

function quotaError(file: string, what: string): OperatorError {
  return new OperatorError(
    'ERR_QUOTA_FILE',
    `the quota file ${file} ${what}`,
    'make entries with: lewes issuer --new-access-key FILE --tokens N',
  );
}

function usedError(file: string, what: string): OperatorError {
  return new OperatorError(
    'ERR_QUOTA_USED',
    `the count of issued tokens ${file} ${what}`,
    'restore it from a backup; if it is removed, every access key may have all its tokens again',
  );
}
