/** LP1 on a whole gateway with real threads: beside LP2, over several shards, in both ways of using connections, nested. */
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { type Client, type ConnectOptions, connect, LewesError } from '../../src/client/index.ts';
import { KIND } from '../../src/lp/wire/application-frame.ts';
import { startGateway, type TestGateway, until } from '../support/test-gateway.ts';

const ADMITTED = 'gateway.min_protocol_version=1';
const MANY = ['limits.handshakes_per_address=1000', 'limits.handshake_burst=1000'];

function registration(fill: number) {
  const bytes = (offset: number) => {
    const key = new Uint8Array(32).fill(offset);
    key[0] = fill & 0xff;
    key[1] = fill >> 8;
    return key;
  };
  return { mode: 'dvpn' as const, wgPublicKey: bytes(1), presharedKey: bytes(2), owner: bytes(3) };
}

function gatewayOptions({ target }: TestGateway, protocol: 1 | 2 = 1) {
  return { address: `${target.host}:${target.port}`, identity: target.ed25519, protocol };
}

async function open(t: ExecutionContext, options: ConnectOptions): Promise<Client> {
  const client = await connect(options);
  t.teardown(() => client.close());
  return client;
}

/** An exit as `--set forward.allow` takes it. */
function allow({ target }: TestGateway): string {
  const identity = Buffer.from(target.ed25519).toString('hex');
  return `forward.allow=[{identity="${identity}",address="127.0.0.1",port=${target.port}}]`;
}

function drops(gateway: TestGateway): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { snapshot } of gateway.gateway.hosts) {
    for (const [reason, count] of Object.entries(snapshot?.drops ?? {})) {
      if (count > 0) sum[reason] = (sum[reason] ?? 0) + count;
    }
  }
  return sum;
}

test('LP1 and LP2 clients register and rekey on one gateway at once, and get addresses from one pool', async (t) => {
  const gateway = await startGateway(t, { set: [ADMITTED, 'gateway.shards=2', ...MANY] });
  const clients = await Promise.all(
    Array.from({ length: 24 }, async (_, i) => {
      const keepConnections = i % 3 === 0;
      const client = await open(t, { gateway: gatewayOptions(gateway, i % 2 === 0 ? 1 : 2), keepConnections });
      const first = await client.register(registration(i));
      await client.rekey();
      // Once more, on the new session: the same registration.
      const again = await client.register(registration(i));
      t.deepEqual(addressOf(again), addressOf(first));
      return addressOf(first);
    }),
  );
  t.is(new Set(clients).size, 24);
  t.is(gateway.gateway.registrar.status().registrations.dvpn.active, 24);
});

function addressOf(answer: Awaited<ReturnType<Client['register']>>): string {
  if (answer.status !== 'completed' || answer.mode !== 'dvpn') throw new Error(`not registered: ${answer.status}`);
  return Buffer.from(answer.addresses.ipv4).toString('hex');
}

for (const keepConnections of [false, true]) {
  const how = keepConnections ? 'on kept connections' : 'with a connection per packet';
  test(`rekeyed sessions stay with their shard wherever their new index points, ${how}`, async (t) => {
    const gateway = await startGateway(t, { set: [ADMITTED, 'gateway.shards=3', ...MANY] });
    const clients = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        open(t, { gateway: { ...gatewayOptions(gateway), register: registration(i) }, keepConnections }),
      ),
    );
    for (let generation = 0; generation < 3; generation++) {
      await Promise.all(
        clients.map(async (client, i) => {
          await client.rekey();
          addressOf(await client.register(registration(i)));
        }),
      );
    }
    t.is(
      gateway.gateway.hosts.reduce((sum, host) => sum + host.lostSessions, 0),
      0,
    );
    gateway.gateway.tick();
    await until(() => gateway.gateway.hosts.every((host) => host.snapshot !== undefined), 'statistics of every shard');
    t.deepEqual(drops(gateway), {});
  });
}

test('a client registers with entry and exit, one connection per packet on both hops', async (t) => {
  const exit = await startGateway(t, { set: [ADMITTED, ...MANY], seed: new Uint8Array(32).fill(0x33) });
  const entry = await startGateway(t, { set: [ADMITTED, allow(exit), ...MANY] });
  const client = await open(t, {
    gateway: { ...gatewayOptions(exit), register: registration(1) },
    via: { ...gatewayOptions(entry), register: registration(2) },
  });
  t.is(client.registration?.status, 'completed');
  t.is(client.entry?.registration?.status, 'completed');
  await client.rekey();
  await client.entry?.rekey();
  t.is((await client.register(registration(1))).status, 'completed');
  t.is(exit.gateway.registrar.status().registrations.dvpn.active, 1);
  t.is(entry.gateway.registrar.status().registrations.dvpn.active, 1);
});

