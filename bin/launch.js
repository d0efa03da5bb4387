// @ts-check
// How the command starts: on which Node, from the sources of a clone or from dist/ of the published package. One process where
// that is possible: this Node runs the command line itself if it is new enough; otherwise the clone's own Node replaces this
// process (execve) or, on a Node without execve, runs as a child to which signals are passed on.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import nodeModule from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** The oldest Node that runs the project: ML-KEM in node:crypto, TypeScript without a build step. */
export const MINIMUM_NODE = '24.7';
const [MINIMUM_MAJOR = 0, MINIMUM_MINOR = 0] = MINIMUM_NODE.split('.').map(Number);
const WRONG_USE = 2;

/**
 * @typedef {{kind: 'import', script: string, install: boolean}
 *   | {kind: 'ownNode', node: string, script: string}
 *   | {kind: 'refuse', message: string}} Plan
 */

/**
 * Whether Node of this version runs the project.
 * @param {string} version as process.versions.node has it
 */
export function runsSources(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > MINIMUM_MAJOR || (major === MINIMUM_MAJOR && minor >= MINIMUM_MINOR);
}

/**
 * The Node binary that the development dependency `node` brings into a clone.
 * @param {string} root
 */
export function ownNode(root) {
  return join(root, 'node_modules', 'node', 'bin', 'node');
}

/**
 * @param {string} root of the clone or package
 * @param {string} version of the running Node
 * @returns {Plan}
 */
export function plan(root, version) {
  const source = join(root, 'src', 'cli', 'main.ts');
  const compiled = join(root, 'dist', 'src', 'cli', 'main.js');
  const current = runsSources(version);
  if (existsSync(source)) {
    if (current) return { kind: 'import', script: source, install: true };
    return { kind: 'ownNode', node: ownNode(root), script: source };
  }
  if (!existsSync(compiled)) {
    return {
      kind: 'refuse',
      message: 'this copy is incomplete: neither src/cli/main.ts nor dist/src/cli/main.js is there',
    };
  }
  if (current) return { kind: 'import', script: compiled, install: false };
  const message = `Node ${MINIMUM_NODE} or newer is needed, this is ${version}; install a newer one from https://nodejs.org`;
  return { kind: 'refuse', message };
}

/**
 * @param {readonly string[]} args
 * @param {{root?: string, version?: string}} [options]
 */
export async function launch(args, { root = ROOT, version = process.versions.node } = {}) {
  const chosen = plan(root, version);
  switch (chosen.kind) {
    case 'refuse':
      process.stderr.write(`lewes: ${chosen.message}\n`);
      process.exitCode = WRONG_USE;
      return;
    case 'import':
      if (chosen.install) {
        if (!(await ensureInstall(root, version))) return;
        nodeModule.enableCompileCache(keepCompiled(root));
      }
      // As if the script had been named on the command line.
      process.argv[1] = chosen.script;
      await import(pathToFileURL(chosen.script).href);
      return;
    case 'ownNode':
      if (!(await ensureInstall(root, version))) return;
      keepCompiled(root);
      become(chosen.node, [chosen.script, ...args]);
      return;
  }
}

/**
 * Where Node keeps compiled sources of a clone, for this process and those that it starts: a third of a start is
 * compilation. Not in the system's temporary directory, where others could put code.
 * @param {string} root
 */
function keepCompiled(root) {
  process.env.NODE_COMPILE_CACHE ??= join(root, 'node_modules', '.cache', 'node-compile');
  return process.env.NODE_COMPILE_CACHE;
}

/**
 * @param {string} root
 * @param {string} version
 * @returns {Promise<boolean>} whether the command can go on
 */
async function ensureInstall(root, version) {
  // Not imported at the top: the published package has no scripts/.
  const { ensureInstallOrTell } = await import(pathToFileURL(join(root, 'scripts', 'ensure-install.mjs')).href);
  return ensureInstallOrTell({ root, version });
}

/**
 * Goes on as another program.
 * @param {string} node
 * @param {readonly string[]} args
 */
function become(node, args) {
  if (typeof process.execve === 'function' && process.platform !== 'win32') {
    // The warning that execve is experimental concerns nobody who runs the command.
    process.removeAllListeners('warning');
    process.execve(node, [node, ...args]);
  }
  runChild(node, args);
}

/**
 * Runs a program in this one's place: same standard streams, same signals, same end.
 * @param {string} node
 * @param {readonly string[]} args
 */
function runChild(node, args) {
  const child = spawn(node, args, { stdio: 'inherit' });
  /** @param {NodeJS.Signals} signal */
  const pass = (signal) => {
    child.kill(signal);
  };
  // A terminal sends Ctrl-C to the whole process group, the child included; a second one would cut its draining short.
  const fromTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  process.on('SIGINT', fromTerminal ? () => {} : pass);
  process.on('SIGTERM', pass);
  process.on('SIGHUP', pass);
  child.on('error', (error) => {
    process.stderr.write(`lewes: ${node} could not be started (${error.message})\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const name of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.removeAllListeners(name);
    process.kill(process.pid, signal);
    // Where the signal does not end this process, its number does, as in a shell.
    process.exitCode = 128 + constants.signals[signal];
  });
}
