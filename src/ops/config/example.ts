/**
 * The documented defaults as a TOML file, made from the schema: what it says is what holds. Reading it back gives the
 * configuration of an empty file.
 */
import { stringify } from 'smol-toml';
import type { z } from 'zod';
import { fieldsOf } from './describe.ts';
import { groupDocs, keyDocs } from './keys.ts';
import { configSchema } from './schema.ts';

const WIDTH = 110;

export function exampleConfig(): string {
  const groups = [...(fieldsOf(configSchema) ?? [])].map(([name, schema]) => group(name, schema));
  return `${['# Configuration of the Lewes gateway. Every key is optional; what stands here is its default.', ...groups].join('\n\n')}\n`;
}

function group(name: string, schema: z.core.$ZodType): string {
  const fields = [...(fieldsOf(schema) ?? [])];
  // TOML has tables of a list behind all plain keys of their group.
  const plain = fields.filter(([, field]) => fieldsOf(field) === undefined);
  const lists = fields.filter(([, field]) => fieldsOf(field) !== undefined);
  const doc = groupDocs.get(schema)?.doc ?? '';
  const lines = [`# ${doc}`, `[${name}]`, ...plain.flatMap(([key, field]) => plainKey(key, field))];
  return [...lines, ...lists.flatMap(([key, field]) => tableList(`${name}.${key}`, field))].join('\n');
}

function plainKey(name: string, schema: z.core.$ZodType): readonly string[] {
  const doc = keyDocs.get(schema);
  if (doc === undefined) return [];
  const line = doc.default === undefined ? `# ${assignment(name, doc.example)}` : assignment(name, doc.default);
  return [...comment(doc.doc), line];
}

function tableList(path: string, schema: z.core.$ZodType): readonly string[] {
  const fields = [...(fieldsOf(schema) ?? [])].map(([name, field]) => {
    const doc = keyDocs.get(field);
    return `# ${assignment(name, doc?.example).padEnd(32)} # ${doc?.doc ?? ''}`;
  });
  return ['', ...comment(keyDocs.get(schema)?.doc ?? ''), `# [[${path}]]`, ...fields];
}

function assignment(name: string, value: unknown): string {
  return stringify({ [name]: value }).trim();
}

function comment(text: string): readonly string[] {
  const lines: string[] = [];
  let line = '#';
  for (const word of text.split(' ')) {
    if (line.length + word.length + 1 > WIDTH) {
      lines.push(line);
      line = '#';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