for (const [entryProtocol, exitProtocol] of [
  [2, 1],
  [1, 2],
] as const) {
  test(`an LP${exitProtocol} exit is reached through an LP${entryProtocol} entry`, async (t) => {
    const exit = await startGateway(t, { set: [ADMITTED, ...MANY], seed: new Uint8Array(32).fill(0x33) });
    const entry = await startGateway(t, { set: [ADMITTED, allow(exit), ...MANY] });
    const client = await open(t, {
      gateway: { ...gatewayOptions(exit, exitProtocol), register: registration(1) },
      via: gatewayOptions(entry, entryProtocol),
    });
    t.is(client.registration?.status, 'completed');
    await client.rekey();
    t.is((await client.register(registration(1))).status, 'completed');
  });
}

test('an LP1 client through a Lewes entry to an LP2-only exit gets a clear failure', async (t) => {
  const exit = await startGateway(t, { seed: new Uint8Array(32).fill(0x33) });
  const entry = await startGateway(t, { set: [ADMITTED, allow(exit)] });
  const error = await t.throwsAsync(connect({ gateway: gatewayOptions(exit), via: gatewayOptions(entry) }));
  t.true(error instanceof LewesError);
  const { code, hop, message } = error as LewesError;
  t.deepEqual([code, hop], ['version', 'exit']);
  t.regex(message, /version 1/);
});

test('a gateway with the default configuration refuses LP1 with Error 1', async (t) => {
  const gateway = await startGateway(t);
  const error = await t.throwsAsync(connect({ gateway: gatewayOptions(gateway) }));
  t.is((error as LewesError).code, 'version');
  t.false(gateway.log.some(({ msg }) => msg === 'LP1 is enabled'));
});

test('what LP1 cannot say is refused at once, and the weaknesses of its wire are logged once', async (t) => {
  const gateway = await startGateway(t, { set: [ADMITTED] });
  const client = await open(t, { gateway: gatewayOptions(gateway) });
  t.false(client.offers(KIND.opaque));
  const error = await t.throwsAsync(client.echo(new Uint8Array(4)));
  t.is((error as LewesError).reason, 'not_offered');
  const warned = gateway.log.filter(({ msg }) => msg === 'LP1 is enabled');
  t.is(warned.length, 1);
  t.is(Object.keys(warned[0]?.weaknesses ?? {}).length, 6);
});

test('a forward that comes to nothing ends at once, and the session goes on', async (t) => {
  const exit = await startGateway(t, { set: [ADMITTED], seed: new Uint8Array(32).fill(0x33) });
  const entry = await startGateway(t, { set: [ADMITTED, ...MANY] });
  const error = await t.throwsAsync(
    connect({ gateway: gatewayOptions(exit), via: gatewayOptions(entry), attempts: 1 }),
  );
  t.deepEqual([(error as LewesError).code, (error as LewesError).reason], ['forward_failed', 'unanswered']);
  const client = await open(t, { gateway: gatewayOptions(entry) });
  const target = { address: `127.0.0.1:${exit.target.port}`, identity: exit.target.ed25519 };
  t.is((await client.forward(target, [new Uint8Array(40)], 1)).status, 'unanswered');
  t.is((await client.register(registration(1))).status, 'completed');
});

test('where registrations cost a token, LP1 clients are refused with a text, unless zk-nyms are taken unchecked', async (t) => {
  const priced = ['credentials.kind=privacy-pass', 'credentials.issuer=http://127.0.0.1:9'];
  const gateway = await startGateway(t, { set: [ADMITTED, ...priced] });
  const refusing = await open(t, { gateway: gatewayOptions(gateway) });
  const refused = await refusing.register(registration(1));
  t.is(refused.status, 'failed');
  t.is(gateway.gateway.registrar.status().registrations.dvpn.active, 0);
  const lenient = await startGateway(t, { set: [ADMITTED, ...priced, 'credentials.zk_nym=mock'] });
  const client = await open(t, { gateway: gatewayOptions(lenient) });
  t.is((await client.register(registration(1))).status, 'completed');
  t.is((await client.register(registration(2))).status, 'completed');
});
