import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { planNymProbe } from '../../src/cli/nym-probe-plan.ts';
import { NymWalk } from '../../src/cli/nym-walk.ts';
import { createProgress } from '../../src/cli/output.ts';
import { StepLog } from '../../src/cli/step-log.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { worthlessZkNym } from '../../src/lp/nym/bandwidth-claim.ts';
import { encodeBase58 } from '../../src/ops/base58.ts';
import { type NymNodeOptions, NymTestNode } from '../support/nym-node.ts';
import { lewes, outline, type ReportedStep } from './child.ts';
import { nymFlags } from './nym-flags.ts';

interface Report {
  readonly ok: boolean;
  readonly target: { readonly address: string; readonly identity?: string };
  readonly via?: { readonly address: string };
  readonly steps: readonly ReportedStep[];
  readonly nodes: Readonly<Record<string, { wantsCredential: boolean; clockSkewS: number; credential?: string }>>;
  readonly registrations?: Readonly<Record<string, { ipv4: string; endpoints: string[]; paid: boolean }>>;
  readonly wgQuick?: readonly string[];
  readonly totalMs: number;
}

const parse = (out: string) => JSON.parse(out) as Report;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

async function nodeFor(t: ExecutionContext, options?: NymNodeOptions): Promise<NymTestNode> {
  const node = await NymTestNode.listen(options);
  t.teardown(() => node.close());
  return node;
}

