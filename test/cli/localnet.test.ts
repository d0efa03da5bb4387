import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { tempDir } from '../ops/temp-dir.ts';
import { lewes, outline, type ReportedStep, start } from './child.ts';

interface Gateway {
  readonly listen: string;
  readonly admin: string;
  readonly identity: string;
  readonly pid: number;
  readonly dataDir: string;
}

interface Registration {
  readonly ipv4: string;
  readonly ipv6: string;
  readonly expires: number | null;
  readonly releasable: boolean;
  readonly released: boolean;
}

interface Report {
  readonly ok: boolean;
  readonly entry: Gateway;
  readonly exit: Gateway;
  readonly registrations: Readonly<Record<string, Registration>>;
  readonly steps: readonly ReportedStep[];
  readonly probe?: string;
  readonly wgQuick?: readonly string[];
  readonly totalMs: number;
  readonly error?: { readonly code: string; readonly message: string };
}

const parse = (out: string) => JSON.parse(out) as Report;
const LP1_LATER = ['handshake', 'registration', 'rekey'];
const LATER = ['key', 'handshake', 'echo', 'token', 'registration', 'rekey'];

/** The temporary directory of the command: what it leaves there can be seen. */
function ownTemp(t: ExecutionContext) {
  const TMPDIR = join(tempDir(t), 'tmp');
  mkdirSync(TMPDIR);
  return { env: { TMPDIR }, left: () => readdirSync(TMPDIR).filter((name) => name.startsWith('lewes-localnet-')) };
}

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

// One after the other: each starts three processes.
test.serial('two gateways start, a client registers with both, and nothing is left', async (t) => {
  const { env, left } = ownTemp(t);
  const { code, out, err } = await lewes(t, ['localnet', '--json', '--set', 'gateway.kem=["ml-kem-768"]'], env);
  t.is(code, 0, out + err);
  const report = parse(out);
  t.true(report.ok);
  const steps = outline(report.steps);
  t.deepEqual(steps.slice(0, 4).toSorted(), ['entry reload', 'entry start', 'exit reload', 'exit start']);
  t.deepEqual(steps.slice(4, -2), [
    'entry connect',
    ...LATER.map((step) => `entry ${step}`),
    ...LATER.map((step) => `exit ${step}`),
  ]);
  t.deepEqual(steps.slice(-2).toSorted(), ['entry stop', 'exit stop']);
  t.true(report.steps.every(({ ok }) => ok));
  t.not(report.entry.identity, report.exit.identity);
  for (const { listen, admin } of [report.entry, report.exit]) {
    for (const address of [listen, admin]) t.regex(address, /^127\.0\.0\.1:\d+$/);
  }
  t.regex(report.registrations.exit?.ipv4 ?? '', /^10\.64\./);
  t.regex(report.registrations.entry?.ipv6 ?? '', /^fd/);
  t.notRegex(out, /owner|preshared|secret/i);
  t.deepEqual(left(), []);
  t.deepEqual([report.entry.pid, report.exit.pid].filter(runs), []);
});

test.serial('with --protocol 1 the client speaks LP1 to both gateways, which speak LP2 as well', async (t) => {
  const { env, left } = ownTemp(t);
  const { child, ended, output } = start(t, ['localnet', '--protocol', '1', '--keep', '--wireguard', '--json'], env);
  const report = parse(await output(/"totalMs".*\n\}\n$/));
  t.true(report.ok);
  t.deepEqual(outline(report.steps).slice(4), [
    'entry connect',
    ...LP1_LATER.map((step) => `entry ${step}`),
    ...LP1_LATER.map((step) => `exit ${step}`),
  ]);
  for (const hop of ['entry', 'exit']) {
    t.like(report.registrations[hop], { expires: null, releasable: false, released: false });
  }
  const [, inner = ''] = report.wgQuick ?? [];
  t.regex(readFileSync(inner, 'utf8'), new RegExp(`^# Lewes gateway ${report.exit.identity}\\n\\[Interface\\]`));

  const line = report.probe ?? '';
  t.regex(line, /^lewes probe .* --register --rekey --protocol 1$/);
  const args = line.split(' ').slice(1);
  const probes = await Promise.all([lewes(t, args, env), lewes(t, args.slice(0, -2), env)]);
  t.deepEqual(
    probes.map(({ code }) => code),
    [0, 0],
    probes.map(({ out, err }) => out + err).join('\n'),
  );

  child.kill('SIGTERM');
  t.is((await ended).code, 0);
  t.deepEqual(left(), []);
});

