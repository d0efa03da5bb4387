// @ts-check
// The gate before anything lands: every check in order of its cost, each named, ending at the first that fails.
// In continuous integration ($CI) the tests report as TAP, whose counts can be added up.

import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** @type {readonly (readonly [name: string, script: string, ...args: string[]])[]} */
const STEPS = [
  ['vectors', 'vectors'],
  ['lock file', 'lock:check'],
  ['format and lint', 'lint'],
  ['types', 'types'],
  ['import directions', 'imports'],
  ['dead code', 'deadcode'],
  ['package', 'build:check'],
  ['tests with coverage', 'coverage', ...(process.env.CI ? ['--', '--tap'] : [])],
];

/** @returns {number} exit code */
function verify() {
  for (const [name, script, ...args] of STEPS) {
    process.stdout.write(`\n== ${name} (npm run ${[script, ...args].join(' ')})\n`);
    const start = performance.now();
    const done = spawnSync('npm', ['run', '--silent', script, ...args], { cwd: ROOT, stdio: 'inherit' });
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    if (done.status !== 0) {
      const why = done.error?.message ?? done.signal ?? `exit code ${done.status}`;
      process.stdout.write(`\nverify: "${name}" failed after ${seconds} s (${why})\n`);
      return 1;
    }
    process.stdout.write(`== ${name}: done in ${seconds} s\n`);
  }
  process.stdout.write(`\nverify: all ${STEPS.length} steps passed\n`);
  return 0;
}

process.exitCode = verify();
