/**
 * The schema as a tree of names: finds what is registered for a path, lists all keys, and finds the names nearest to a
 * wrong one.
 */
import { z } from 'zod';
import { type KeyDoc, keyDocs } from './keys.ts';
import { configSchema } from './schema.ts';

/** Strips defaults and options, which hide the object or array inside. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  let inner = schema;
  while (inner instanceof z.ZodPrefault || inner instanceof z.ZodDefault || inner instanceof z.ZodOptional) {
    inner = inner.unwrap();
  }
  return inner;
}

/** Names and schemas of a table (for a list of tables: of its element), or `undefined` for anything else. */
export function fieldsOf(schema: z.core.$ZodType): ReadonlyMap<string, z.core.$ZodType> | undefined {
  let inner = unwrap(schema);
  if (inner instanceof z.ZodArray) inner = unwrap(inner.element);
  return inner instanceof z.ZodObject ? new Map(Object.entries(inner.shape)) : undefined;
}

function elementOf(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  const inner = unwrap(schema);
  return inner instanceof z.ZodArray ? inner.element : undefined;
}

/** What is registered for the key of an issue's path, or of the nearest key above it. */
export function docAt(path: readonly PropertyKey[]): KeyDoc | undefined {
  let schema: z.core.$ZodType = configSchema;
  let doc: KeyDoc | undefined;
  for (const step of path) {
    const next = typeof step === 'number' ? elementOf(schema) : fieldsOf(schema)?.get(String(step));
    if (next === undefined) break;
    schema = next;
    doc = keyDocs.get(schema) ?? doc;
  }
  return doc;
}

/** Names allowed in the table at `path`. */
export function namesAt(path: readonly PropertyKey[]): readonly string[] {
  let schema: z.core.$ZodType = configSchema;
  for (const step of path) {
    if (typeof step === 'number') continue;
    const next = fieldsOf(schema)?.get(String(step));
    if (next === undefined) return [];
    schema = next;
  }
  return [...(fieldsOf(schema)?.keys() ?? [])];
}

/** Every key as `group.key`. */
export function allKeys(): readonly string[] {
  return namesAt([]).flatMap((group) => namesAt([group]).map((key) => `${group}.${key}`));
}

const MAX_SUGGESTIONS = 3;

/** The candidates that a slip of the pen could have meant, nearest first. */
export function nearMisses(wrong: string, candidates: readonly string[]): readonly string[] {
  // A third of the letters may be wrong; more than that is another word.
  const reach = Math.max(1, Math.floor(wrong.length / 3));
  const near = candidates
    .map((name) => ({ name, distance: distance(wrong.slice(0, 80), name) }))
    .filter(({ distance }) => distance <= reach)
    .sort((a, b) => a.distance - b.distance);
  // Beside a good match, a poor one is noise.
  return near
    .filter(({ distance }) => distance <= (near[0]?.distance ?? 0) + 1)
    .slice(0, MAX_SUGGESTIONS)
    .map(({ name }) => name);
}

/** Keys of all groups that a wrong `group.key` could have meant: right but in another group, or near in all. */
export function nearKeys(path: string): readonly string[] {
  const keys = allKeys();
  const last = path.slice(path.lastIndexOf('.') + 1);
  const elsewhere = keys.filter((key) => key.endsWith(`.${last}`));
  return elsewhere.length > 0 ? elsewhere.slice(0, MAX_SUGGESTIONS) : nearMisses(path, keys);
}

/** Levenshtein's distance with upper and lower case alike, and `-` and `_` too. */
function distance(a: string, b: string): number {
  const [x, y] = [a, b].map((word) => word.toLowerCase().replaceAll('-', '_'));
  if (x === undefined || y === undefined) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: y.length + 1 }, (_, i) => i);
  for (let i = 1; i <= x.length; i++) {
    const next = [i];
    for (let j = 1; j <= y.length; j++) {
      const change = (row[j - 1] ?? 0) + (x[i - 1] === y[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[y.length] ?? 0;
}