function scratch(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'lewes-nym-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

const probe = (t: ExecutionContext, ...args: string[]) => lewes(t, ['probe', '--protocol', 'nym', ...args]);

async function announced(node: NymTestNode): Promise<readonly string[]> {
  return [node.address, '--identity', encodeBase58(node.identity), '--announcement', await node.announce()];
}

async function announcedVia(node: NymTestNode): Promise<readonly string[]> {
  return ['--via', `${node.address}/${hex(node.identity)}`, '--via-announcement', await node.announce()];
}

/** The walk itself, in this process. */
async function walked(address: string, args: readonly string[], timeoutMs = 20_000): Promise<readonly ReportedStep[]> {
  const crypto = await loadProvider('auto');
  const log = new StepLog(createProgress({ json: true }));
  const walk = new NymWalk({ crypto, log, signal: new AbortController().signal, timeoutMs });
  await walk.visit(planNymProbe(address, nymFlags(args)));
  walk.finish();
  return log.steps;
}

const byHand = (node: NymTestNode, prefix = '--') => {
  const { lpKey, kemDigest } = node.data();
  return [`${prefix}lp-key`, hex(lpKey), `${prefix}kem-digest`, hex(kemDigest.digest)];
};

test('a node that works is told step by step, as far as it costs nothing', async (t) => {
  const node = await nodeFor(t);
  const args = await announced(node);
  const [json, human] = await Promise.all([probe(t, ...args, '--json'), probe(t, ...args)]);
  t.deepEqual([json.code, json.err, human.code, human.err], [0, '', 0, ''], json.out);
  const report = parse(json.out);
  t.deepEqual(Object.keys(report), ['ok', 'target', 'steps', 'nodes', 'totalMs']);
  const steps = ['announcement', 'connect', 'kkt', 'psq', 'initial'];
  t.deepEqual(
    outline(report.steps),
    steps.map((step) => `direct ${step}`),
  );
  t.true(report.steps.every(({ ms }) => ms > 0 && ms < report.totalMs));
  t.deepEqual(report.target, { address: node.address, identity: encodeBase58(node.identity) });
  const { lpKey, kemDigest } = node.data();
  t.deepEqual(report.nodes, {
    direct: {
      source: 'fetched',
      lpKey: encodeBase58(lpKey),
      kemDigest: `blake3:${hex(kemDigest.digest)}`,
      announcedPort: node.port,
      clockSkewS: 0,
      wantsCredential: true,
    },
  });
  t.regex(human.out, /^- +initial +[\d.]+ ms {2}ok$/m);
  t.regex(human.out, /^would register for a credential; none was spent$/m);
  t.deepEqual(node.requests, ['initial', 'initial']);
});

test('through an entry both nodes are probed, and with mock credentials registered', async (t) => {
  const [entry, exit] = [await nodeFor(t, { mock: true }), await nodeFor(t, { mock: true, fill: 0x51 })];
  const args = [...(await announced(exit)), ...(await announcedVia(entry)), '--register', '--mock-credential'];
  const wg = join(scratch(t), 'wg.conf');
  const [json, written] = await Promise.all([probe(t, ...args, '--json'), probe(t, ...args, '--wg-quick', wg)]);
  t.deepEqual([json.code, json.err], [0, ''], json.out);
  const report = parse(json.out);
  t.deepEqual(outline(report.steps), [
    'entry announcement',
    'exit announcement',
    ...['connect', 'kkt', 'psq'].map((step) => `entry ${step}`),
    ...['kkt', 'psq', 'initial', 'credential', 'finalise'].map((step) => `exit ${step}`),
    ...['initial', 'credential', 'finalise'].map((step) => `entry ${step}`),
  ]);
  t.deepEqual(Object.keys(report.registrations ?? {}).toSorted(), ['entry', 'exit']);
  t.true(report.registrations?.exit?.paid);
  t.is(report.nodes.exit?.credential, 'accepted');
  t.notRegex(json.out, /preshared|secret/i);
  t.deepEqual([written.code, written.err], [0, '']);
  t.regex(written.out, /^registered at the exit: 10\.1\.0\.\d, fc01::\d; WireGuard endpoint: 127\.0\.0\.1:51822$/m);
  t.regex(written.out, /^tunnels: wg-quick up .*wg-entry\.conf && wg-quick up .*wg-exit\.conf$/m);
});

test('a credential in a file is spent only with --register, and the tunnel can be kept', async (t) => {
  const node = await nodeFor(t);
  const directory = scratch(t);
  const [file, wg] = [join(directory, 'ticket'), join(directory, 'wg.conf')];
  writeFileSync(file, worthlessZkNym());
  const base = [node.address, ...byHand(node), '--credential-file', file];
  const refused = await probe(t, ...base);
  t.is(refused.code, 2);
  t.regex(refused.err, /spends a credential/);
  t.deepEqual(node.requests, []);
  const { code, out } = await probe(t, ...base, '--register', '--wg-quick', wg, '--json');
  t.is(code, 0, out);
  t.deepEqual(parse(out).wgQuick, [wg]);
  t.is(node.spent.length, 1);
  t.is(statSync(wg).mode & 0o777, 0o600);
  t.regex(readFileSync(wg, 'utf8'), /Address = 10\.1\.0\.5\/32, fc01::5\/128|PresharedKey = /);
});

test('a closed port, a wrong key, a stale announcement and a clock that is off are told apart', async (t) => {
  const node = await nodeFor(t);
  const stranger = await nodeFor(t, { fill: 0x61 });
  const gone = await nodeFor(t, { fill: 0x71 });
  const goneArgs = [gone.address, ...byHand(gone)];
  await gone.close();
  const file = join(scratch(t), 'old.json');
  const renewed = await nodeFor(t, { fill: 0x41 });
  writeFileSync(file, stranger.announcement());
  const late = await nodeFor(t);
  late.clockSkewS = -90;
  const identity = ['--identity', hex(stranger.identity)];
  const cases: readonly (readonly [args: readonly string[], failed: string, told: RegExp])[] = [
    [goneArgs, 'direct connect !ECONNREFUSED', /nothing listens there/],
    [[node.address, ...byHand(stranger)], 'direct kkt !closed', /LP key is not this node's/],
    [[renewed.address, ...identity, '--announcement', file], 'direct kkt !closed', /announcement is stale/],
    [[renewed.address, ...identity, '--announcement', file], 'direct kkt !closed', /announces port \d+, not \d+/],
    [
      [node.address, '--identity', hex(node.identity), '--announcement', file],
      'direct announcement !signature',
      /not signed by this identity/,
    ],
    [[late.address, ...byHand(late)], 'direct initial !skew', /clock is about \d+ s behind this machine's/],
  ];
  for (const [[address = '', ...flags], failed, told] of cases) {
    const steps = await walked(address, flags);
    t.true(outline(steps).includes(failed), outline(steps).join(', '));
    t.regex(steps.find(({ error }) => error)?.error?.message ?? '', told);
  }
});

test('what fails behind the entry is told as that of the exit', async (t) => {
  const [entry, exit] = [await nodeFor(t), await nodeFor(t, { fill: 0x51 })];
  const args = [exit.address, ...byHand(exit), '--via', entry.address, ...byHand(entry, '--via-')];
  await exit.close();
  const { code, out, err } = await probe(t, ...args);
  t.is(code, 1);
  t.regex(out, /^entry +psq +[\d.]+ ms {2}ok$/m);
  t.regex(out, /^exit +kkt +[\d.]+ ms {2}failed \(closed\)$/m);
  t.regex(err, /^lewes: exit: kkt failed: the entry closed the connection during the forward/);
});

test('a node that says nothing is told when time is up', async (t) => {
  const node = await nodeFor(t);
  node.reply = () => [];
  const steps = await walked(node.address, byHand(node), 1_000);
  t.deepEqual(outline(steps), ['direct connect', 'direct kkt !deadline']);
});
