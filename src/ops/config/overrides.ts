/**
 * `--set key=value`: one key of the configuration from the command line. The value is a TOML value; what is none and
 * does not look like one is taken as text, so that words and addresses need no quotes.
 */
import { parse } from 'smol-toml';
import type { ConfigError } from './config-error.ts';
import { namesAt, nearKeys } from './describe.ts';

export type Override =
  | { readonly ok: true; readonly group: string; readonly key: string; readonly value: unknown }
  | { readonly ok: false; readonly error: ConfigError };

const MAX_LENGTH = 65_536;
/** Begins like a quoted text, a list of texts, lists or tables, or a table: then it was meant as TOML. */
const LOOKS_LIKE_TOML = /^(?:["'{]|\[\s*["'{[\]])/;

export function parseOverride(text: string): Override {
  const cut = text.indexOf('=');
  const path = (cut === -1 ? text : text.slice(0, cut)).trim();
  if (cut === -1) {
    return refuse(
      `--set ${path}`,
      'has no value',
      'write --set key=value, as in --set limits.handshakes_per_address=50',
    );
  }
  if (text.length > MAX_LENGTH) return refuse(`--set ${path}`, 'is too long', 'put it into a configuration file');
  if (path === '') return refuse(`--set ${text.slice(0, 80)}`, 'has no key', 'write --set key=value');
  const steps = path.split('.');
  const [group = '', key = ''] = steps;
  if (steps.length === 1 && namesAt([]).includes(group)) {
    return refuse(path, 'is a group of keys', `set one of its keys: ${namesAt([group]).join(', ')}`);
  }
  if (steps.length > 2 && namesAt([group]).includes(key)) {
    return refuse(path, 'is inside a key', `set ${group}.${key} as a whole, as in --set '${group}.${key}=[{…}]'`);
  }
  if (steps.length !== 2 || !namesAt([group]).includes(key)) {
    return refuse(path, 'is not a key of this release', suggestion(nearKeys(path)));
  }
  return value(group, key, text.slice(cut + 1).trim());
}

export function suggestion(near: readonly string[]): string {
  if (near.length === 0) return 'remove it; "lewes check-config --example" lists all keys';
  return `did you mean ${near.join(' or ')}?`;
}

function value(group: string, key: string, text: string): Override {
  try {
    const table = parse(`v = ${text}`, { unsafeKeyBehaviour: 'throw', maxDepth: 8 });
    // A line break in the text could have brought further keys: then it is no single value.
    if (Object.keys(table).length === 1) return { ok: true, group, key, value: table.v };
  } catch {
    // No TOML value: judged below.
  }
  if (LOOKS_LIKE_TOML.test(text)) {
    return refuse(`${group}.${key}`, `${text.slice(0, 80)} is not a TOML value`, 'check its quotes and brackets');
  }
  return { ok: true, group, key, value: text };
}

function refuse(path: string, problem: string, remedy: string): Override {
  return { ok: false, error: { path, problem, remedy } };
}
