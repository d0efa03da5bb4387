/** What the fuzzer once found or reached stays right: every kept input through its target, without the fuzzer. */
import test from 'ava';
import { readCorpus } from '../../scripts/fuzz/corpus.ts';
import { findTargets } from '../../scripts/fuzz/targets.ts';

for (const { target } of await findTargets()) {
  const inputs = readCorpus(target.name);
  if (inputs.length === 0) continue;
  test(`${target.name}: its kept inputs bring no fault`, async (t) => {
    await target.setUp?.();
    for (const input of inputs) await target.run(input);
    t.pass();
  });
}
