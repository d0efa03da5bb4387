/** What `lewes load --protocol nym` makes of its options, and what it refuses before anything is sent. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Command } from 'commander';
import { UsageError } from '../../src/cli/exit.ts';
import { register } from '../../src/cli/load.ts';
import { type NymLoadTask, planNymLoad } from '../../src/cli/load-nym-plan.ts';
import type { LoadFlags } from '../../src/cli/load-shape.ts';
import { LewesError } from '../../src/client/index.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { encodeBase58 } from '../../src/ops/base58.ts';
import { OperatorError } from '../../src/ops/operator-error.ts';
import { NymTestNode } from '../support/nym-node.ts';

const crypto = await loadProvider('auto');
const KEY = '09'.repeat(32);
const OTHER_KEYS = ['--lp-key', KEY, '--kem-digest', '00'.repeat(32)];
const OWN = ['127.0.0.1:41264', ...OTHER_KEYS];

/** As the command line reads them, defaults included. */
function plan(args: readonly string[]): Promise<NymLoadTask> {
  const program = new Command().exitOverride();
  register(program);
  let task: Promise<NymLoadTask> | undefined;
  program.commands[0]!.action((target: string, flags: LoadFlags) => {
    task = planNymLoad(target, flags, { crypto, signal: new AbortController().signal });
  });
  program.parse(['load', '--protocol', 'nym', ...args], { from: 'user' });
  return task!;
}

async function nodeFor(t: ExecutionContext): Promise<NymTestNode> {
  const node = await NymTestNode.listen();
  t.teardown(() => node.close());
  return node;
}

function fileWith(t: ExecutionContext, text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'lewes-nym-load-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'announcement.json');
  writeFileSync(path, text);
  return path;
}

const WRONG: readonly (readonly [what: string, args: readonly string[], says: RegExp])[] = [
  ['a node that is not on this machine', ['192.0.2.1:41264', ...OTHER_KEYS], /attack.*--i-own-this-node/],
  ['one in the same network', ['10.0.0.1:41264', ...OTHER_KEYS], /attack/],
  ['one with an IPv6 address', ['[2001:db8::1]:41264', ...OTHER_KEYS], /\[2001:db8::1\]:41264 is not on this machine/],
  ['any address of this machine', ['0.0.0.0:41264', ...OTHER_KEYS], /attack/],
  ['one whose port is not known yet', ['192.0.2.1', '--identity', KEY], /192\.0\.2\.1 is not on this machine/],
  ['a name instead of an address', ['localhost:41264', ...OTHER_KEYS], /name instead of an IP address.*127\.0\.0\.1/],
  ['a node without any key', ['127.0.0.1:41264'], /load needs to know the node by something.*--identity/],
  ['half of the keys', ['127.0.0.1:41264', '--lp-key', KEY], /give both of them/],
  ['a digest that is none', ['127.0.0.1:41264', '--lp-key', KEY, '--kem-digest', 'x'], /64 hex digits/],
  ['keys without a port', ['127.0.0.1', ...OTHER_KEYS], /host:port/],
  ['an entry', [...OWN, '--via', `127.0.0.1:1/${KEY}`], /--via does not go with --protocol nym/],
  ['kept sessions', [...OWN, '--sessions', '5'], /--sessions does not go/],
  ['tokens', [...OWN, '--scenario', 'register', '--token-file', 'x'], /--token-file does not go.*nothing is paid/],
  ['what the protocol has not', [...OWN, '--scenario', 'echo'], /handshake, initial, mixed/],
  ['the same in a mixed load', [...OWN, '--scenario', 'mixed', '--mix', 'rekey=1'], /handshake, initial/],
  ['two words for one thing', [...OWN, '--scenario', 'mixed', '--mix', 'initial=1,register=1'], /register twice/],
  ['sources that are not there', ['[::1]:41264', ...OTHER_KEYS, '--sources', '5'], /127\.0\.0\.0\/8/],
  ['both loops', [...OWN, '--rate', '5', '--clients', '5'], /open loop.*closed/],
];