test.serial('--keep leaves a network for others until SIGTERM', async (t) => {
  const { env, left } = ownTemp(t);
  const { child, ended, output } = start(t, ['localnet', '--keep', '--wireguard', '--json'], env);
  const report = parse(await output(/"totalMs".*\n\}\n$/));
  t.true(report.ok);
  t.deepEqual(
    report.wgQuick?.map((path) => statSync(path).mode & 0o777),
    [0o600, 0o600],
  );
  const root = dirname(report.entry.dataDir);
  t.is(statSync(root).mode & 0o777, 0o700);
  t.true(runs(report.entry.pid) && runs(report.exit.pid));

  const [command, ...args] = (report.probe ?? '').split(' ');
  t.is(command, 'lewes');
  // Both ways round: each lists the other.
  const via = `${report.exit.listen}/${report.exit.identity}`;
  const back = ['probe', report.entry.listen, '--identity', report.entry.identity, '--via', via];
  const probes = await Promise.all([lewes(t, args, env), lewes(t, back, env)]);
  t.deepEqual(
    probes.map(({ code }) => code),
    [0, 0],
    probes.map(({ out, err }) => out + err).join('\n'),
  );

  child.kill('SIGTERM');
  t.is((await ended).code, 0);
  t.deepEqual(left(), []);
  t.deepEqual([report.entry.pid, report.exit.pid].filter(runs), []);
});

test.serial('--keep ends with exit code 1 when a gateway does', async (t) => {
  const { env, left } = ownTemp(t);
  const { ended, output } = start(t, ['localnet', '--keep', '--json'], env);
  const report = parse(await output(/"totalMs".*\n\}\n$/));
  process.kill(report.exit.pid, 'SIGTERM');
  const { code, err } = await ended;
  t.is(code, 1);
  t.regex(err, /^lewes: the exit gateway ended/m);
  t.deepEqual(left(), []);
  t.false(runs(report.entry.pid));
});

test.serial('an interruption while it starts, and a gateway that does not start, leave nothing', async (t) => {
  const [interrupted, broken] = [ownTemp(t), ownTemp(t)];
  const early = start(t, ['localnet'], interrupted.env);
  const bad = start(t, ['localnet', '--json', '--set', 'gateway.shards=0'], broken.env);
  // Its directory is there: so are, in the same turn, its handlers and children.
  while (interrupted.left().length === 0) await new Promise((resolve) => setImmediate(resolve));
  early.child.kill('SIGINT');
  const { code, err } = await early.ended;
  t.is(code, 1);
  t.regex(err, /^lewes: interrupted\./m);
  t.deepEqual(interrupted.left(), []);

  const { code: badCode, out } = await bad.ended;
  t.is(badCode, 1);
  t.regex(parse(out).error?.message ?? '', /^the (entry|exit) gateway ended .*gateway\.shards/);
  t.deepEqual(broken.left(), []);
});

test.serial('wrong use is exit code 2', async (t) => {
  const { env, left } = ownTemp(t);
  const [protocol, none, twice, priced, own] = await Promise.all([
    lewes(t, ['localnet', '--protocol', 'nym', '--set', 'nym.credentials=off'], env),
    lewes(t, ['localnet', '--protocol', '3'], env),
    lewes(t, ['localnet', '--protocol', '1', '--set', 'gateway.min_protocol_version=2'], env),
    lewes(t, ['localnet', '--protocol', '1', '--set', 'credentials.kind=privacy-pass'], env),
    lewes(t, ['localnet', '--set', 'forward.allow=[]'], env),
  ]);
  t.deepEqual([protocol.code, none.code, twice.code, priced.code, own.code], [2, 2, 2, 2, 2]);
  t.regex(protocol.err, /^lewes: --protocol nym sets nym\.credentials to mock\. Leave one of them out\.\n$/);
  t.regex(none.err, /^lewes: there is no protocol version "3"\. .*\n$/);
  t.regex(twice.err, /^lewes: --protocol 1 sets gateway\.min_protocol_version to 1\. Leave one of them out\.\n$/);
  t.regex(priced.err, /^lewes: --protocol 1 sets credentials\.kind to none\. Leave one of them out\.\n$/);
  t.regex(own.err, /^lewes: localnet sets forward\.allow itself/);
  t.deepEqual(left(), []);
});
