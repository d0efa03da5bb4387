/** Limits on frames and connections (lp2.md §4.5), each while live clients work. The table of all limits is in limits.test.ts. */
import test from 'ava';
import { encodeFrames } from '../../src/lp/wire/framing.ts';
import { encodeUnsealed, TYPE } from '../../src/lp/wire/packet.ts';
import { until } from '../support/test-gateway.ts';
import { attempt, type LoadedGateway, startLoaded } from './fixtures/loaded-gateway.ts';

const EMPTY = new Uint8Array(0);
/** A session's, by its bit 31. */
const UNKNOWN = 0xf654_3210;

interface Cutter {
  readonly partial: Uint8Array | undefined;
  readonly held: Uint8Array | undefined;
  readonly midFrame: boolean;
}

function cuttersOf({ gateway }: LoadedGateway): Cutter[] {
  const inside = gateway.acceptor as unknown as { connections: Map<number, { cutter: Cutter }> };
  return [...inside.connections.values()].map(({ cutter }) => cutter);
}

/** What the gateway keeps of frames that are not complete. */
function buffered(made: LoadedGateway): number {
  return cuttersOf(made).reduce((sum, { partial, held }) => sum + (partial?.length ?? 0) + (held?.length ?? 0), 0);
}

test.serial('frames for an unknown index are passed over unbuffered, from fifty connections at once', async (t) => {
  const made = await startLoaded(t);
  const frame = encodeFrames('be16', [encodeUnsealed(UNKNOWN, 9, TYPE.encryptedData, new Uint8Array(65_501))]);
  const clients = await Promise.all(Array.from({ length: 50 }, (_, i) => made.from(`127.0.40.${i + 1}`)));
  const read = () => made.gateway.acceptor.counts.drops.unknown_index ?? 0;
  for (const { socket } of clients) socket.write(frame.subarray(0, 14));
  await until(() => read() === 50, 'their headers are judged');
  for (let at = 14; at < 60_000; at += 10_000) {
    for (const { socket } of clients) socket.write(frame.subarray(at, Math.min(at + 10_000, 60_000)));
    await made.work();
    t.is(buffered(made), 0);
  }
  for (const { socket } of clients) socket.write(frame.subarray(60_000));
  const outcomes = await Promise.all(clients.map(attempt));
  t.true(outcomes.every((outcome) => outcome === 'session'));
  await made.assertUntouched();
});

test.serial('headers that break the rules are refused by themselves, and their connections go on', async (t) => {
  const made = await startLoaded(t, { set: ['limits.handshake_burst=100'] });
  const hello = (length: number) => encodeUnsealed(0, 0, TYPE.clientHello, new Uint8Array(length - 34));
  const cases: readonly [string, (index: number) => Uint8Array][] = [
    ['index 0 with 133 bytes', () => hello(133)],
    ['index 0 with 135 bytes', () => hello(135)],
    ['a handshake with 2,049 bytes', (n) => encodeUnsealed(n, 1, TYPE.handshake, new Uint8Array(2_049 - 34))],
    ['a handshake with counter 3', (n) => encodeUnsealed(n, 3, TYPE.handshake, EMPTY)],
    ['a handshake with counter 2⁴⁰', (n) => encodeUnsealed(n, 2 ** 40, TYPE.handshake, EMPTY)],
  ];
  for (const [i, [what, packet]] of cases.entries()) {
    const clients = await Promise.all(Array.from({ length: 10 }, (_, n) => made.from(`127.0.41.${10 * i + n + 1}`)));
    for (const [n, client] of clients.entries()) {
      const index = 1_000 + 10 * i + n;
      client.send([made.hello(index)]);
      await until(() => client.strays === 1, 'the hello is acknowledged');
      client.send([packet(index)]);
    }
    await made.untilDropped('length', 10 * (i + 1));
    const outcomes = await Promise.all(clients.map(attempt));
    t.true(
      outcomes.every((outcome) => outcome === 'session'),
      what,
    );
    t.true(
      clients.every(({ strays }) => strays === 1),
      what,
    );
  }
  await made.assertUntouched();
});

