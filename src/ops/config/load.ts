/**
 * One configuration from a file, `--set` and `--listen` (later ones win), or every error of them at once: syntax, unknown
 * keys, values, and what keys say together.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import type { z } from 'zod';
import { reasonOf, systemCode } from '../operator-error.ts';
import type { ConfigError } from './config-error.ts';
import { crossCheck, warningsOf } from './cross-check.ts';
import { configErrors } from './issues.ts';
import { parseOverride } from './overrides.ts';
import { type Config, resolveConfig } from './resolve.ts';
import { configSchema } from './schema.ts';

export interface ConfigSources {
  readonly file?: string | undefined;
  /** `key=value`, as given to `--set`. */
  readonly set: readonly string[];
  /** `ADDR:PORT`, as given to `--listen`; together they replace `gateway.listen`. */
  readonly listen: readonly string[];
}

export type LoadedConfig =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly ConfigError[] }
  | { readonly ok: false; readonly errors: readonly ConfigError[] };

type Table = Record<string, unknown>;

/** A gateway with 4,096 exits and 1,024 listed networks has about 700 KB. */
const MAX_FILE_BYTES = 4_194_304;

const PATH_KEYS = [
  ['gateway', 'identity'],
  ['store', 'path'],
  ['wireguard', 'socket'],
  ['wireguard', 'private_key'],
  ['credentials', 'keys'],
  ['credentials', 'quota'],
  ['nym', 'lp_key'],
  ['nym', 'kem_key'],
] as const;

export function loadConfig({ file, set, listen }: ConfigSources): LoadedConfig {
  const errors: ConfigError[] = [];
  const input = file === undefined ? {} : readTable(file, errors);
  for (const text of set) {
    const override = parseOverride(text);
    if (override.ok) put(input, override.group, override.key, override.value);
    else errors.push(override.error);
  }
  if (listen.length > 0) put(input, 'gateway', 'listen', [...listen]);

  const parsed = configSchema.safeParse(input);
  if (!parsed.success) errors.push(...configErrors(parsed.error.issues, input));
  const broken = parsed.success ? [] : brokenKeys(parsed.error.issues);
  // Checks of several keys run on what is left, so that they are reported together with everything else.
  const whole = parsed.success ? parsed : configSchema.safeParse(without(input, broken));
  if (!whole.success) return { ok: false, errors };
  for (const { involves, ...error } of crossCheck(whole.data)) {
    if (!involves.some((key) => broken.includes(key) || broken.includes(groupOf(key)))) errors.push(error);
  }
  if (errors.length > 0) return { ok: false, errors };
  return { ok: true, config: resolveConfig(whole.data), warnings: warningsOf(whole.data) };
}

/** The file's content, or `{}` and an error. Relative paths in it are relative to it. */
function readTable(file: string, errors: ConfigError[]): Table {
  const text = readText(file, errors);
  if (text === undefined) return {};
  try {
    const table: Table = parse(text, { unsafeKeyBehaviour: 'throw', maxDepth: 8 });
    for (const [name, key] of PATH_KEYS) {
      const group = table[name];
      if (isTable(group) && key in group) group[key] = relativeTo(dirname(file), group[key]);
    }
    return table;
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [first = ''] = error.message.split('\n');
    errors.push({
      path: '(syntax)',
      problem: first.replace('Invalid TOML document: ', ''),
      remedy: `correct line ${error.line}; texts need quotes, and a key stands once`,
      line: error.line,
      column: error.column,
    });
    return {};
  }
}

/** Whatever is no path stays for the schema to complain of. */
function relativeTo(directory: string, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => relativeTo(directory, item));
  return typeof value === 'string' && value !== '' ? resolve(directory, value) : value;
}

function readText(file: string, errors: ConfigError[]): string | undefined {
  const refuse = (problem: string, remedy: string) => {
    errors.push({ path: '(file)', problem, remedy });
    return undefined;
  };
  try {
    const stat = statSync(file);
    if (stat.isDirectory()) return refuse(`${file} is a directory`, 'give the path of a TOML file');
    if (stat.size > MAX_FILE_BYTES) return refuse(`${file} has ${stat.size} bytes`, `keep it below ${MAX_FILE_BYTES}`);
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') {
      return refuse(
        `${file} does not exist`,
        'correct the path; "lewes check-config --example" prints a file to begin with',
      );
    }
    if (systemCode(error) === 'ERR_ENCODING_INVALID_ENCODED_DATA')
      return refuse(`${file} is not UTF-8`, 'save it as UTF-8');
    return refuse(`${file} cannot be read (${reasonOf(error)})`, 'give this user the right to read it');
  }
}

/** Sets a key. A group that is no table stays: the schema complains of it. */
function put(input: Table, group: string, key: string, value: unknown): void {
  input[group] ??= {};
  const table = input[group];
  if (isTable(table)) table[key] = value;
}

/** `group.key` (or `group`) of everything that was refused. */
function brokenKeys(issues: readonly z.core.$ZodIssue[]): readonly string[] {
  return issues.flatMap((issue) => {
    const [group, key] = issue.path;
    if (issue.code === 'unrecognized_keys' && issue.path.length < 2) {
      return issue.keys.map((name) => (group === undefined ? name : `${String(group)}.${name}`));
    }
    return key === undefined ? [String(group)] : [`${String(group)}.${String(key)}`];
  });
}

function without(input: Table, broken: readonly string[]): Table {
  const entries = Object.entries(input).filter(([group]) => !broken.includes(group));
  return Object.fromEntries(
    entries.map(([group, table]) => {
      if (!isTable(table)) return [group, table];
      return [group, Object.fromEntries(Object.entries(table).filter(([key]) => !broken.includes(`${group}.${key}`)))];
    }),
  );
}

function groupOf(key: string): string {
  return key.slice(0, key.indexOf('.'));
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
