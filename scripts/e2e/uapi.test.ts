/**
 * The UAPI backend against real wireguard-go in network namespaces. Needs root and what scripts/e2e/setup installs:
 * ava scripts/e2e/uapi.test.ts. Measured figures are logged; the bounds that are asserted leave room for a busy machine.
 */
import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { existsSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { PresharedKey } from '../../src/registration/preshared-key.ts';
import type { Peer, PeerCounters } from '../../src/registration/wireguard/backend.ts';
import { createUapiWireGuard, type UapiEvent, type UapiWireGuard } from '../../src/registration/wireguard/uapi.ts';
import { systemClock } from '../../src/system/clock.ts';
import { monitorLoopDelay } from '../../src/system/loop-delay.ts';
import { systemTimers } from '../../src/system/timers.ts';
import { WireGuardGo } from './wireguard-go.ts';

const PORT = 51_820;
const MANY = 20_000;
/** From the socket's being there to key, port and peers. */
const BACK_WITHIN_MS = 5_000;

test.serial('key and port are set, and set again when they were changed', async (t) => {
  const { go, wireguard, key } = await createWorld(t);
  t.like(await wireguard.check(), { kind: 'present', key: 'none', peers: 0, dialect: 'wireguard-go' });
  await wireguard.configure();
  t.like(await wireguard.check(), { key: 'ours', listenPort: PORT });
  t.is((await go.wg('show', go.name, 'public-key')).trim(), key.publicKey.toString('base64'));
  t.is((await go.wg('show', go.name, 'listen-port')).trim(), String(PORT));
  await go.wg('set', go.name, 'listen-port', '4711');
  t.like(await wireguard.check(), { key: 'ours', listenPort: 4_711 });
  await wireguard.configure();
  t.like(await wireguard.check(), { key: 'ours', listenPort: PORT });
});

test.serial('peers are added, changed in place and removed', async (t) => {
  const { go, wireguard } = await createWorld(t);
  const [a, b] = [nthPeer(1), nthPeer(2)];
  await Promise.all([wireguard.upsert(a), wireguard.upsert(b)]);
  t.deepEqual(await peersOf(go), mapOf([shown(a), shown(b)]));
  const changed = { ...a, presharedKey: psk('another'), allowedIps: ['10.201.9.9/32'], keepaliveSeconds: 7 };
  await wireguard.upsert(changed);
  t.deepEqual(await peersOf(go), mapOf([shown(changed), shown(b)]));
  await wireguard.remove(a.publicKey);
  await wireguard.remove(a.publicKey);
  t.deepEqual(await peersOf(go), mapOf([shown(b)]));
  t.deepEqual(await collect(wireguard), [{ publicKey: Uint8Array.from(b.publicKey), received: 0, sent: 0 }]);
});

test.serial('of many changes in one turn only those that wireguard-go refuses fail', async (t) => {
  const { wireguard } = await createWorld(t);
  // A prefix that is too long for its address reads like an allowed IP to this side.
  const bad = { ...nthPeer(100), allowedIps: ['10.0.0.1/99'] };
  const asked = Array.from({ length: 500 }, (_, i) => wireguard.upsert(i === 100 ? bad : nthPeer(i)));
  const outcomes = await Promise.allSettled(asked);
  t.deepEqual(
    outcomes.flatMap(({ status }, i) => (status === 'rejected' ? [i] : [])),
    [100],
  );
  t.like(outcomes[100], { reason: { code: 'WIREGUARD_REFUSED' } });
});

test.serial('a working tunnel and its counters outlive resyncs and a new preshared key', async (t) => {
  const { go, wireguard, key } = await createWorld(t);
  const client = await createClient(t, go, key.publicKey);
  const wanted: Peer = { ...nthPeer(1), publicKey: client.key.publicKey, allowedIps: ['10.200.0.2/32'] };
  await wireguard.resync(stream([nthPeer(5), wanted]));
  await client.setPresharedKey('1');
  await client.roundTrip();
  const before = await countersOf(wireguard, wanted);
  t.true(before.received > 0 && before.sent > 0);
  const handshake = await go.wg('show', go.name, 'latest-handshakes');
  await wireguard.resync(stream([wanted, nthPeer(7)]));
  await wireguard.upsert({ ...wanted, presharedKey: psk('2') });
  // Another peer that claims the same address is refused before it can take it.
  const thief = { ...nthPeer(8), allowedIps: ['10.200.0.2/32'] };
  const error = await t.throwsAsync(wireguard.resync(stream([thief, { ...wanted, presharedKey: psk('2') }])));
  t.like(error, { code: 'WIREGUARD_REFUSED' });
  await client.roundTrip();
  const after = await countersOf(wireguard, wanted);
  t.true(after.received > before.received && after.sent > before.sent);
  const line = `${Buffer.from(wanted.publicKey).toString('base64')}\t`;
  const at = (text: string) => text.split('\n').find((each) => each.startsWith(line));
  t.is(at(await go.wg('show', go.name, 'latest-handshakes')), at(handshake), 'no new handshake');
});

test.serial('after SIGKILL the restarted process has key, port and peers within seconds of its socket', async (t) => {
  const { go, wireguard, events } = await createWorld(t);
  const wanted = Array.from({ length: 1_000 }, (_, i) => nthPeer(i));
  await wireguard.resync(stream(wanted));
  const { backMs } = await restart(go, wireguard, () => stream(wanted));
  t.log(`1,000 peers back ${backMs} ms after the socket was there`);
  t.true(backMs < BACK_WITHIN_MS);
  t.is((await peersOf(go)).size, 1_000);
  t.like(await wireguard.check(), { key: 'ours', listenPort: PORT });
  t.deepEqual(
    events.map(({ kind }) => kind),
    ['reset'],
  );
});

test.serial('20,000 peers are resynced with small pauses of the thread, and again after SIGKILL', async (t) => {
  t.timeout(120_000);
  const { go, wireguard } = await createWorld(t);
  const wanted = () => streamOf(MANY);
  await wireguard.configure();
  const idle = await measured(() => wait(1_000));
  t.log('idle', idle.text);
  const first = await measured(() => wireguard.resync(wanted()));
  t.log('empty to 20,000', first.text, `wireguard-go ${JSON.stringify(go.usage())}`);
  const equal = await measured(() => wireguard.resync(wanted()));
  t.log('20,000 equal', equal.text);
  const list = await measured(() => collect(wireguard));
  t.log('counters of 20,000', list.text);
  t.is(list.result.length, MANY);
  const back = await measured(() => restart(go, wireguard, wanted));
  t.log('after SIGKILL', back.text, `${back.result.backMs} ms after the socket was there`);
  t.like(await wireguard.check(), { key: 'ours', listenPort: PORT, peers: MANY });
  for (const { p99Ms } of [first, equal, list, back]) t.true(p99Ms < 100);
});

interface World {
  readonly go: WireGuardGo;
  readonly wireguard: UapiWireGuard;
  readonly key: KeyPair;
  readonly events: UapiEvent[];
}

async function createWorld(t: ExecutionContext): Promise<World> {
  const go = await WireGuardGo.create();
  const key = keyPair(`gateway ${go.name}`);
  const events: UapiEvent[] = [];
  const wireguard = createUapiWireGuard({
    interfaceName: go.name,
    privateKey: { bytes: key.privateKey },
    publicKey: key.publicKey,
    listenPort: PORT,
    timers: systemTimers,
    clock: systemClock,
    report: (event) => events.push(event),
  });
  t.teardown(async () => {
    await wireguard.close();
    await go.remove();
    if (existsSync(go.socketPath)) throw new Error('the socket was not removed');
  });
  return { go, wireguard, key, events };
}

interface KeyPair {
  readonly privateKey: Buffer;
  readonly publicKey: Buffer;
}

function keyPair(seed: string): KeyPair {
  const privateKey = digest(seed);
  const der = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), privateKey]);
  const publicKey = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  return { privateKey, publicKey: publicKey.export({ format: 'der', type: 'spki' }).subarray(-32) };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function psk(name: string): PresharedKey {
  return new PresharedKey(digest(`psk ${name}`));
}

