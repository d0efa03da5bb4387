// Small clones in a temporary directory for the tests of the tools: only the files a case needs, removed with its test.

import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';

export const PROJECT = dirname(dirname(import.meta.dirname));

/** A directory with these files (path → text), gone when the test ends. */
export function makeTree(t: ExecutionContext, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'lewes-tooling-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    if (text.startsWith('#!')) chmodSync(join(root, path), 0o755);
  }
  return root;
}

/** Puts files of this project into a tree, at the same paths. */
export function copyIn(root: string, ...paths: readonly string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    copyFileSync(join(PROJECT, path), join(root, path));
  }
}

/** A tree whose node_modules is what its lock file says, with the running Node as the clone's own. */
export function makeInstalledClone(t: ExecutionContext, files: Readonly<Record<string, string>> = {}): string {
  const lock = lockFile({ 'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' } });
  const root = makeTree(t, {
    'package.json': '{"type": "module"}',
    'package-lock.json': lock,
    'node_modules/.package-lock.json': lock,
    ...files,
  });
  mkdirSync(join(root, 'node_modules/node/bin'), { recursive: true });
  symlinkSync(process.execPath, join(root, 'node_modules/node/bin/node'));
  copyIn(root, 'bin/lewes.js', 'bin/launch.js', 'scripts/ensure-install.mjs');
  return root;
}

export function lockFile(packages: Readonly<Record<string, object>>): string {
  return JSON.stringify({ lockfileVersion: 3, packages: { '': { name: 'fixture' }, ...packages } });
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs Node on a script; `signalAt` is sent when the script has written the line "ready". */
export function runNode(
  script: string,
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly signalAt?: NodeJS.Signals } = {},
): Promise<Ended> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  const child = spawn(process.execPath, [script, ...args], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  let signalled = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (signalled || options.signalAt === undefined || !stdout.includes('ready')) return;
    signalled = true;
    child.kill(options.signalAt);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.on('error', reject);
  child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  return promise;
}
