import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import test from 'ava';
import { UsageError } from '../../src/cli/exit.ts';
import { type Tunnel, wgQuickFiles, wgQuickPaths, writeWgQuick } from '../../src/cli/wg-quick.ts';
import { OperatorError } from '../../src/ops/operator-error.ts';
import { tempDir } from '../ops/temp-dir.ts';

const key = (fill: number) => new Uint8Array(32).fill(fill);
const base64 = (fill: number) => Buffer.from(key(fill)).toString('base64');

function tunnel(fill: number, changed: Partial<Tunnel> = {}): Tunnel {
  return {
    secretKey: key(fill),
    presharedKey: key(fill + 1),
    owner: key(fill + 2),
    gatewayKey: key(fill + 3),
    ipv4: `10.64.0.${fill}`,
    ipv6: `fd00::${fill}`,
    endpoints: [`192.0.2.${fill}:51820`, '[2001:db8::1]:51820'],
    keepalive: 25,
    identity: 'GATEWAY',
    ...changed,
  };
}

test('one gateway is one file through which everything goes', (t) => {
  const [file, ...more] = wgQuickFiles([tunnel(2)], ['/a/lewes.conf']);
  t.deepEqual(more, []);
  t.is(file?.path, '/a/lewes.conf');
  t.is(
    file?.text,
    `# Lewes gateway GATEWAY
# Owner secret of the registration: ${base64(4)}
[Interface]
PrivateKey = ${base64(2)}
Address = 10.64.0.2/32, fd00::2/128
MTU = 1420

[Peer]
PublicKey = ${base64(5)}
PresharedKey = ${base64(3)}
Endpoint = 192.0.2.2:51820
AllowedIPs = 0.0.0.0/0, ::/0
PersistentKeepalive = 25
`,
  );
});

test("an exit's tunnel goes through the entry's, which carries nothing else, and neither loops through the other", (t) => {
  const exit = tunnel(20, { endpoints: ['[2001:db8::20]:51820'], keepalive: 0 });
  const [outer = '', inner = ''] = wgQuickFiles([tunnel(2), exit], ['e', 'x']).map(({ text }) => text);
  const fields = (text: string, name: string) => text.split('\n').filter((line) => line.startsWith(`${name} = `));
  t.deepEqual(fields(outer, 'AllowedIPs'), ['AllowedIPs = 2001:db8::20/128']);
  t.deepEqual(fields(outer, 'MTU'), ['MTU = 1420']);
  t.deepEqual(fields(inner, 'AllowedIPs'), ['AllowedIPs = 0.0.0.0/0, ::/0']);
  t.deepEqual(fields(inner, 'MTU'), ['MTU = 1340']);
  t.deepEqual(fields(inner, 'Endpoint'), ['Endpoint = [2001:db8::20]:51820']);
  t.deepEqual(fields(inner, 'PersistentKeepalive'), []);
  t.deepEqual(
    [outer, inner].flatMap((text) => fields(text, 'FwMark')),
    ['FwMark = 51820', 'FwMark = 51820'],
  );
});

test('a registration without an owner has no line for one', (t) => {
  const { owner: _, ...rest } = tunnel(2);
  const [file] = wgQuickFiles([rest], ['/a/lewes.conf']);
  t.notRegex(file?.text ?? '', /owner|undefined/i);
  t.regex(file?.text ?? '', /^# Lewes gateway GATEWAY\n\[Interface\]\n/);
});

test('gateways of one address cannot be nested, and one without an endpoint makes no tunnel', (t) => {
  const same = { endpoints: ['192.0.2.9:1'] };
  t.throws(() => wgQuickFiles([tunnel(2, same), tunnel(20, same)], ['e', 'x']), { instanceOf: OperatorError });
  t.throws(() => wgQuickFiles([tunnel(2, { endpoints: [] })], ['x']), { instanceOf: OperatorError });
});

test('files are private, named as interfaces can be, and replace nothing', (t) => {
  const directory = tempDir(t);
  const paths = wgQuickPaths(join(directory, 'lewes.conf'), 2);
  t.deepEqual(
    paths.map((path) => basename(path)),
    ['lewes-entry.conf', 'lewes-exit.conf'],
  );
  writeWgQuick(wgQuickFiles([tunnel(2), tunnel(20)], paths));
  for (const path of paths) t.is(statSync(path).mode & 0o777, 0o600);
  const before = readFileSync(paths[0]!, 'utf8');
  t.throws(() => wgQuickPaths(join(directory, 'lewes.conf'), 2), {
    instanceOf: OperatorError,
    message: /is there already/,
  });
  t.throws(() => writeWgQuick([{ path: paths[0]!, text: '' }]), { instanceOf: OperatorError });
  t.is(readFileSync(paths[0]!, 'utf8'), before);

  for (const name of ['lewes', 'a-name-that-is-longer-than-15.conf', 'a b.conf']) {
    t.throws(() => wgQuickPaths(join(directory, name), 1), { instanceOf: UsageError }, name);
  }
  t.throws(() => wgQuickPaths(join(directory, 'ten-digits.conf'), 2), { instanceOf: UsageError });
  t.throws(() => wgQuickPaths(join(directory, 'none', 'a.conf'), 1), { instanceOf: OperatorError });
  writeFileSync(join(directory, 'taken.conf'), '');
  t.throws(() => wgQuickPaths(join(directory, 'taken.conf'), 1), { instanceOf: OperatorError });
});
