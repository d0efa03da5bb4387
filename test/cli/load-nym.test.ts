/** `lewes load --protocol nym` as a user calls it, against a node of the test and against a whole gateway. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { LoadResult } from '../../src/load/result.ts';
import { encodeBase58 } from '../../src/ops/base58.ts';
import { operation, troubles } from '../load/in-process.ts';
import { NymTestNode } from '../support/nym-node.ts';
import { lewes, start } from './child.ts';

const QUICK = ['--warm-up', '0', '--duration', '1', '--threads', '1'];
const KEY = '09'.repeat(32);
const DIGEST = '00'.repeat(32);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

async function nodeFor(t: ExecutionContext): Promise<NymTestNode> {
  const node = await NymTestNode.listen();
  t.teardown(() => node.close());
  return node;
}

function scratch(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'lewes-nym-load-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

const load = (t: ExecutionContext, ...args: readonly string[]) => lewes(t, ['load', '--protocol', 'nym', ...args]);
const identified = (node: NymTestNode) => ['--identity', encodeBase58(node.identity)];
const byHand = (node: NymTestNode) => {
  const { lpKey, kemDigest } = node.data();
  return ['--lp-key', hex(lpKey), '--kem-digest', hex(kemDigest.digest)];
};

test('a node by its announcement: Initials at a rate, JSON on standard output alone, a page with plots', async (t) => {
  const node = await nodeFor(t);
  const html = join(scratch(t), 'report.html');
  const url = await node.announce();
  // On a machine that is busy with other things not all is begun in time.
  const rate = ['--scenario', 'initial', '--rate', '50', '--sources', '20', '--max-error-share', '0.9'];
  const args = [...identified(node), '--announcement', url, ...rate, ...QUICK, '--html', html, '--json'];
  // The port is the announced one.
  const { code, out, err } = await load(t, '127.0.0.1', ...args);
  t.deepEqual([code, err], [0, ''], out);
  const result = JSON.parse(out) as LoadResult;
  const { lpKey, kemDigest } = node.data();
  t.like(result.plan, {
    target: node.address,
    identity: encodeBase58(node.identity),
    protocol: 'nym',
    scenario: 'initial',
    sources: 20,
    nym: {
      lpKey: encodeBase58(lpKey),
      kemDigest: `blake3:${hex(kemDigest.digest)}`,
      source: 'fetched',
      pipelined: false,
    },
  });
  t.is(result.operations.length, 1);
  t.deepEqual(troubles(operation(result, 'initial')), []);
  t.true(node.requests.length > 10 && node.requests.every((request) => request === 'initial'));
  t.deepEqual(node.spent, []);
  t.true(readFileSync(html, 'utf8').startsWith('<!doctype html>'));
});

test('a node by hand, handshakes in a closed loop, both messages at once: the summary says so', async (t) => {
  const node = await nodeFor(t);
  const { code, out, err } = await load(t, node.address, ...byHand(node), '--clients', '2', '--pipelined', ...QUICK);
  t.deepEqual([code, err], [0, ''], out);
  t.regex(out, /^Load test: handshake against 127\.0\.0\.1:\d+$/m);
  t.regex(out, /^ {2}LP key +\w+$/m);
  t.regex(out, /^ {2}Keys from +the command line$/m);
  t.regex(out, /^ {2}Handshake +both messages at once$/m);
  t.notRegex(out, /^ {2}Identity/m);
  t.regex(out, /^ {2}none$/m);
  t.deepEqual(node.requests, []);
});

test('a node that fails is told by the name of the step, with exit code 1', async (t) => {
  const node = await nodeFor(t);
  const lpKey = ['--lp-key', hex(new Uint8Array(32).fill(9)), '--kem-digest', hex(node.data().kemDigest.digest)];
  const { code, out, err } = await load(t, node.address, ...lpKey, '--clients', '2', ...QUICK);
  t.deepEqual([code, err], [1, '']);
  t.regex(out, /handshake +KKT_CLOSED +\d+ +100 % +the port is open, but the node closed/);
});

test('another machine’s node is refused before anything is sent, with why and what to do', async (t) => {
  const { code, out, err } = await load(t, '192.0.2.1:41264', '--lp-key', KEY, '--kem-digest', DIGEST);
  t.deepEqual([code, out], [2, '']);
  t.regex(
    err,
    /^lewes: 192\.0\.2\.1:41264 is not on this machine, and a load test of somebody else's node is an attack\./,
  );
  t.regex(err, /If the node is your own, say so with --i-own-this-node/);
});

test.serial(
  'a gateway that speaks nym: handshakes and Initials at once, by what it announces, all answered',
  async (t) => {
    const open = ['handshakes_per_address', 'handshake_burst', 'sessions_per_address', 'quotes_per_address'];
    const settings = ['nym.listen=127.0.0.1:0', 'admin.listen=127.0.0.1:0', 'gateway.shards=1'];
    const set = [...settings, ...open.map((limit) => `limits.${limit}=100000`)].flatMap((each) => ['--set', each]);
    const gateway = start(t, ['gateway', '--data-dir', scratch(t), '--listen', '127.0.0.1:0', ...set]);
    const log = await gateway.output(/"msg":"ready"/);
    const ready = log.split('\n').find((line) => line.includes('"msg":"ready"')) ?? '';
    const { identity, admin, nym } = JSON.parse(ready) as { identity: string; admin: string; nym: { listen: string } };
    const node = [nym.listen, '--identity', identity, '--announcement', `http://${admin}`];
    const mixed = ['--scenario', 'mixed', '--mix', 'handshake=1,initial=1', '--clients', '4', '--sources', '8'];
    const { code, out, err } = await load(t, ...node, ...mixed, '--pipelined', ...QUICK, '--json');
    t.deepEqual([code, err], [0, ''], out);
    const { operations, registrations } = JSON.parse(out) as LoadResult;
    t.deepEqual(
      operations.map(({ name, failed, completed }) => [name, failed, completed > 5]),
      [
        ['handshake', 0, true],
        ['initial', 0, true],
      ],
    );
    t.is(registrations, undefined);
    gateway.child.kill('SIGTERM');
    t.is((await gateway.ended).code, 0);
  },
);
