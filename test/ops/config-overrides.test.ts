import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { formatConfigError, loadConfig } from '../../src/ops/config/index.ts';
import { parseOverride } from '../../src/ops/config/overrides.ts';
import { tempDir } from './temp-dir.ts';

const VALUES: readonly (readonly [string, unknown])[] = [
  ['limits.handshakes_per_address=50', 50],
  ['limits.handshakes_per_address = 0.5 ', 0.5],
  ['gateway.kem=["ml-kem-768"]', ['ml-kem-768']],
  ['gateway.shards=auto', 'auto'],
  ['gateway.shards="auto"', 'auto'],
  ['gateway.listen=127.0.0.1:0', '127.0.0.1:0'],
  ['gateway.listen=[::1]:41264', '[::1]:41264'],
  ['gateway.listen=["127.0.0.1:1", "[::1]:2"]', ['127.0.0.1:1', '[::1]:2']],
  ['gateway.identity=/a=b/key.pem', '/a=b/key.pem'],
  ['registration.ipv4_pool=10.64.0.0/16', '10.64.0.0/16'],
  ['admin.listen=', ''],
  ['admin.listen=off', 'off'],
  ['log.level=debug\nlog.format=7', 'debug\nlog.format=7'],
];

for (const [text, expected] of VALUES) {
  test(`--set ${JSON.stringify(text)} gives ${JSON.stringify(expected)}`, (t) => {
    const override = parseOverride(text);
    t.deepEqual(override.ok ? override.value : override.error, expected);
  });
}

const REFUSED: readonly (readonly [string, RegExp])[] = [
  ['log.level', /has no value.*--set key=value/i],
  ['', /has no value/],
  ['gateway=4', /group of keys.*listen, identity/],
  ['limits.listed.0.sessions=4', /inside a key.*limits\.listed/],
  ['gateway.kems=["x-wing"]', /did you mean gateway\.kem\?/i],
  ['limits.handshake_per_adress=5', /did you mean limits\.handshakes_per_address\?/i],
  ['lifetimes.records=5', /did you mean limits\.records\?/i],
  ['records=5', /did you mean limits\.records\?/i],
  ['gateway.toString=1', /not a key/],
  ['__proto__.polluted=1', /not a key/],
  ['gateway.kem=["x-wing"', /not a TOML value/],
  ['gateway.listen="127.0.0.1:1', /not a TOML value/],
  ['forward.allow=[{identity=abc}]', /not a TOML value/],
  [`log.level=${'x'.repeat(70_000)}`, /too long/],
];

for (const [text, words] of REFUSED) {
  test(`--set ${JSON.stringify(text.slice(0, 40))} is refused with what to do`, (t) => {
    const override = parseOverride(text);
    t.false(override.ok);
    if (!override.ok) t.regex(formatConfigError(override.error), words);
  });
}

test('--set wins over the file, the last one over earlier ones, --listen over both', (t) => {
  const file = join(tempDir(t), 'lewes.toml');
  writeFileSync(file, '[log]\nlevel = "warn"\n[gateway]\nlisten = "127.0.0.1:1"\nshards = 3\n');
  const set = ['log.level=debug', 'log.level=error', 'gateway.listen=127.0.0.1:2'];
  const loaded = loadConfig({ file, set, listen: ['127.0.0.1:3', '[::1]:3'] });
  t.true(loaded.ok);
  if (!loaded.ok) return;
  t.is(loaded.config.log.level, 'error');
  t.is(loaded.config.gateway.shards, 3);
  t.deepEqual(loaded.config.gateway.listen, [
    { host: '127.0.0.1', port: 3 },
    { host: '::1', port: 3 },
  ]);
});
