/**
 * What the gateway does when its WireGuard interface, or it itself, is gone and comes back: the store says which peers there
 * are, and the interface has them again within seconds (registration.md, rules 2 and 5).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { freshEnrolment } from '../../src/cli/enrolment.ts';
import { connect } from '../../src/client/index.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { systemRandom } from '../../src/system/random.ts';
import { atExit } from './at-exit.ts';
import { type GatewayPlace, LewesGateway } from './gateway.ts';
import { until } from './until.ts';
import { WireGuardGo } from './wireguard-go.ts';

const REGISTRATIONS = 1_000;
/** At once: a session may have 16 (lp2.md §5). */
const IN_FLIGHT = 10;
const PORT = 51_820;
const BACK_WITHIN_MS = 5_000;

test.serial(
  '1,000 peers, key and port are back within 5 s after wireguard-go was killed and started again',
  async (t) => {
    const { go, registered } = await createWorld(t, REGISTRATIONS);
    const before = await shown(go);
    t.deepEqual([...before.peers.keys()].sort(), registered);
    await go.kill();
    const there = await go.start();
    await until('the peers are back', BACK_WITHIN_MS, async () => same(await shown(go), before));
    const ms = Math.round(performance.now() - there);
    t.log(`all back ${ms} ms after the socket was there`);
    t.true(ms < BACK_WITHIN_MS);
  },
);

test.serial('a gateway that was killed makes the interface again what its store says', async (t) => {
  const { go, gateways, place, registered } = await createWorld(t, 100);
  const before = await shown(go);
  await gateways.pop()?.stop('SIGKILL');
  const [first = '', second = ''] = registered;
  const stranger = Buffer.alloc(32, 9).toString('base64');
  await go.wg(
    'set',
    go.name,
    'listen-port',
    '4711',
    'peer',
    first,
    'remove',
    'peer',
    second,
    'allowed-ips',
    '10.9.9.9/32',
  );
  await go.wg('set', go.name, 'peer', stranger, 'allowed-ips', '10.200.77.77/32');
  t.not(same(await shown(go), before), true);
  gateways.push(await LewesGateway.start(place));
  await until('the peers are back', BACK_WITHIN_MS, async () => same(await shown(go), before));
  t.deepEqual(await shown(go), before);
});

test.serial('a gateway that starts before its interface sets it up once it is there', async (t) => {
  const { go, gateways, place } = await createWorld(t, 100);
  const before = await shown(go);
  await gateways.pop()?.stop();
  await go.kill();
  gateways.push(await LewesGateway.start(place));
  const there = await go.start();
  await until('the peers are back', BACK_WITHIN_MS, async () => same(await shown(go), before));
  t.log(`all back ${Math.round(performance.now() - there)} ms after the socket was there`);
  t.deepEqual(await shown(go), before);
});

interface World {
  readonly go: WireGuardGo;
  readonly place: GatewayPlace;
  /** The last one runs. */
  readonly gateways: LewesGateway[];
  /** Public keys in base64, sorted. */
  readonly registered: readonly string[];
}

/** A gateway with so many registrations and an interface in a namespace of its own, which it drives through its socket. */
async function createWorld(t: ExecutionContext, registrations: number): Promise<World> {
  const directory = mkdtempSync(join(tmpdir(), 'lewes-e2e-'));
  atExit(t, ['rm', '-rf', directory]);
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
    atExit(t, undefined);
  });
  const go = await WireGuardGo.create();
  t.teardown(() => go.remove());
  const place = { directory: join(directory, 'gateway'), config: configOf(go.name) };
  const gateway = await LewesGateway.start(place);
  const gateways = [gateway];
  t.teardown(async () => {
    await Promise.all(gateways.map((gateway) => gateway.stop()));
  });
  return { go, place, gateways, registered: await register(gateway, registrations) };
}

async function register({ ready }: LewesGateway, count: number): Promise<readonly string[]> {
  const crypto = await loadProvider('auto');
  await using client = await connect({ gateway: { address: ready.listen[0], identity: ready.identity } });
  const registered: string[] = [];
  const worker = async () => {
    for (let left = count / IN_FLIGHT; left > 0; left--) {
      const { mode, wgPublicKey, presharedKey, owner } = freshEnrolment(crypto, systemRandom);
      const { status } = await client.register({ mode, wgPublicKey, presharedKey, owner });
      if (status !== 'completed') throw new Error(`the answer to a registration is ${status}`);
      registered.push(Buffer.from(wgPublicKey).toString('base64'));
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return registered.sort();
}

interface Shown {
  readonly publicKey: string;
  readonly port: string;
  /** Public key → preshared key and allowed IPs. */
  readonly peers: ReadonlyMap<string, string>;
}

async function shown(go: WireGuardGo): Promise<Shown> {
  const [own = '', ...lines] = (await go.wg('show', go.name, 'dump')).trim().split('\n');
  const [, publicKey = '', port = ''] = own.split('\t');
  const peers = lines.map((line): [string, string] => {
    const [key = '', presharedKey, , allowedIps = ''] = line.split('\t');
    return [key, `${presharedKey} ${allowedIps.split(',').sort().join(',')}`];
  });
  return { publicKey, port, peers: new Map(peers.sort()) };
}

function same(now: Shown, before: Shown): true | undefined {
  const equal =
    now.publicKey === before.publicKey &&
    now.port === before.port &&
    now.peers.size === before.peers.size &&
    [...before.peers].every(([key, value]) => now.peers.get(key) === value);
  return equal || undefined;
}

function configOf(interfaceName: string): string {
  return `
[gateway]
listen = "127.0.0.1:0"
shards = 1
[admin]
listen = "127.0.0.1:0"
[registration]
ipv4_pool = "10.200.0.0/16"
endpoints = ["192.0.2.1:${PORT}"]
[store]
kind = "lmdb"
[wireguard]
kind = "uapi"
interface = "${interfaceName}"
port = ${PORT}
[credentials]
kind = "none"
`;
}