/** Keepalive is the clients' matter: a peer that has no endpoint yet would only burn handshakes. */
function nthPeer(i: number): Peer {
  return {
    publicKey: digest(`peer ${i}`),
    presharedKey: psk(String(i)),
    allowedIps: [`10.201.${i >> 8}.${i & 255}/32`, `fd00::${(i + 1).toString(16)}/128`],
    keepaliveSeconds: 0,
  };
}

async function* stream(peers: Iterable<Peer>): AsyncIterable<Peer> {
  yield* peers;
}

async function* streamOf(count: number): AsyncIterable<Peer> {
  for (let i = 0; i < count; i += 1) {
    const peer = nthPeer(i);
    yield peer;
    peer.presharedKey.wipe();
  }
}

async function collect(wireguard: UapiWireGuard): Promise<PeerCounters[]> {
  const all: PeerCounters[] = [];
  for await (const each of wireguard.list()) all.push(each);
  return all;
}

async function countersOf(wireguard: UapiWireGuard, { publicKey }: Peer): Promise<PeerCounters> {
  const found = (await collect(wireguard)).find((each) => Buffer.compare(each.publicKey, publicKey) === 0);
  if (found === undefined) throw new Error('the peer is not there');
  return found;
}

/** Public key → preshared key, keepalive, allowed IPs, as `wg` shows them. */
async function peersOf(go: WireGuardGo): Promise<Map<string, string>> {
  const lines = (await go.wg('show', go.name, 'dump')).trim().split('\n').slice(1);
  return mapOf(
    lines.map((line): [string, string] => {
      const [publicKey = '', presharedKey, , allowedIps = '', , , , keepalive] = line.split('\t');
      return [publicKey, `${presharedKey} ${keepalive} ${allowedIps.split(',').sort().join(',')}`];
    }),
  );
}

