/**
 * zod's issues as messages for operators: key path, what is wrong, what to do. The words come from what is registered
 * with the key, so that every key of a kind complains alike.
 */
import type { z } from 'zod';
import type { ConfigError } from './config-error.ts';
import { docAt, namesAt, nearKeys, nearMisses } from './describe.ts';
import { suggestion } from './overrides.ts';
import { LATER_GROUPS } from './schema.ts';

const MAX_SHOWN = 60;

/** Messages for all issues; a key that breaks two rules of its kind gets one. */
export function configErrors(issues: readonly z.core.$ZodIssue[], input: unknown): readonly ConfigError[] {
  const errors = issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(issue.path, key));
    return [wrongValue(issue, valueAt(input, issue.path))];
  });
  const seen = new Set<string>();
  return errors.filter(({ path }) => !seen.has(path) && seen.add(path));
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    const name = String(step) === '' ? '(empty key)' : String(step);
    return text === '' ? name : `${text}.${name}`;
  }, '');
}

function unknownKey(table: readonly PropertyKey[], key: string): ConfigError {
  const path = pathText([...table, key]);
  if (table.length === 0 && LATER_GROUPS.includes(key)) {
    return { path, problem: 'is not in this release', remedy: 'remove the group' };
  }
  const near = nearMisses(key, namesAt(table)).map((name) => pathText([...table, name]));
  const problem = table.length === 0 ? 'is not a group of this release' : 'is not a key of this release';
  return { path, problem, remedy: suggestion(near.length > 0 || table.length > 1 ? near : nearKeys(path)) };
}

function wrongValue(issue: z.core.$ZodIssue, value: unknown): ConfigError {
  const doc = docAt(issue.path);
  const path = pathText(issue.path);
  if (doc === undefined || expectsTable(issue)) {
    return { path, problem: `${show(value)} is not a table`, remedy: 'give its keys, each on a line of its own' };
  }
  const { error, remedy } = detail(issue);
  if (value === undefined) return { path, problem: 'is missing', remedy: `give ${doc.expects}` };
  // Words that follow the value directly begin with a colon.
  const problem =
    error === '' ? `${show(value)} is not ${doc.expects}` : `${show(value)} ${error}`.replace(' : ', ': ');
  return { path, problem, remedy: remedy ?? fallback(doc.default, doc.expects) };
}

/** A group, or an item of a list of tables, that is something else. */
function expectsTable(issue: z.core.$ZodIssue): boolean {
  return issue.code === 'invalid_type' && issue.expected === 'object';
}

function detail(issue: z.core.$ZodIssue): { error: string; remedy: string | undefined } {
  const params: Record<string, unknown> = (issue.code === 'custom' ? issue.params : undefined) ?? {};
  const { error, remedy } = params;
  return {
    error: typeof error === 'string' ? error : '',
    remedy: typeof remedy === 'string' ? remedy : undefined,
  };
}

function fallback(preset: unknown, expects: string): string {
  return preset === undefined ? `give ${expects}` : `correct it, or remove it for the default ${show(preset)}`;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Reflect.get(value, step);
  }
  return value;
}

/** A value as TOML would have it, cut to a line's length. */
function show(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  const text = typeof value === 'object' && value !== null && !Array.isArray(value) ? 'a table' : JSON.stringify(value);
  const shown = text ?? String(value);
  return shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN)}…` : shown;
}
