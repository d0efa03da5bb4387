import test, { type ExecutionContext } from 'ava';
import { MemoryNymKemKeyCache, nymNodeByHand, registerNym } from '../../../src/client/index.ts';
import { nymCrypto } from '../../../src/lp/crypto/nym-load.ts';
import { CountingProxy } from '../../support/counting-proxy.ts';
import { startGateway } from '../../support/test-gateway.ts';
import { errorOf, hopAt, wallet } from './fixture.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

async function gatewayFor(t: ExecutionContext, fill: number, set: readonly string[] = []) {
  const nymKeys = { lpSecret: new Uint8Array(32).fill(fill), kemSeed: new Uint8Array(64).fill(fill + 1) };
  const started = await startGateway(t, {
    entry: 'in-thread',
    seed: new Uint8Array(32).fill(fill),
    set: ['nym.listen=127.0.0.1:0', ...set],
    dependencies: { nymKeys },
  });
  const { crypto, gateway, target } = started;
  const port = gateway.nym?.listening?.port ?? 0;
  const kem = crypto.kems['ml-kem-768'].secretKeyFromSeed(nymKeys.kemSeed);
  const data = (at = port) =>
    nymNodeByHand({
      address: `127.0.0.1:${at}`,
      lpKey: crypto.x25519PublicKey(nymKeys.lpSecret),
      kemDigest: nymCrypto(crypto).digest('blake3', kem.publicKey.bytes),
    });
  return { port, data, identity: target.ed25519 };
}

async function network(t: ExecutionContext) {
  const exit = await gatewayFor(t, 0x31);
  const allow = `forward.allow=[{identity="${hex(exit.identity)}", address="127.0.0.1", port=${exit.port}}]`;
  const entry = await gatewayFor(t, 0x33, [allow]);
  const proxy = await CountingProxy.listen(entry.port);
  t.teardown(() => proxy.close());
  const atProxy = Number(proxy.address.split(':')[1]);
  const options = {
    entry: hopAt(entry.data(atProxy)),
    exit: hopAt(exit.data(), 0x21),
    kemKeyCache: new MemoryNymKemKeyCache(),
    credentials: wallet(),
  };
  return { proxy, options };
}

test('two Lewes gateways that know the client take 7 round trips, and with pipelining 4', async (t) => {
  const { proxy, options } = await network(t);
  const first = await registerNym(options);
  proxy.roundTrips = 0;
  const again = await registerNym(options);
  t.is(proxy.roundTrips, 7);
  proxy.roundTrips = 0;
  const fast = await registerNym({ ...options, pipelining: true });
  t.is(proxy.roundTrips, 4);
  for (const each of [again, fast]) {
    t.is(each.entry.ipv4, first.entry.ipv4);
    t.is(each.exit?.ipv4, first.exit?.ipv4);
    t.false(each.entry.paid);
  }
});

test('an exit that the entry does not list is told as a failed forward', async (t) => {
  const { options } = await network(t);
  const stranger = await gatewayFor(t, 0x35);
  const error = await errorOf(t, registerNym({ ...options, exit: hopAt(stranger.data()) }));
  t.like(error, { code: 'forward_failed', hop: 'exit', step: 'kkt', reason: 'closed' });
});
