/** Rekeying from the client's side: with and without a KEM exchange, asked for by the gateway, and with losses. */
import { once } from 'node:events';
import test from 'ava';
import { receiverIndex } from '../../src/lp/wire/packet.ts';
import { until } from '../support/stepped-time.ts';
import { clientFor, errorOf, gatewayFor, steppedSetUp } from './fixture.ts';

/** lp2.md §8. */
const KK1 = 87;
const KK1_KEM = 1271;
const KK2_KEM = 1178;

for (const [kem, length] of [
  [true, KK1_KEM],
  [false, KK1],
] as const) {
  test(`rekeying ${kem ? 'with' : 'without'} a KEM exchange changes the session`, async (t) => {
    const gateway = await gatewayFor(t);
    const client = await clientFor(t, { gateway: gateway.options });
    const lengths: number[] = [];
    const indices = new Set<number>();
    gateway.receive = (packet) => {
      lengths.push(packet.length);
      indices.add(receiverIndex(packet));
      return [packet];
    };
    const rekeyed = once(client.events, 'rekeyed');
    await client.rekey({ kem });
    await rekeyed;
    t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
    t.is(lengths[0], length);
    t.is(indices.size, 2);
  });
}

test('a lost KK2 is answered to the repeat', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t);
  const client = await clientFor(t, base);
  let lost = 0;
  gateway.reply = (packet) => (packet.length === KK2_KEM && lost++ < 2 ? [] : [packet]);
  await time.drive(client.rekey());
  t.is(lost, 3);
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
});

test('a rekey that nothing answers times out, and the session lives on', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t);
  const client = await clientFor(t, base);
  gateway.receive = (packet) => (packet.length === KK1_KEM ? [] : [packet]);
  t.like(await errorOf(t, time.drive(client.rekey())), { code: 'timeout', step: 'rekey' });
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
  gateway.receive = (packet) => [packet];
  await client.rekey();
});

test('a second rekey within 10 s is refused, and possible afterwards', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t);
  const client = await clientFor(t, base);
  await client.rekey();
  await client.echo(Uint8Array.of(1));
  t.like(await errorOf(t, client.rekey()), { code: 'rekey_refused', reason: 'aborted' });
  t.like(await errorOf(t, client.rekey()), { code: 'rekey_refused', reason: 'too_soon' });
  time.advance(10_000);
  await client.rekey();
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
  t.is(gateway.accepted, 1);
});

test('rekeys at once are one', async (t) => {
  const gateway = await gatewayFor(t);
  const client = await clientFor(t, { gateway: gateway.options });
  let kk1 = 0;
  gateway.receive = (packet) => {
    if (packet.length === KK1_KEM) kk1++;
    return [packet];
  };
  await Promise.all([client.rekey(), client.rekey()]);
  t.is(kk1, 1);
});

for (const [ratchet, length] of [
  [true, KK1_KEM],
  [false, KK1],
] as const) {
  test(`a rekey that the gateway asks for is done ${ratchet ? 'with' : 'without'} the ratchet`, async (t) => {
    const { time, gateway, base } = await steppedSetUp(t, { lifetimes: { rekeyAfterMs: 60_000 } });
    const client = await clientFor(t, { ...base, ratchet });
    let seen = 0;
    gateway.receive = (packet) => {
      if (packet.length === length) seen++;
      return [packet];
    };
    time.advance(60_000);
    const rekeyed = once(client.events, 'rekeyed');
    await client.echo(Uint8Array.of(1));
    await rekeyed;
    t.is(seen, 1);
    t.deepEqual(await client.echo(Uint8Array.of(2)), Uint8Array.of(2));
  });
}

test('a rekey survives a broken connection', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t);
  const client = await clientFor(t, base);
  gateway.reply = () => [];
  let seen = 0;
  gateway.receive = (packet) => {
    seen++;
    return [packet];
  };
  const rekey = client.rekey();
  await until(() => seen === 1);
  gateway.reply = (packet) => [packet];
  gateway.breakConnections();
  await time.drive(rekey);
  t.is(gateway.accepted, 2);
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
});