/** wireguard-go tells its peers in any order. */
function mapOf(peers: readonly (readonly [string, string])[]): Map<string, string> {
  return new Map(peers.toSorted());
}

function shown({ publicKey, presharedKey, allowedIps, keepaliveSeconds }: Peer): [string, string] {
  const keepalive = keepaliveSeconds === 0 ? 'off' : keepaliveSeconds;
  const secret = Buffer.from(presharedKey.bytes).toString('base64');
  return [Buffer.from(publicKey).toString('base64'), `${secret} ${keepalive} ${allowedIps.toSorted().join(',')}`];
}

/** Kills and restarts the process; resolves when a resync that answered the reset is done. */
async function restart(
  go: WireGuardGo,
  wireguard: UapiWireGuard,
  wanted: () => AsyncIterable<Peer>,
): Promise<{ backMs: number }> {
  const back = Promise.withResolvers<number>();
  wireguard.onReset(() => {
    wireguard.resync(wanted()).then(() => back.resolve(performance.now()), back.reject);
  });
  await go.kill();
  const there = await go.start();
  return { backMs: Math.round((await back.promise) - there) };
}

async function measured<T>(job: () => Promise<T>): Promise<{ result: T; p99Ms: number; text: string }> {
  const monitor = monitorLoopDelay();
  const started = performance.now();
  const result = await job();
  const tookMs = Math.round(performance.now() - started);
  const { p50, p99, max } = monitor.read();
  monitor.stop();
  const ms = (seconds: number) => (seconds * 1_000).toFixed(1);
  return {
    result,
    p99Ms: p99 * 1_000,
    text: `${tookMs} ms, loop delay p50 ${ms(p50)} p99 ${ms(p99)} max ${ms(max)} ms`,
  };
}

/** A client in a namespace of its own, with a cable to the gateway's. */
async function createClient(t: ExecutionContext, gateway: WireGuardGo, gatewayKey: Buffer) {
  const client = await WireGuardGo.create();
  t.teardown(() => client.remove());
  const key = keyPair(`client ${client.name}`);
  const gatewayEnd = 'cable';
  await gateway.ip('link', 'add', gatewayEnd, 'type', 'veth', 'peer', 'name', 'cable', 'netns', client.name);
  for (const [end, address] of [
    [gateway, '192.0.2.1/24'],
    [client, '192.0.2.2/24'],
  ] as const) {
    await end.ip('address', 'add', address, 'dev', 'cable');
    await end.ip('link', 'set', 'cable', 'up');
  }
  await client.ip('address', 'flush', 'dev', client.name);
  await client.ip('address', 'add', '10.200.0.2/16', 'dev', client.name);
  // A backend of its own sets key and port; the endpoint is what a backend never sets.
  const own = createUapiWireGuard({
    interfaceName: client.name,
    privateKey: { bytes: key.privateKey },
    publicKey: key.publicKey,
    listenPort: PORT,
    timers: systemTimers,
    clock: systemClock,
  });
  t.teardown(() => own.close());
  await own.configure();
  const endpoint = ['peer', gatewayKey.toString('base64'), 'endpoint', `192.0.2.1:${PORT}`];
  return {
    key,
    async setPresharedKey(name: string) {
      const presharedKey = psk(name);
      await own.upsert({ publicKey: gatewayKey, presharedKey, allowedIps: ['10.200.0.1/32'], keepaliveSeconds: 0 });
      await client.wg('set', client.name, ...endpoint);
    },
    /** A connection that is refused has been there and back. */
    async roundTrip() {
      const connecting = client.run('timeout', '5', 'bash', '-c', '</dev/tcp/10.200.0.1/9');
      await t.throwsAsync(connecting, { message: /Connection refused/ });
    },
  };
}
