/**
 * The kinds of configuration keys: each factory makes one zod schema and registers what an operator must know of it
 * (`KeyDoc`), from which error messages and the documented example are made. The raw default stands in one place.
 */
import { z } from 'zod';
import type { Parsed } from './addresses.ts';

export interface KeyDoc {
  /** What the key is for, with its unit; shown in the example. */
  readonly doc: string;
  /** What a value must be: continues "… is not ". */
  readonly expects: string;
  /** As it would stand in the file; `undefined` for keys that may be absent or must be given. */
  readonly default: unknown;
  /** Shown, commented out, where there is no default. */
  readonly example?: unknown;
}

export const keyDocs = z.registry<KeyDoc>();
export const groupDocs = z.registry<{ doc: string }>();

interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

/** Bounds a slip of the pen, and keeps every product of two keys below 2⁵³. */
const MAX_COUNT = 1_000_000_000;
const YEAR_SECONDS = 31_536_000;

export function count(doc: string, preset: number, { min = 1, max = MAX_COUNT }: Bounds = {}) {
  const expects = `a whole number from ${min} to ${max}`;
  return z.int().min(min).max(max).default(preset).register(keyDocs, { doc, expects, default: preset });
}

/** A rate per second; fractions are allowed. */
export function rate(doc: string, preset: number) {
  const [min, max] = [0.001, 1_000_000];
  const expects = `a number from ${min} to ${max}`;
  return z.number().min(min).max(max).default(preset).register(keyDocs, { doc, expects, default: preset });
}

/** A duration; fractions are allowed. */
export function seconds(doc: string, preset: number, { min = 0.01, max = YEAR_SECONDS }: Bounds = {}) {
  const expects = `a number of seconds from ${min} to ${max}`;
  return z.number().min(min).max(max).default(preset).register(keyDocs, { doc, expects, default: preset });
}

/** A duration that the protocol carries in whole seconds. */
export function wholeSeconds(doc: string, preset: number, { min = 1, max = YEAR_SECONDS }: Bounds = {}) {
  const expects = `a whole number of seconds from ${min} to ${max}`;
  return z.int().min(min).max(max).default(preset).register(keyDocs, { doc, expects, default: preset });
}

export function oneOf<const T extends string>(doc: string, values: readonly T[], preset: NoInfer<T>, expects?: string) {
  return z
    .enum(values)
    .default(preset)
    .register(keyDocs, { doc, expects: expects ?? `one of ${quoted(values)}`, default: preset });
}

/** A list without repeats of some of the values, at least one. */
export function someOf<const T extends string>(doc: string, values: readonly T[], preset: readonly NoInfer<T>[]) {
  const oneExpects = `one of ${quoted(values)}`;
  const item = z.enum(values).register(keyDocs, { doc, expects: oneExpects, default: undefined });
  const list = z.array(item).min(1).max(64);
  return list
    .refine((given) => new Set(given).size === given.length)
    .prefault([...preset])
    .register(keyDocs, { doc, expects: `a list of ${quoted(values)}, at least one, each once`, default: preset });
}

/** A key whose text is parsed; `preset` is the text and is parsed as well. */
export function parsed<T>(doc: string, expects: string, preset: unknown, parse: (raw: unknown) => Parsed<T>) {
  return parsing(parse).prefault(preset).register(keyDocs, { doc, expects, default: preset });
}

/** A parsed key that may be absent. */
export function parsedOptional<T>(doc: string, expects: string, example: unknown, parse: (raw: unknown) => Parsed<T>) {
  return parsing(parse).optional().register(keyDocs, { doc, expects, default: undefined, example });
}

/** A parsed key that must be given (inside a list of tables). */
export function parsedRequired<T>(doc: string, expects: string, example: unknown, parse: (raw: unknown) => Parsed<T>) {
  return parsing(parse).register(keyDocs, { doc, expects, default: undefined, example });
}

const MAX_PATH = 4_096;

/** A path that may be absent. `load.ts` makes those of a file relative to it. */
export function filePath(doc: string, { expects, example }: { readonly expects: string; readonly example: string }) {
  const path = z.string().min(1).max(MAX_PATH).optional();
  return path.register(keyDocs, { doc, expects, default: undefined, example });
}

export function pathList(doc: string, max: number) {
  const path = z.string().min(1).max(MAX_PATH);
  return z
    .array(path.register(keyDocs, { doc, expects: 'the path of a file', default: undefined }))
    .max(max)
    .prefault([])
    .register(keyDocs, { doc, expects: `a list of at most ${max} paths of files`, default: [] });
}

/** A number that must be given (inside a list of tables), or that may be absent. */
export function numberRequired(doc: string, example: number, { min = 1, max = MAX_COUNT }: Bounds = {}) {
  const expects = `a number from ${min} to ${max}`;
  return z.number().min(min).max(max).register(keyDocs, { doc, expects, default: undefined, example });
}

export function countRequired(doc: string, example: number) {
  const expects = `a whole number from 1 to ${MAX_COUNT}`;
  return z.int().min(1).max(MAX_COUNT).register(keyDocs, { doc, expects, default: undefined, example });
}

export function countOptional(doc: string, example: number) {
  const expects = `a whole number from 1 to ${MAX_COUNT}`;
  return z.int().min(1).max(MAX_COUNT).optional().register(keyDocs, { doc, expects, default: undefined, example });
}

/** `[[group.key]]`: a bounded list of tables, empty by default. */
export function tables<T extends z.ZodType>(doc: string, element: T, max: number) {
  return z
    .array(element)
    .max(max)
    .prefault([])
    .register(keyDocs, { doc, expects: `a list of at most ${max} tables`, default: [] });
}

function quoted(values: readonly unknown[]): string {
  return values.map((value) => JSON.stringify(value)).join(', ');
}

/** For `parsed`: gives a text to `parse`, refuses everything else. */
export function text<T>(parse: (raw: string) => Parsed<T>): (raw: unknown) => Parsed<T> {
  return (raw) => (typeof raw === 'string' ? parse(raw) : { ok: false, error: '' });
}

/** A zod schema around a total parser. An empty `error` stands for "is not <expects>". */
function parsing<T>(parse: (raw: unknown) => Parsed<T>) {
  return z.unknown().transform((raw, context): T => {
    const result = parse(raw);
    if (result.ok) return result.value;
    const params = { error: result.error, remedy: result.remedy };
    context.addIssue({ code: 'custom', input: raw, params });
    return z.NEVER;
  });
}
