import test from 'ava';
import { createProgress, table } from '../../src/cli/output.ts';
import { steppedClock } from '../../src/system/clock.ts';

function progress(options: { json: boolean; isTTY: boolean }) {
  const clock = steppedClock();
  let text = '';
  const stream = { isTTY: options.isTTY, write: (chunk: string) => (text += chunk) };
  const made = createProgress({ json: options.json, stream, nowMs: () => clock.now().monotonicMs });
  return { made, clock, text: () => text };
}

test('a step is told with its milliseconds on a terminal', async (t) => {
  const { made, clock, text } = progress({ json: false, isTTY: true });
  const result = await made.step('connect', async () => {
    clock.advance(12.34);
    return 7;
  });
  t.is(result, 7);
  t.regex(text(), /^ {2}connect +12\.3 ms\n$/);
});

test('a step that fails says so and throws on', async (t) => {
  const { made, text } = progress({ json: false, isTTY: true });
  await t.throwsAsync(
    made.step('handshake', () => Promise.reject(new Error('no'))),
    { message: 'no' },
  );
  t.regex(text(), /handshake +0\.0 ms {2}failed\n$/);
});

for (const options of [
  { json: true, isTTY: true },
  { json: false, isTTY: false },
]) {
  test(`progress is silent with ${JSON.stringify(options)}`, async (t) => {
    const { made, text } = progress(options);
    await made.step('connect', async () => {});
    made.note('x');
    t.is(text(), '');
  });
}

test('a table aligns nested names', (t) => {
  t.is(
    table({ ready: true, reasons: [], listen: ['a', 'b'], shards: [{ sessions: 3 }], empty: null }),
    [
      'ready              true',
      'reasons',
      'listen             a, b',
      'shards.0.sessions  3',
      'empty              null',
    ].join('\n'),
  );
});
