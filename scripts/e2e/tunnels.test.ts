/**
 * A registration as it is used: two gateways, paid with tokens of their own issuers, and what the client gets through the
 * tunnels that it makes of their answers, until the balance is spent (registration.md, rules 4 and 5).
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import ipaddr from 'ipaddr.js';
import { type Tunnel, wgQuickFiles } from '../../src/cli/wg-quick.ts';
import type { AnswerBody } from '../../src/client/index.ts';
import type { ClientRegistration } from './agents/client.ts';
import { type HopName, SERVER, TwoHops } from './two-hops.ts';
import { until } from './until.ts';
import type { WireGuardGo } from './wireguard-go.ts';

const BYTES = 20_000_000;
/** The entry's lasts; the exit's is good for one transfer with what surrounds it, and not for two. */
const BANDWIDTH = { entry: 1_000_000_000, exit: 32_000_000 } as const;
const HOP_NAMES = ['entry', 'exit'] as const;
/** Readings are a second apart. */
const CHARGED_WITHIN_MS = 4_000;
/** A client finds out after 15 s of silence that its session is none any more (WireGuard, section 6.5), and asks anew every 5 s. */
const HANDSHAKE_WITHIN_MS = 30_000;
const SILENT_MS = 3_000;

interface Story {
  readonly world: TwoHops;
  /** One test's are the next one's. */
  readonly found: Found;
}

interface Found {
  registrations?: Readonly<Record<HopName, ClientRegistration>>;
  tunnels?: Readonly<Record<HopName, WireGuardGo>>;
}

const test = anyTest as TestFn<Story>;

test.before(async (t) => {
  t.timeout(60_000);
  t.context = { world: await TwoHops.create({ bandwidth: BANDWIDTH }), found: {} };
});

test.after.always(async (t) => {
  await t.context.world?.remove();
});

test.serial('without tunnels the client does not reach what is behind the exit', async (t) => {
  const { agent } = t.context.world;
  t.is(await agent.ask('ping', { host: SERVER.ipv4, withinMs: 500 }), undefined);
});

test.serial('a client registers with both gateways, paying each with a token', async (t) => {
  const { world } = t.context;
  await world.fetchTokens('entry', 1);
  await world.fetchTokens('exit', 2);
  const { tokenFile, agent } = world;
  const both = { entry: world.address('entry'), exit: world.address('exit'), tokenFile };
  const registrations = await agent.ask('register', both);
  for (const hop of HOP_NAMES) {
    t.like(registrations[hop].answer, { status: 'completed', mode: 'dvpn', bandwidth: BANDWIDTH[hop] });
    t.is((await world.peers(hop)).length, 1);
  }
  t.context.found.registrations = registrations;
});

test.serial('datagrams and 20 MB pass through the tunnel to the exit inside the one to the entry', async (t) => {
  const { world, found } = t.context;
  const { agent } = world;
  found.tunnels = await bringUp(world, told(found.registrations));
  for (const host of [SERVER.ipv4, SERVER.ipv6]) {
    const ms = await agent.ask('ping', { host, withinMs: 5_000 });
    t.not(ms, undefined, `no datagram came back from ${host}`);
  }
  const ms = await agent.ask('download', { host: SERVER.ipv4, bytes: BYTES, silentMs: SILENT_MS });
  t.not(ms, undefined, 'the transfer came to a halt');
  t.log(`20 MB in ${ms} ms`);
});

test.serial('both balances are charged what the interfaces of the client counted', async (t) => {
  const { world, found } = t.context;
  for (const hop of HOP_NAMES) {
    let last = '';
    const { value } = await until(`the ${hop} charges`, CHARGED_WITHIN_MS, async () => {
      const charged = BANDWIDTH[hop] - completed(await world.agent.ask('balance', hop)).bandwidth;
      const counted = await transferOf(told(found.tunnels)[hop]);
      last = `${hop}: charged ${charged}, counted ${counted}, ${((charged / counted - 1) * 100).toFixed(3)} %`;
      return Math.abs(charged - counted) <= counted / 50 ? counted : undefined;
    }).finally(() => t.log(last));
    t.true(value > BYTES);
  }
});