test.serial(
  'a frame has 10 s from its first byte, however it trickles in and whether it is taken or skipped',
  async (t) => {
    const made = await startLoaded(t);
    const skipped = encodeFrames('be16', [encodeUnsealed(UNKNOWN, 9, TYPE.encryptedData, new Uint8Array(1_000))]);
    const taken = encodeFrames('be16', [made.hello(77)]);
    const [still, trickling, passedOver, quick] = [
      await made.from('127.0.42.1'),
      await made.from('127.0.42.2'),
      await made.from('127.0.42.3'),
      await made.from('127.0.42.4'),
    ];
    const { closed } = made.gateway.acceptor.counts;
    for (const client of [still, trickling, quick]) client.socket.write(taken.subarray(0, 1));
    passedOver.socket.write(skipped.subarray(0, 14));
    await until(() => cuttersOf(made).filter(({ midFrame }) => midFrame).length === 4, 'four frames have begun');
    for (let second = 1; second <= 9; second++) {
      await made.pass(1_000);
      trickling.socket.write(taken.subarray(second, second + 1));
      passedOver.socket.write(skipped.subarray(13 + second, 14 + second));
    }
    quick.socket.write(taken.subarray(1));
    await until(() => quick.strays === 1, 'the frame that is complete in time is taken');
    t.is(closed.frame_timeout, 0);
    await made.pass(1_000);
    await until(() => closed.frame_timeout === 3, 'all three are closed');
    await Promise.all([still.closed, trickling.closed, passedOver.closed]);
    t.is(closed.frame_timeout, 3);
    t.is(await attempt(quick), 'session');
    await made.assertUntouched();
  },
);

test.serial('a connection that proves nothing closes after 30 s, silent or not; a valid packet keeps it', async (t) => {
  const made = await startLoaded(t);
  const [silent, noisy, valid] = [
    await made.from('127.0.43.1'),
    await made.from('127.0.43.2'),
    await made.from('127.0.43.3'),
  ];
  t.is(await attempt(valid), 'session');
  for (let second = 0; second < 29; second++) {
    noisy.send([
      encodeUnsealed(UNKNOWN, 9, TYPE.encryptedData, EMPTY),
      encodeUnsealed(0, 0, TYPE.clientHello, new Uint8Array(100)),
    ]);
    await made.pass(1_000);
  }
  const { closed } = made.gateway.acceptor.counts;
  t.is(closed.unproven, 0);
  await made.pass(1_000);
  await until(() => closed.unproven === 2, 'both are closed');
  await Promise.all([silent.closed, noisy.closed]);
  t.is((await valid.echo(Uint8Array.of(1))).body[0], 1);
  await made.assertUntouched();
});

test.serial(
  'forged packets keep a connection no longer than 30 s after its last valid one, and its victim is echoed',
  async (t) => {
    const made = await startLoaded(t);
    const [victim, attacker] = [await made.from('127.0.44.1'), await made.from('127.0.44.2')];
    await victim.open();
    await attacker.open();
    const { closed } = made.gateway.acceptor.counts;
    for (let second = 0; second < 29; second++) {
      attacker.send([encodeUnsealed(victim.family.index, 1_000 + second, TYPE.encryptedData, new Uint8Array(40))]);
      await made.pass(1_000);
    }
    t.is(closed.unproven, 0);
    await made.untilDropped('tag', 29);
    attacker.send([encodeUnsealed(victim.family.index, 2_000, TYPE.encryptedData, new Uint8Array(40))]);
    await made.pass(1_000);
    await until(() => closed.unproven === 1, 'it is closed');
    await attacker.closed;
    t.is((await victim.echo(Uint8Array.of(1))).body[0], 1);
    await made.assertUntouched();
  },
);

test.serial('silence of 300 s closes a connection, and its session goes on over another one', async (t) => {
  const made = await startLoaded(t);
  const client = await made.from('127.0.45.1');
  await client.open();
  await client.echo();
  await made.pass(299_000, 13_000);
  const { closed } = made.gateway.acceptor.counts;
  t.is(closed.idle, 0);
  await made.pass(1_000);
  await until(() => closed.idle === 1, 'it is closed');
  await client.closed;
  await client.connect();
  t.is((await client.echo(Uint8Array.of(1))).body[0], 1);
  await made.assertUntouched();
});

test.serial('connections beyond the bound of a source, or of the gateway, are refused', async (t) => {
  const made = await startLoaded(t, { set: ['limits.connections_per_address=2', 'limits.connections=10'] });
  const kept = [await made.from('127.0.46.1'), await made.from('127.0.46.1')];
  await (await made.from('127.0.46.1')).closed;
  for (let i = 2; i <= 3; i++) kept.push(await made.from(`127.0.46.${i}`));
  await (await made.from('127.0.46.4')).closed;
  t.is(made.gateway.acceptor.counts.refused, 2);
  kept[0]?.destroy();
  await until(() => made.gateway.acceptor.open === 9, 'one is gone');
  t.is(await attempt(await made.from('127.0.46.1')), 'session');
  await made.assertUntouched();
});
