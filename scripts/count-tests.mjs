// @ts-check
// Reads logs of test runs and prints "N passed, N failed" over all of them: the sums of the TAP summaries of ava (the block
// "1..N, # tests, # pass, # fail", which a test's own output does not imitate) and of lines of exactly this form.

import { readFileSync } from 'node:fs';
import process from 'node:process';

const SUMMARY =
  /^1\.\.(\d+)\n# tests (\d+)\n# pass (\d+)\n(?:# skip \d+\n)?# fail (\d+)$|^(\d+) passed, (\d+) failed$/gm;

let passed = 0;
let failed = 0;
for (const path of process.argv.slice(2)) {
  for (const [, plan, tests, pass, fail, ownPass, ownFail] of readFileSync(path, 'utf8').matchAll(SUMMARY)) {
    // ava counts tests that are only planned (test.todo) as failed here, though not in its exit code; "1..N" has them, "# tests" not.
    const todo = Number(plan ?? 0) - Number(tests ?? 0);
    passed += Number(pass ?? ownPass);
    failed += fail === undefined ? Number(ownFail) : Number(fail) - todo;
  }
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