test.serial('a balance that has run out closes the tunnel of its gateway', async (t) => {
  const { world } = t.context;
  const { agent } = world;
  // It may come to its end before the reading that closes the tunnel.
  const downloading = agent.ask('download', { host: SERVER.ipv4, bytes: BYTES, silentMs: SILENT_MS });
  downloading.catch(() => undefined);
  const { ms } = await until('the tunnel is closed', 15_000, async () =>
    (await world.peers('exit')).length === 0 ? true : undefined,
  );
  const took = await downloading;
  t.log(
    `closed ${ms} ms after the beginning of the second 20 MB`,
    took === undefined ? 'and in them' : 'and after them',
  );
  t.is(await agent.ask('ping', { host: SERVER.ipv4, withinMs: 1_000 }), undefined);
  t.is(completed(await agent.ask('balance', 'exit')).bandwidth, 0);
  t.is((await world.peers('entry')).length, 1);
});

test.serial('a top-up opens it again at the same addresses', async (t) => {
  const { world, found } = t.context;
  const { agent } = world;
  const before = completed(told(found.registrations).exit.answer);
  const after = completed(await agent.ask('topup', 'exit'));
  t.deepEqual(after.addresses, before.addresses);
  t.is(after.bandwidth, BANDWIDTH.exit);
  const ms = await agent.ask('ping', { host: SERVER.ipv4, withinMs: HANDSHAKE_WITHIN_MS });
  t.not(ms, undefined, 'the tunnel stays closed');
  t.log(`open again after ${ms} ms`);
  t.not(await agent.ask('ping', { host: SERVER.ipv6, withinMs: 2_000 }), undefined);
});

/** As wg-quick would from the files that `lewes probe --wg-quick` writes. */
async function bringUp(world: TwoHops, registrations: Readonly<Record<HopName, ClientRegistration>>) {
  const tunnels = HOP_NAMES.map((hop) => tunnelOf(registrations[hop], world.address(hop).identity));
  const paths = HOP_NAMES.map((hop) => join(world.directory, `e2e-${hop}.conf`));
  const files = wgQuickFiles(tunnels, paths);
  for (const { path, text } of files) writeFileSync(path, text, { mode: 0o600 });
  const [entry, exit] = files;
  if (entry === undefined || exit === undefined) throw new Error('there is a file for each tunnel');
  const toExit = /^AllowedIPs = (.*)$/m.exec(entry.text)?.[1] ?? '';
  return {
    entry: await world.clientTunnel(entry.path, entry.text, [toExit]),
    exit: await world.clientTunnel(exit.path, exit.text, ['0.0.0.0/0', '::/0']),
  };
}

function tunnelOf({ answer, ...secrets }: ClientRegistration, identity: string): Tunnel {
  const { addresses, endpoints, keepalive, wgPublicKey } = completed(answer);
  const text = (bytes: Uint8Array) => ipaddr.fromByteArray([...bytes]).toString();
  const own = { ipv4: text(addresses.ipv4), ipv6: text(addresses.ipv6) };
  return { ...secrets, ...own, gatewayKey: wgPublicKey, endpoints, keepalive, identity };
}

function completed(answer: AnswerBody | undefined) {
  if (answer?.status === 'completed' && answer.mode === 'dvpn') return answer;
  throw new Error(`the answer is ${JSON.stringify(answer?.status === 'failed' ? answer : answer?.status)}`);
}

/** Bytes in both directions. */
async function transferOf(tunnel: WireGuardGo): Promise<number> {
  const shown = await tunnel.wg('show', tunnel.name, 'transfer');
  const [, received, sent] = shown.trim().split('\t').map(Number);
  return (received ?? 0) + (sent ?? 0);
}

/** What an earlier test of the story has found. */
function told<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('an earlier test failed');
  return value;
}
