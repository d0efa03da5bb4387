// @ts-check
// Keeps package-lock.json usable on every machine. A registry mirror that lacks the packages of other platforms makes npm leave
// them out of the lock file, and `npm ci` then refuses it everywhere. This adds what is missing, in the version that the parent
// pins exactly (without a digest: nobody here can compute it). With --check it only looks, also for addresses of a registry.

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const OS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const CPU = ['arm', 'arm64', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'x64'];
const LIBC = new Map([
  ['musl', 'musl'],
  ['gnu', 'glibc'],
]);

/**
 * @typedef {{version?: string, resolved?: string, dev?: boolean, optional?: boolean, cpu?: string[], os?: string[],
 *   libc?: string[], optionalDependencies?: Record<string, string>}} Entry
 * @typedef {Record<string, Entry>} Packages by their paths
 */

/**
 * The entries that optional dependencies name and the lock file lacks.
 * @param {Packages} packages
 * @returns {Packages}
 */
export function missingOptional(packages) {
  /** @type {Packages} */
  const missing = {};
  for (const [path, entry] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (!isLocked(packages, path, name)) missing[`node_modules/${name}`] = platformEntry(entry, name, version);
    }
  }
  return missing;
}

/**
 * Whether a package finds another by Node's rule: in its own node_modules, or in those of the directories above.
 * @param {Packages} packages
 * @param {string} path
 * @param {string} name
 */
function isLocked(packages, path, name) {
  for (let above = path; ; above = above.slice(0, Math.max(above.lastIndexOf('/node_modules/'), 0))) {
    if (packages[`${above === '' ? '' : `${above}/`}node_modules/${name}`] !== undefined) return true;
    if (above === '') return false;
  }
}

/**
 * Where a platform package runs is in its name, by the habit of all who publish such: name-os-cpu-libc.
 * @param {Entry} parent
 * @param {string} name
 * @param {string} version
 * @returns {Entry}
 */
function platformEntry(parent, name, version) {
  const words = name.split(/[/-]/);
  const os = OS.filter((word) => words.includes(word));
  const cpu = CPU.filter((word) => words.includes(word));
  const libc = words.flatMap((word) => LIBC.get(word) ?? []);
  if (!/^\d+\.\d+\.\d+/.test(version) || os.length === 0 || cpu.length === 0) {
    throw new Error(`package-lock.json lacks ${name}@${version}, and its name does not say for which platform it is`);
  }
  const kept = { version, cpu, ...(parent.dev === true ? { dev: true } : {}) };
  return { ...kept, ...(libc.length > 0 ? { libc } : {}), optional: true, os };
}

/** @param {readonly string[]} args */
function main(args) {
  const path = join(dirname(dirname(fileURLToPath(import.meta.url))), 'package-lock.json');
  const lock = JSON.parse(readFileSync(path, 'utf8'));
  const missing = missingOptional(lock.packages);
  const names = Object.keys(missing);
  if (args.includes('--check')) {
    const addressed = Object.entries(/** @type {Packages} */ (lock.packages)).filter(([, { resolved }]) => resolved);
    const faults = [...names.map((name) => `lacks ${name}`), ...addressed.map(([name]) => `has an address at ${name}`)];
    for (const fault of faults) process.stderr.write(`lock: package-lock.json ${fault}; run npm run lock\n`);
    process.stdout.write(`lock: ${Object.keys(lock.packages).length} packages, ${faults.length} faults\n`);
    if (faults.length > 0) process.exitCode = 1;
    return;
  }
  const all = Object.entries({ ...lock.packages, ...missing }).sort(([a], [b]) => a.localeCompare(b, 'en'));
  if (names.length > 0)
    writeFileSync(path, `${JSON.stringify({ ...lock, packages: Object.fromEntries(all) }, null, 2)}\n`);
  process.stdout.write(`lock: ${names.length} packages of other platforms added\n`);
}

if (import.meta.main ?? process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
