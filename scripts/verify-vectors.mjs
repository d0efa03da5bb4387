// @ts-check
// The test vectors in test/vectors are copies. Where the folder they come from lies beside the clone, this compares them byte
// for byte, so that no vector is bent to fit the code; elsewhere it says that there is nothing to compare with.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const [copies = join(ROOT, 'test', 'vectors'), originals = join(ROOT, '..', 'shared', 'vectors')] =
  process.argv.slice(2);

/** @param {string} folder */
const vectorFiles = (folder) => readdirSync(folder).filter((name) => name.endsWith('.json'));

const names = vectorFiles(copies);
if (names.length === 0) {
  process.stderr.write('vectors: test/vectors has none\n');
  process.exitCode = 1;
} else if (!existsSync(originals)) {
  process.stdout.write(
    `vectors: the originals are absent here (../shared/vectors); ${names.length} files not compared\n`,
  );
} else {
  const wrong = names.filter((name) => {
    const original = join(originals, name);
    return !existsSync(original) || !readFileSync(original).equals(readFileSync(join(copies, name)));
  });
  for (const name of wrong) process.stderr.write(`vectors: ${name} differs from its original\n`);
  for (const name of vectorFiles(originals)) {
    if (names.includes(name)) continue;
    process.stderr.write(`vectors: ${name} has no copy in test/vectors\n`);
    wrong.push(name);
  }
  if (wrong.length > 0) process.exitCode = 1;
  else process.stdout.write(`vectors: ${names.length} files are equal to their originals\n`);
}
