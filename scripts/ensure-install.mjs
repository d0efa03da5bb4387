// @ts-check
// Makes a fresh clone usable: installs the locked dependencies when what is in node_modules is not what package-lock.json
// says. Runs on Node 20 without any dependency, since nothing may be installed yet. Its normal case is one hash of the lock
// file and two stats, so every command can afford it.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readlinkSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { MINIMUM_NODE, ownNode, runsSources } from '../bin/launch.js';

/** The directory of the clone that this script belongs to. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const STAMP = '.lewes-install';
const LOCK = '.install.lock';
const LOCK_POLL_MS = 250;
// npm ci takes 10 to 60 s; a holder of the lock that needs longer than this has hung.
const LOCK_TIMEOUT_MS = 600_000;

/**
 * Why the dependencies must be installed, or undefined when they are as package-lock.json wants them.
 * A tree without our stamp (somebody ran npm by hand) is compared package by package and stamped if it is right.
 * @param {string} root
 * @param {string} [version] of the running Node
 * @returns {string | undefined}
 */
export function installReason(root, version = process.versions.node) {
  const modules = join(root, 'node_modules');
  const lock = readIfThere(join(root, 'package-lock.json'));
  if (lock === undefined) throw installError('there is no package-lock.json here: is the clone complete?', root);
  const hidden = join(modules, '.package-lock.json');
  if (!existsSync(hidden)) return 'node_modules is missing or incomplete';
  if (!runsSources(version) && !existsSync(ownNode(root))) return 'the Node binary of the package "node" is missing';
  const digest = createHash('sha256').update(lock).digest('hex');
  if (readIfThere(join(modules, STAMP)) === digest) return undefined;
  if (!sameTree(lock, readIfThere(hidden) ?? '{}')) return 'node_modules is not what package-lock.json says';
  writeStamp(root);
  return undefined;
}

/**
 * Installs what is locked if it is not there yet, with progress on standard error.
 * @param {{root?: string, version?: string}} [options]
 * @returns {boolean} whether it had to install
 */
export function ensureInstall({ root = ROOT, version = process.versions.node } = {}) {
  if (installReason(root, version) === undefined) return false;
  const release = takeLock(root);
  try {
    // Asked again: another command may have installed while this one waited for the lock.
    const reason = installReason(root, version);
    if (reason === undefined) return false;
    process.stderr.write(`lewes: ${reason}; installing the locked dependencies (npm ci)…\n`);
    runNpmCi(root);
    if (!runsSources(version) && !existsSync(ownNode(root))) {
      throw installError(
        `npm ci worked, but brought no Node binary: this Node (${version}) is older than ${MINIMUM_NODE}, and the ` +
          'install script of the package "node" did not run. Allow install scripts (npm config get ignore-scripts), or use a newer Node.',
        root,
      );
    }
    writeStamp(root);
    process.stderr.write('lewes: dependencies installed\n');
    return true;
  } finally {
    release();
  }
}

/** @param {string} root */
function runNpmCi(root) {
  // Under npx, npm_execpath names npx-cli.js, which is no npm.
  const cli = process.env.npm_execpath;
  const [command, ...prefix] = cli !== undefined && basename(cli) === 'npm-cli.js' ? [process.execPath, cli] : ['npm'];
  // NODE_ENV=production or an omit setting would leave out the tools and the Node binary. Warnings (an old Node does not suit
  // some packages, which the own Node then runs) would only hide what matters.
  const flags = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'];
  const done = spawnSync(command ?? 'npm', [...prefix, ...flags], { cwd: root, stdio: ['ignore', 2, 2] });
  if (done.error !== undefined) throw installError(`npm could not be started (${done.error.message})`, root);
  if (done.status !== 0) {
    throw installError(`npm ci failed (${done.signal ?? `exit code ${done.status}`}); its output is above`, root);
  }
}

/**
 * Whether every locked package is installed in the locked version. Optional ones may be absent (other platforms), further ones
 * may be there (the Node binary's own package is not in the lock file).
 * @param {string} lock
 * @param {string} hidden
 */
function sameTree(lock, hidden) {
  const wanted = packagesOf(lock);
  const found = packagesOf(hidden);
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const have = found[path];
    if (have === undefined) return entry.optional === true || entry.devOptional === true;
    return have.version === entry.version && have.integrity === entry.integrity;
  });
}

/**
 * @typedef {{version?: string, integrity?: string, optional?: boolean, devOptional?: boolean}} Entry
 * @param {string} text
 * @returns {Record<string, Entry>}
 */
function packagesOf(text) {
  try {
    return JSON.parse(text).packages ?? {};
  } catch {
    return {};
  }
}

/** @param {string} root */
function writeStamp(root) {
  const digest = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  try {
    writeFileSync(join(root, 'node_modules', STAMP), digest);
  } catch {
    // A read-only tree works without its stamp; the comparison is only made again each time.
  }
}

/**
 * One installation at a time: npm ci empties node_modules first, under the feet of a second one.
 * @param {string} root
 * @returns {() => void} releases it
 */
function takeLock(root) {
  const path = join(root, LOCK);
  const deadline = Date.now() + LOCK_TIMEOUT_MS;
  let told = false;
  for (;;) {
    try {
      // A symbolic link is made in one step together with what it says: whose lock this is.
      symlinkSync(String(process.pid), path);
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') {
        throw installError(`the clone cannot be written (${error instanceof Error ? error.message : error})`, root);
      }
    }
    if (!holderLives(path)) {
      rmSync(path, { force: true });
      continue;
    }
    if (Date.now() > deadline) throw installError(`another installation has held ${LOCK} for too long`, root);
    if (!told) process.stderr.write('lewes: waiting for another installation in this clone…\n');
    told = true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_POLL_MS);
  }
}

/** @param {string} path */
function holderLives(path) {
  try {
    process.kill(Number(readlinkSync(path)), 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

/** @param {unknown} error */
function codeOf(error) {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** @param {string} path */
function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * @param {string} message
 * @param {string} root
 */
function installError(message, root) {
  return Object.assign(new Error(`${message}\n       Try by hand: cd ${root} && npm ci`), { code: 'ERR_INSTALL' });
}

/**
 * Runs ensureInstall for a command: an installation that fails is told in one message, not as a stack.
 * @param {{root?: string, version?: string}} [options]
 * @returns {boolean} whether the command can go on
 */
export function ensureInstallOrTell(options) {
  try {
    ensureInstall(options);
    return true;
  } catch (error) {
    if (!(error instanceof Error) || codeOf(error) !== 'ERR_INSTALL') throw error;
    process.stderr.write(`lewes: ${error.message}\n`);
    process.exitCode = 1;
    return false;
  }
}

if (process.argv[1] !== undefined && pathToFileURL(realpathSync(process.argv[1])).href === import.meta.url) {
  ensureInstallOrTell();
}
