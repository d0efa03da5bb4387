import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { encodeBase58 } from '../../src/ops/base58.ts';
import { startGateway, type TestGateway } from '../support/test-gateway.ts';
import { lewes, outline, type ReportedStep, start } from './child.ts';

interface Registration {
  readonly ipv4: string;
  readonly endpoints: readonly string[];
  readonly expires: number | null;
  readonly releasable: boolean;
  readonly released: boolean;
}

interface Report {
  readonly ok: boolean;
  readonly target: { readonly address: string; readonly identity: string };
  readonly via?: { readonly address: string; readonly identity: string };
  readonly steps: readonly ReportedStep[];
  readonly registrations?: Readonly<Record<string, Registration>>;
  readonly totalMs: number;
  readonly error?: { readonly code: string; readonly message: string };
}

const parse = (out: string) => JSON.parse(out) as Report;
const addressOf = ({ target }: TestGateway) => `127.0.0.1:${target.port}`;
const identityOf = ({ target }: TestGateway) => encodeBase58(target.ed25519);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const inThread = { entry: 'in-thread' } as const;
const OTHER_KEY = 'GhL8CN9Pjvx1Xr3SVbCfQmHMKtqJmdUDJNvcfY9Wi1pW';

const LP1 = 'gateway.min_protocol_version=1';

async function pair(t: ExecutionContext, set: readonly string[] = []) {
  const exit = await startGateway(t, { ...inThread, set });
  const { ed25519, port } = exit.target;
  const allow = `forward.allow=[{identity="${hex(ed25519)}", address="127.0.0.1", port=${port}}]`;
  const entry = await startGateway(t, { ...inThread, set: [allow, ...set], seed: new Uint8Array(32).fill(0x33) });
  return { exit, entry };
}

