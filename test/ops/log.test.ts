import test from 'ava';
import { createLogger } from '../../src/ops/log.ts';

function logger(level: 'info' | 'debug' = 'info') {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({ level, destination: { write: (line) => lines.push(JSON.parse(line)) } });
  return { log, lines };
}

test('a line has level, ISO time, msg and the given fields, and nothing of the machine', (t) => {
  const { log, lines } = logger();
  log.info({ shards: 2 }, 'ready');
  const { time, ...rest } = lines[0]!;
  t.deepEqual(rest, { level: 'info', shards: 2, msg: 'ready' });
  t.regex(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});

test('levels below the set one are not written', (t) => {
  const { log, lines } = logger();
  log.debug('no');
  log.warn('yes');
  t.deepEqual(
    lines.map(({ msg }) => msg),
    ['yes'],
  );
});

test('secret fields are redacted, on top and inside', (t) => {
  const { log, lines } = logger();
  log.info({ seed: 's3cret', session: { psk: 's3cret', request: { preshared_key: 's3cret', owner: 's3cret' } } }, 'x');
  t.notRegex(JSON.stringify(lines), /s3cret/);
  t.like(lines[0], { seed: '<redacted>', session: { psk: '<redacted>' } });
});

test('an error keeps its message and code', (t) => {
  const { log, lines } = logger();
  log.error({ err: Object.assign(new Error('no'), { code: 'EADDRINUSE' }) }, 'failed');
  t.like(lines[0], { level: 'error', err: { message: 'no', code: 'EADDRINUSE' } });
});
