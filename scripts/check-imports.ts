// Import directions: what each room of src/ and workers/ may import, and no cycles anywhere (type-only imports count too).
// Rooms, rules and reasons are the table below; a new room needs a line there. A parser finds the imports, so that comments,
// strings and templates do not matter. Run: node scripts/check-imports.ts [ROOT]; exit code 1 when a rule is broken.

import { existsSync, globSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { parseSync, Visitor } from 'oxc-parser';

interface Rule {
  /** Path prefixes this room may import besides itself. */
  readonly imports: readonly string[];
  /** Prefixes that are nevertheless not open to it. */
  readonly except?: readonly string[];
  /** Node modules it must do without (subpaths such as fs/promises included). */
  readonly builtins?: readonly string[];
}

export interface Import {
  readonly specifier: string;
  readonly line: number;
}

// Sockets, files, threads, clocks and the process: what a function of its inputs has no business with.
const INPUT_OUTPUT = [
  ...['net', 'tls', 'dgram', 'dns', 'http', 'http2', 'https', 'fs', 'os', 'process', 'child_process', 'cluster'],
  ...['worker_threads', 'timers', 'perf_hooks', 'readline', 'sqlite', 'stream', 'async_hooks', 'diagnostics_channel'],
];
const SHARD_FORBIDDEN = INPUT_OUTPUT.filter((name) => name !== 'worker_threads');

// The longest prefix that fits a file is its room.
const ROOMS: Readonly<Record<string, Rule>> = {
  // The protocol is sans-IO; its randomness and primitives have one door.
  'src/lp/crypto/': { imports: ['src/lp/'], builtins: INPUT_OUTPUT },
  'src/lp/': { imports: [], builtins: [...INPUT_OUTPUT, 'crypto'] },
  // A shard gets clock and randomness as arguments; workers/ does the wiring.
  'src/shard/': { imports: ['src/lp/'], builtins: [...SHARD_FORBIDDEN, 'crypto'] },
  'src/client/': { imports: ['src/lp/', 'src/system/'] },
  // The load generator drives the protocol's cores itself; of the client library it takes tokens, targets and error texts.
  'src/load/': { imports: ['src/lp/', 'src/client/', 'src/system/'] },
  // Of the protocol, the registrar needs the formats, drop reasons and primitives, not the handshakes.
  'src/registration/': { imports: ['src/lp/', 'src/system/'], except: ['src/lp/v1/', 'src/lp/v2/', 'src/lp/nym/'] },
  // The issuer needs the formats and its operator's files; whoever verifies its tokens is no concern of its.
  'src/issuer/': { imports: ['src/lp/wire/', 'src/ops/', 'src/system/'] },
  'src/gateway/': { imports: ['src/lp/', 'src/shard/', 'src/registration/', 'src/ops/', 'src/system/'] },
  'src/ops/': { imports: ['src/system/', 'src/lp/crypto/'] },
  // Clock and randomness fill the shapes that the protocol asks for.
  'src/system/': { imports: ['src/lp/time.ts', 'src/lp/crypto/provider.ts'] },
  'src/cli/': { imports: ['src/'] },
  'workers/': { imports: ['src/shard/', 'src/lp/', 'src/system/', 'src/registration/', 'src/load/'] },
  // Tools and tests may import everything; they are here for the cycles.
  'scripts/': { imports: ['src/', 'workers/', 'bin/', 'test/'] },
  'test/': { imports: ['src/', 'workers/', 'bin/', 'scripts/'] },
  'bin/': { imports: [] },
};

/** Every module that a source text imports: static and dynamic imports, re-exports, type-only ones, import types, require. */
export function importsOf(file: string, source: string): readonly Import[] {
  const parsed = parseSync(file, source);
  const fault = parsed.errors[0];
  if (fault !== undefined) throw new Error(`${file}: ${fault.message}`);
  const found: Import[] = [];
  const add = (literal: unknown): void => {
    if (typeof literal !== 'object' || literal === null || !('value' in literal && 'start' in literal)) return;
    const { value, start } = literal;
    if (typeof value !== 'string' || typeof start !== 'number') return;
    found.push({ specifier: value, line: source.slice(0, start).split('\n').length });
  };
  new Visitor({
    ImportDeclaration: (node) => add(node.source),
    ExportNamedDeclaration: (node) => add(node.source),
    ExportAllDeclaration: (node) => add(node.source),
    ImportExpression: (node) => add(node.source),
    TSImportType: (node) => add(node.source),
    CallExpression: (node) => {
      if (node.callee.type === 'Identifier' && node.callee.name === 'require') add(node.arguments[0]);
    },
  }).visit(parsed.program);
  return found;
}

function roomOf(file: string): string | undefined {
  const rooms = Object.keys(ROOMS).filter((prefix) => file.startsWith(prefix));
  return rooms.sort((a, b) => b.length - a.length)[0];
}

/** What is wrong with one import of a file, if anything; `target` is the file it means, undefined outside the project. */
function fault(file: string, specifier: string, target: string | undefined): string | undefined {
  const room = roomOf(file);
  const rule = room === undefined ? undefined : ROOMS[room];
  if (room === undefined || rule === undefined) {
    return 'this folder is no room yet: add it to the table in scripts/check-imports.ts';
  }
  if (target !== undefined) {
    if (target.startsWith(room)) return undefined;
    if (file.startsWith('src/') && target.startsWith('src/cli/')) return 'only bin/ starts the command line';
    if (!rule.imports.some((prefix) => target.startsWith(prefix))) return `${room} must not import ${target}`;
    const closed = rule.except?.find((prefix) => target.startsWith(prefix));
    return closed === undefined ? undefined : `${room} must not import ${target} (${closed} is closed to it)`;
  }
  if (!isBuiltin(specifier)) return undefined;
  const name = specifier.replace(/^node:/, '').split('/')[0] ?? '';
  return rule.builtins?.includes(name) ? `${room} must not import ${specifier}` : undefined;
}

/** The cycles of a graph, each once, as the files on the way round. */
function cyclesOf(graph: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const walk = (file: string): void => {
    const at = path.indexOf(file);
    if (at >= 0) cycles.push([...path.slice(at), file]);
    if (at >= 0 || done.has(file)) return;
    path.push(file);
    for (const next of graph.get(file) ?? []) walk(next);
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) walk(file);
  return cycles;
}

/** Checks the tree below a directory; returns how many files it read, and one line for each broken rule. */
export function checkImports(root: string): { readonly files: number; readonly faults: readonly string[] } {
  const files = globSync('{src,workers,scripts,test,bin}/**/*.{ts,js,mjs}', { cwd: root }).filter(
    (file) => !file.includes('node_modules'),
  );
  const faults: string[] = [];
  const graph = new Map<string, string[]>();
  for (const file of files.sort()) {
    const targets: string[] = [];
    graph.set(file, targets);
    for (const { specifier, line } of importsOf(file, readFileSync(join(root, file), 'utf8'))) {
      const target = specifier.startsWith('.') ? join(dirname(file), specifier) : undefined;
      const wrong = fault(file, specifier, target);
      if (wrong !== undefined) faults.push(`${file}:${line}: ${wrong}`);
      if (target !== undefined && existsSync(join(root, target))) targets.push(target);
    }
  }
  for (const cycle of cyclesOf(graph)) faults.push(`cycle: ${cycle.join(' → ')}`);
  return { files: files.length, faults };
}

if (import.meta.main) {
  const { files, faults } = checkImports(process.argv[2] ?? dirname(import.meta.dirname));
  for (const line of faults) process.stderr.write(`imports: ${line}\n`);
  process.stdout.write(`imports: ${files} files, ${faults.length} broken rules\n`);
  if (faults.length > 0 || files === 0) process.exitCode = 1;
}