/** Accepts connections and never answers. */
async function silentServer(t: ExecutionContext): Promise<{ server: Server; address: string }> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.resume();
    t.teardown(() => socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return { server, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test('a gateway that works is told step by step, with exit code 0', async (t) => {
  const gateway = await startGateway(t, inThread);
  const { code, out, err } = await lewes(t, ['probe', addressOf(gateway), '--identity', identityOf(gateway), '--json']);
  t.is(code, 0, err);
  t.is(err, '');
  const report = parse(out);
  t.deepEqual(Object.keys(report), ['ok', 'target', 'steps', 'totalMs']);
  t.true(report.ok);
  t.deepEqual(report.target, { address: addressOf(gateway), identity: identityOf(gateway) });
  t.deepEqual(outline(report.steps), ['direct connect', 'direct key', 'direct handshake', 'direct echo']);
  t.true(report.steps.every(({ ok, ms }) => ok && ms > 0 && ms < report.totalMs));
});

test('through an entry, both gateways register, rekey and are left without a trace', async (t) => {
  const { exit, entry } = await pair(t);
  const via = `${addressOf(entry)}/${hex(entry.target.ed25519)}`;
  const args = ['probe', addressOf(exit), '--identity', identityOf(exit), '--via', via, '--register', '--rekey'];
  const [json, human] = await Promise.all([lewes(t, [...args, '--json']), lewes(t, args)]);
  t.deepEqual([json.code, human.code], [0, 0], json.err + human.err + json.out);
  const report = parse(json.out);
  const later = ['handshake', 'echo', 'registration', 'rekey'];
  t.deepEqual(outline(report.steps), [
    ...['connect', 'key', ...later].map((step) => `entry ${step}`),
    ...['key', ...later].map((step) => `exit ${step}`),
    'exit release',
    'entry release',
  ]);
  t.is(report.via?.identity, identityOf(entry));
  const { entry: atEntry, exit: atExit } = report.registrations ?? {};
  t.regex(atEntry?.ipv4 ?? '', /^10\.64\./);
  t.deepEqual(atExit?.endpoints, ['127.0.0.1:51820']);
  for (const registration of [atEntry, atExit]) {
    t.like(registration, { releasable: true, released: true });
    t.is(typeof registration?.expires, 'number');
  }
  t.notRegex(human.out, /not released/);
  t.notRegex(json.out + human.out, /owner|preshared/i);
  t.regex(human.out, /^exit +handshake +[\d.]+ ms {2}ok$/m);
  t.regex(human.out, /^registered at the exit: 10\.64\..*51820$/m);
  for (const { gateway } of [exit, entry]) {
    const { registrations, outcomes } = gateway.registrar.status();
    t.is(registrations.dvpn.active, 0);
    t.deepEqual(
      outcomes.map(({ op, outcome, count }) => `${op} ${outcome} ${count}`),
      ['quote completed 2', 'release completed 2'],
    );
  }
});

test('with --protocol 1 a gateway is told step by step, without key and echo', async (t) => {
  const gateway = await startGateway(t, { ...inThread, set: [LP1] });
  const args = ['probe', addressOf(gateway), '--identity', identityOf(gateway), '--json', '--protocol', '1'];
  const [one, kept] = await Promise.all([lewes(t, args), lewes(t, [...args, '--keep-connections', '--rekey'])]);
  t.deepEqual([one.code, kept.code], [0, 0], one.out + one.err + kept.out + kept.err);
  t.deepEqual(outline(parse(one.out).steps), ['direct connect', 'direct handshake']);
  t.deepEqual(outline(parse(kept.out).steps), ['direct connect', 'direct handshake', 'direct rekey']);
});

test('in LP1 both gateways register and rekey, and what was registered ends by itself', async (t) => {
  const { exit, entry } = await pair(t, [LP1]);
  const via = `${addressOf(entry)}/${hex(entry.target.ed25519)}`;
  const args = ['probe', addressOf(exit), '--identity', identityOf(exit), '--via', via, '--register', '--rekey'];
  args.push('--protocol', '1');
  const [json, human] = await Promise.all([lewes(t, [...args, '--json']), lewes(t, args)]);
  t.deepEqual([json.code, human.code], [0, 0], json.err + human.err + json.out);
  const report = parse(json.out);
  const later = ['handshake', 'registration', 'rekey'];
  t.deepEqual(outline(report.steps), [
    ...['connect', ...later].map((step) => `entry ${step}`),
    ...later.map((step) => `exit ${step}`),
  ]);
  for (const hop of ['entry', 'exit']) {
    const registration = report.registrations?.[hop];
    t.like(registration, { expires: null, releasable: false, released: false });
    t.regex(registration?.ipv4 ?? '', /^10\.64\./);
  }
  t.regex(human.out, /^not released at the exit: .*ends by itself$/m);
  t.notRegex(human.out, /9007199254740991|null/);
  for (const { gateway } of [exit, entry]) t.is(gateway.registrar.status().registrations.dvpn.active, 2);
});

test('--via-protocol is for the entry alone, and --protocol for the exit behind it', async (t) => {
  const { exit, entry } = await pair(t, [LP1]);
  const via = `${addressOf(entry)}/${hex(entry.target.ed25519)}`;
  const args = ['probe', addressOf(exit), '--identity', identityOf(exit), '--via', via, '--json'];
  const [older, newer] = await Promise.all([
    lewes(t, [...args, '--protocol', '1', '--via-protocol', '2', '--kem', 'ml-kem-768']),
    lewes(t, [...args, '--via-protocol', '1']),
  ]);
  t.deepEqual([older.code, newer.code], [0, 0], older.out + newer.out);
  t.deepEqual(outline(parse(older.out).steps), [
    ...['connect', 'key', 'handshake', 'echo'].map((step) => `entry ${step}`),
    'exit handshake',
  ]);
  t.deepEqual(outline(parse(newer.out).steps), [
    ...['connect', 'handshake'].map((step) => `entry ${step}`),
    ...['key', 'handshake', 'echo'].map((step) => `exit ${step}`),
  ]);
});

test('a gateway without LP1 fails a probe with --protocol 1', async (t) => {
  const gateway = await startGateway(t, inThread);
  const args = ['probe', addressOf(gateway), '--identity', identityOf(gateway), '--json', '--protocol', '1'];
  const { code, out } = await lewes(t, [...args, '--timeout', '2']);
  t.is(code, 1);
  t.regex(outline(parse(out).steps).at(-1) ?? '', /^direct handshake !/);
});

test('a KEM suite that the gateway does not offer fails the probe, and a further one makes it work', async (t) => {
  const gateway = await startGateway(t, { ...inThread, set: ['gateway.kem=["ml-kem-768"]'] });
  const args = ['probe', addressOf(gateway), '--identity', identityOf(gateway), '--json', '--kem', 'x-wing'];
  const [one, two, pinned] = await Promise.all([
    lewes(t, args),
    lewes(t, [...args, '--kem', 'ml-kem-768']),
    lewes(t, [...args, '--kem', 'ml-kem-768', '--kem-key-hash', '00'.repeat(32)]),
  ]);
  t.deepEqual([one.code, two.code, pinned.code], [1, 0, 1], two.out);
  t.deepEqual(outline(parse(one.out).steps), ['direct connect', 'direct key !suite_not_offered']);
  t.deepEqual(outline(parse(pinned.out).steps), ['direct connect', 'direct key !pin']);
});

test('a registration that is refused is a failed step, and the rest goes on', async (t) => {
  const gateway = await startGateway(t, { ...inThread, set: ['registration.modes=["mixnet"]'] });
  const args = ['probe', addressOf(gateway), '--identity', identityOf(gateway), '--json', '--register', '--rekey'];
  const { code, out } = await lewes(t, args);
  t.is(code, 1);
  t.deepEqual(outline(parse(out).steps).slice(3), [
    'direct echo',
    'direct registration !mode_not_offered',
    'direct rekey',
  ]);
});

test('a wrong identity, a closed port and an exit that is not listed are told with the reason, exit code 1', async (t) => {
  const { exit, entry } = await pair(t);
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port } = closed.address() as AddressInfo;
  closed.close();
  const via = `${addressOf(exit)}/${identityOf(exit)}`;
  const [wrong, refused, unlisted] = await Promise.all([
    lewes(t, ['probe', addressOf(entry), '--identity', OTHER_KEY, '--json']),
    lewes(t, ['probe', `127.0.0.1:${port}`, '--identity', OTHER_KEY]),
    lewes(t, ['probe', addressOf(entry), '--identity', identityOf(entry), '--via', via, '--json']),
  ]);
  t.deepEqual([wrong.code, refused.code, unlisted.code], [1, 1, 1]);
  const failed = parse(wrong.out).steps.at(-1);
  t.like(failed, { hop: 'direct', step: 'key', ok: false, error: { code: 'kem_key', reason: 'signature' } });
  t.regex(failed?.error?.message ?? '', /the identity is wrong/);
  t.regex(refused.out, /connect +[\d.]+ ms {2}failed \(ECONNREFUSED\)\n\nfailed in/);
  t.regex(refused.err, /^lewes: connect failed: no connection.*check address and port.*\n$/);
  t.is(outline(parse(unlisted.out).steps).at(-1), 'exit forward !not_allowed');
});

test('wrong use is exit code 2 with what to do', async (t) => {
  const ok = ['127.0.0.1:41264', '--identity', OTHER_KEY];
  const cases: readonly (readonly [RegExp, readonly string[]])[] = [
    [/needs the identity/, ['127.0.0.1:41264']],
    [/"nope" is not host:port/, ['nope', '--identity', OTHER_KEY]],
    [/key of --identity has the character "0"/, ['127.0.0.1:41264', '--identity', '0O']],
    [/--via .* has no key/, [...ok, '--via', '127.0.0.1:1']],
    [/key of --via has 1 bytes/, [...ok, '--via', '[::1]:41264/2g']],
    [/by its IP address/, ['localhost:41264', '--identity', OTHER_KEY, '--via', `[::1]:41264/${OTHER_KEY}`]],
    [/--via-protocol nym does not go here/, [...ok, '--via', `[::1]:41264/${OTHER_KEY}`, '--via-protocol', 'nym']],
    [/--lp-key is for --protocol nym/, [...ok, '--lp-key', OTHER_KEY]],
    [/no protocol version "0x1"/, [...ok, '--protocol', '0x1']],
    [/--kem does not go with --protocol 1/, [...ok, '--protocol', '1', '--kem', 'x-wing']],
    [/--kem does not go with/, [...ok, '--protocol', '1', '--kem', 'x-wing', '--via', `[::1]:41264/${OTHER_KEY}`]],
    [/--kem-key-hash does not go with/, [...ok, '--protocol', '1', '--kem-key-hash', '00'.repeat(32)]],
    [/--via-protocol is for an entry/, [...ok, '--via-protocol', '1']],
    [/no protocol version "3"/, [...ok, '--via', `[::1]:41264/${OTHER_KEY}`, '--via-protocol', '3']],
    [/no number of seconds/, [...ok, '--timeout', '0']],
    [/no KEM suite "kyber"/, [...ok, '--kem', 'kyber']],
  ];
  const ended = await Promise.all(cases.map(([, args]) => lewes(t, ['probe', ...args, '--json'])));
  for (const [i, { code, out }] of ended.entries()) {
    t.is(code, 2, out);
    t.like(parse(out), { ok: false, error: { code: 'ERR_USAGE' } });
    t.regex(parse(out).error?.message ?? '', cases[i]![0]);
  }
});

test('--timeout bounds everything, and says where the time went', async (t) => {
  const { address } = await silentServer(t);
  const { code, out } = await lewes(t, ['probe', address, '--identity', OTHER_KEY, '--json', '--timeout', '0.5']);
  t.is(code, 1);
  const { steps, totalMs } = parse(out);
  t.deepEqual(outline(steps), ['direct connect', 'direct key !timeout']);
  t.regex(steps.at(-1)?.error?.message ?? '', /no answer to the hello/);
  t.true(totalMs >= 450 && totalMs < 5_000, String(totalMs));
});

test('Ctrl-C ends a probe with its report and exit code 1', async (t) => {
  const { server, address } = await silentServer(t);
  const { child, ended } = start(t, ['probe', address, '--identity', OTHER_KEY, '--json']);
  await once(server, 'connection');
  child.kill('SIGINT');
  const { code, out } = await ended;
  t.is(code, 1);
  const last = parse(out).steps.at(-1);
  t.like(last, { ok: false, error: { code: 'aborted' } });
  t.regex(last?.error?.message ?? '', /interrupted/);
});
