/**
 * Configurations: any bytes as a file, any texts as `--set` and `--listen`. Loading never throws: it gives a configuration, or
 * errors that say where, what, and what to do. Input: parts divided by 00; the first is the file, then texts that begin with
 * `L` (listen) or anything else (set).
 */
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { threadId } from 'node:worker_threads';
import { exampleConfig, formatConfigError, loadConfig } from '../../../src/ops/config/index.ts';
import { text, utf8, words } from '../arbitraries.ts';
import { type FuzzTarget, oracle, sameValue } from '../target.ts';

const FILE = join(tmpdir(), `lewes-fuzz-${process.pid}-${threadId}.toml`);

function run(input: Uint8Array): void {
  const parts = partsOf(input);
  const [file = new Uint8Array(0), ...texts] = parts;
  const options = texts.slice(0, 8).map(utf8);
  const listen = options.filter((option) => option.startsWith('L')).map((option) => option.slice(1));
  const set = options.filter((option) => !option.startsWith('L'));
  writeFileSync(FILE, file);
  try {
    const loaded = loadConfig({ file: FILE, set, listen });
    sameValue(loadConfig({ file: FILE, set, listen }), loaded, 'the same sources give the same');
    const told = loaded.ok ? loaded.warnings : loaded.errors;
    if (!loaded.ok) oracle(told.length > 0, 'a refusal has a reason');
    for (const error of told) {
      oracle(error.path !== '' && error.problem !== '' && error.remedy !== '', 'where, what, and what to do');
      oracle(formatConfigError(error).length < 2_000, 'a message is a line');
    }
  } finally {
    rmSync(FILE, { force: true });
  }
}

function partsOf(input: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at <= input.length; ) {
    const end = input.indexOf(0, at);
    parts.push(input.subarray(at, end === -1 ? input.length : end));
    if (end === -1) break;
    at = end + 1;
  }
  return parts;
}

const EXAMPLE = exampleConfig();
/** Group by group, so that inputs stay short; and what the example has as comments. */
const groups = EXAMPLE.split(/\n\n(?=# [^\n]*\n\[)/).map((group) =>
  group
    .split('\n')
    .map((line) => line.replace(/^# (?=[a-z_]+ = |\[\[)/, ''))
    .filter((line) => !line.startsWith('# '))
    .join('\n'),
);
const names = [...EXAMPLE.matchAll(/^(?:# )?([a-z0-9_]+) = /gm)].map(([, name = '']) => name);
const options = [
  'limits.handshakes_per_address=50',
  'gateway.listen=["[::1]:0"]',
  'L127.0.0.1:0',
  'log.level=debug',
  'x',
  '=',
];

export const targets: readonly FuzzTarget[] = [
  {
    name: 'config',
    run,
    seeds: () => [
      ...groups.map(text),
      ...options.map((option) => text(`\0${option}`)),
      text(`[gateway]\nmin_protocol_version = 1\n\0credentials.kind="none"\0L[::1]:1\0L0.0.0.0:2`),
    ],
    dictionary: words(
      ...new Set(names),
      ...groups.map((group) => /\[[a-z]+\]/.exec(group)?.[0] ?? '[x]'),
      ...[
        '\n',
        ' = ',
        '""',
        '"""',
        '[]',
        '{}',
        '[[',
        ']]',
        'true',
        'nan',
        'inf',
        '1e400',
        '-1',
        '9223372036854775807',
        '0x10',
      ],
      ...[
        '1979-05-27T07:32:00Z',
        '__proto__',
        'constructor',
        '"\\u0000"',
        '"\\ud800"',
        '127.0.0.1:1',
        '[::1]:1',
        '10.0.0.0/8',
        'a.b.c',
      ],
    ),
    maxLength: 2_048,
    batch: 128,
    weight: 2,
  },
];
