import test from 'ava';
import { systemRandom } from '../../src/system/random.ts';

test('system randomness fills small and large arrays, and never the same bytes twice', (t) => {
  const seen = new Set<string>();
  for (let i = 0; i < 300; i++) {
    const out = new Uint8Array(32);
    systemRandom.fill(out);
    seen.add(Buffer.from(out).toString('hex'));
  }
  t.is(seen.size, 300);
  for (const length of [0, 1, 255, 256, 257, 5000]) {
    const out = new Uint8Array(length + 2);
    systemRandom.fill(out.subarray(1, length + 1));
    t.is(out[0], 0);
    t.is(out[length + 1], 0);
    if (length > 100) t.true(new Set(out).size > 50);
  }
});