for (const [what, args, says] of WRONG) {
  test(`refused: ${what}`, async (t) => {
    const error = await t.throwsAsync(plan(args), { instanceOf: UsageError });
    t.regex(`${error?.message}. ${error?.remedy}`, says);
  });
}

test('a node that is not on this machine is not even asked for its announcement', async (t) => {
  const node = await nodeFor(t);
  let asked = 0;
  const server = createServer((_, response) => {
    asked++;
    response.end(node.announcement());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const args = ['192.0.2.1', '--identity', encodeBase58(node.identity), '--announcement', url];
  await t.throwsAsync(plan(args), { instanceOf: UsageError, message: /attack/ });
  t.is(asked, 0);
  const { plan: made } = await plan([...args, '--i-own-this-node']);
  t.is(asked, 1);
  t.is(made.facts.target, `192.0.2.1:${node.port}`);
});

test('by hand: what was given is what is known, and messages go one after the other', async (t) => {
  const { plan: made, maxErrorShare } = await plan(OWN);
  t.is(maxErrorShare, 0.01);
  t.like(made, { protocol: 'nym', pipelined: false, mix: { handshake: 1 }, timeoutMs: 10_000, maxInFlight: 10_000 });
  t.deepEqual(made.node.address, { host: '127.0.0.1', port: 41_264 });
  t.like(made.facts, { target: '127.0.0.1:41264', protocol: 'nym', scenario: 'handshake', sources: 1 });
  t.deepEqual(made.facts.nym, {
    lpKey: encodeBase58(new Uint8Array(32).fill(9)),
    kemDigest: `blake3:${'00'.repeat(32)}`,
    source: 'given',
    pipelined: false,
  });
  t.false('identity' in made.facts);
});

test('by an announcement in a file, with the announced port where none is given', async (t) => {
  const node = await nodeFor(t);
  const file = fileWith(t, node.announcement());
  const args = ['--identity', encodeBase58(node.identity), '--announcement', file, '--pipelined'];
  const [announced, other] = await Promise.all([plan(['127.0.0.1', ...args]), plan(['[::1]:4', ...args])]);
  t.is(announced.plan.facts.target, node.address);
  t.is(other.plan.facts.target, '[::1]:4');
  t.is(announced.plan.facts.identity, encodeBase58(node.identity));
  t.like(announced.plan.facts.nym, { source: 'stored', pipelined: true });
  t.is(node.accepted, 0);
});

test('an announcement that is not there, or not the node’s, ends it', async (t) => {
  const node = await nodeFor(t);
  const file = fileWith(t, node.announcement());
  const of = (identity: Uint8Array, from: string) =>
    plan([node.address, '--identity', encodeBase58(identity), '--announcement', from]);
  const url = await node.announce('no JSON');
  const nowhere = await t.throwsAsync(of(node.identity, url), { instanceOf: OperatorError, message: /no JSON object/ });
  t.regex(nowhere?.remedy ?? '', /--announcement, or give --lp-key/);
  await t.throwsAsync(of(node.identity, `${file}.not`), { instanceOf: LewesError, message: /cannot be read/ });
  const stranger = crypto.ed25519PublicKey(new Uint8Array(32).fill(1));
  await t.throwsAsync(of(stranger, file), { instanceOf: LewesError, message: /not signed by this identity/ });
});

test('register is Initial by another word, alone and in a mixed load', async (t) => {
  const alone = await plan([...OWN, '--scenario', 'register']);
  t.deepEqual([alone.plan.facts.scenario, alone.plan.mix], ['initial', { initial: 1 }]);
  const mixed = await plan([...OWN, '--scenario', 'mixed', '--mix', 'handshake=3,register=1']);
  t.deepEqual([mixed.plan.facts.scenario, mixed.plan.mix], ['mixed', { handshake: 3, initial: 1 }]);
});
