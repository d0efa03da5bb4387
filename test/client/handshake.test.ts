/** What a client makes of a handshake that does not go straight: hints, lost packets, refusals. */
import test from 'ava';
import { connect, MemoryKemKeyCache } from '../../src/client/index.ts';
import { encodeBusyPacket, encodeErrorPacket } from '../../src/lp/wire/message.ts';
import { encodeUnsealed, receiverIndex, TYPE, typeOf } from '../../src/lp/wire/packet.ts';
import { ADMIT } from '../../src/shard/messages.ts';
import { until } from '../support/stepped-time.ts';
import { clientFor, errorOf, gatewayFor, registration, steppedSetUp } from './fixture.ts';

const isUnsealed = (packet: Uint8Array, type: number) => receiverIndex(packet) < 2 ** 31 && typeOf(packet) === type;
/** The handshake index that a ClientHello proposes. */
const proposed = (hello: Uint8Array) => new DataView(hello.buffer, hello.byteOffset).getUint32(18, true);
const NOTHING = new Uint8Array(0);

test('a client whose cached KEM key is gone asks for the new one and goes on', async (t) => {
  const gateway = await gatewayFor(t);
  const keyCache = new MemoryKemKeyCache();
  await clientFor(t, { gateway: gateway.options, keyCache });
  const old = keyCache.get(gateway.identity, 'x-wing');
  gateway.restart();
  const client = await clientFor(t, { gateway: gateway.options, keyCache });
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
  t.is(gateway.accepted, 2);
  t.notDeepEqual(keyCache.get(gateway.identity, 'x-wing')?.body, old?.body);
});

test('an expired KEM key leaves the cache and is asked for anew', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t);
  const keyCache = new MemoryKemKeyCache();
  await clientFor(t, { ...base, keyCache });
  time.clock.advance(2 * 86_400_000 + 1_000);
  gateway.restart();
  const client = await clientFor(t, { ...base, keyCache });
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
});

test('a clock that is an hour off follows what the gateway tells, on a new connection', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t);
  const offset = { now: () => ({ ...time.clock.now(), unixMs: time.clock.now().unixMs + 1_800_000 }) };
  const client = await time.drive(connect({ ...base, clock: offset }));
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
  t.is(gateway.accepted, 2);
  await client.close();
});

test('a told clock is followed once, and never beyond a day', async (t) => {
  const tell = (offsetMs: number) =>
    steppedSetUp(t, {
      receive: (packet) => (typeOf(packet) === TYPE.clientHello ? [packet] : []),
      reply: (packet) => {
        const gatewayUnixMs = Date.UTC(2026, 5, 1) + offsetMs;
        return [encodeErrorPacket(receiverIndex(packet), { code: 2, gatewayUnixMs, minVersion: 2, maxVersion: 2 })];
      },
    });
  for (const [offsetMs, connections] of [
    [10_000, 2],
    [90_000_000, 1],
    [Number.MAX_SAFE_INTEGER / 2, 1],
  ] as const) {
    const { time, gateway, base } = await tell(offsetMs);
    t.like(await errorOf(t, time.drive(connect(base))), { code: 'clock', hop: 'direct' });
    t.is(gateway.accepted, connections);
  }
});

test('after a collision the client starts over with another index', async (t) => {
  const indices: number[] = [];
  const { time, gateway, base } = await steppedSetUp(t, {
    receive: (packet) => {
      if (typeOf(packet) === TYPE.clientHello) indices.push(proposed(packet));
      return [packet];
    },
    reply: (packet) =>
      indices.length === 1 ? [encodeUnsealed(receiverIndex(packet), 0, TYPE.collision, NOTHING)] : [packet],
  });
  const client = await time.drive(connect(base));
  t.is(new Set(indices).size, 2);
  t.is(gateway.accepted, 2);
  await client.close();
});

test('collisions without end are told after the attempts', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t, {
    reply: (packet) => [encodeUnsealed(receiverIndex(packet), 0, TYPE.collision, NOTHING)],
  });
  t.like(await errorOf(t, time.drive(connect({ ...base, attempts: 2 }))), { code: 'collision' });
  t.is(gateway.accepted, 2);
});

test('a busy gateway is asked again after the time that it tells', async (t) => {
  let admitted = false;
  const { time, gateway, base } = await steppedSetUp(t, {
    admit: () => ADMIT.record | (admitted ? ADMIT.token | ADMIT.session : 0),
  });
  const connecting = connect(base);
  await until(() => gateway.stats.counters.refusals === 1);
  admitted = true;
  const client = await time.drive(connecting);
  t.is(gateway.accepted, 1);
  await client.close();
});

test('a gateway that stays busy is told as busy', async (t) => {
  const { time, base } = await steppedSetUp(t, {
    reply: (packet) => [encodeBusyPacket(receiverIndex(packet), 1)],
  });
  const error = await errorOf(t, time.drive(connect({ ...base, attempts: 1 })));
  t.like(error, { code: 'busy', hop: 'direct' });
  t.regex(error.message, /try later/);
});

test('a suite that is not offered is followed by the next of the list', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t, { kem: ['ml-kem-768'] });
  const keyCache = new MemoryKemKeyCache();
  const client = await time.drive(connect({ ...base, keyCache }));
  t.is(keyCache.get(gateway.identity, 'ml-kem-768')?.kem, 'ml-kem-768');
  await client.close();
});

test('a suite that the caller does not allow is never used', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t, { kem: ['ml-kem-768'] });
  const error = await errorOf(t, time.drive(connect({ ...base, kem: ['x-wing'] })));
  t.like(error, { code: 'suite_not_offered' });
  t.is(gateway.accepted, 1);
});

test('a KEM key that no pin names is final', async (t) => {
  const gateway = await gatewayFor(t);
  const kemKeyHashes = [new Uint8Array(32)];
  const error = await errorOf(t, connect({ gateway: { ...gateway.options, kemKeyHashes } }));
  t.like(error, { code: 'kem_key', reason: 'pin', step: 'key' });
  t.is(gateway.accepted, 1);
});

test('a KEM key that a pin names is taken', async (t) => {
  const gateway = await gatewayFor(t);
  const keyCache = new MemoryKemKeyCache();
  await clientFor(t, { gateway: gateway.options, keyCache });
  const body = keyCache.get(gateway.identity, 'x-wing')?.body ?? NOTHING;
  const kemKeyHashes = [new Uint8Array(32), gateway.crypto.blake3(body.subarray(0, 1216))];
  const client = await clientFor(t, { gateway: { ...gateway.options, kemKeyHashes } });
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
});

test('another identity than the one that answers shows at the KEM key', async (t) => {
  const { time, base } = await steppedSetUp(t);
  const other = await gatewayFor(t);
  const gateway = { address: base.gateway.address ?? '', identity: other.identity };
  const error = await errorOf(t, time.drive(connect({ ...base, gateway })));
  t.like(error, { code: 'kem_key', reason: 'signature', step: 'key', hop: 'direct' });
  t.regex(error.message, /identity is wrong/);
});

test('an H1 that is dropped in silence is told as a wrong identity, perhaps', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t, {
    receive: (packet) => (typeOf(packet) === TYPE.handshake ? [] : [packet]),
  });
  const error = await errorOf(t, time.drive(connect({ ...base, timeouts: { openMs: 100_000 } })));
  t.like(error, { code: 'timeout', step: 'handshake' });
  t.regex(error.message, /^no answer to the handshake: wrong identity key/);
  t.is(gateway.accepted, 3);
});

test('all attempts together end at the deadline', async (t) => {
  const { time, gateway, base } = await steppedSetUp(t, { receive: () => [] });
  const startMs = time.nowMs;
  const error = await errorOf(t, time.drive(connect({ ...base, attempts: 100, timeouts: { openMs: 20_000 } })));
  t.like(error, { code: 'timeout', step: 'key' });
  t.true(time.nowMs - startMs <= 21_000);
  await until(() => gateway.connections === 0);
  await until(() => time.pending === 0);
});

test('a lost H2 is answered to the repeat, and a lost reply to H3 too', async (t) => {
  const lost = new Set<number>();
  const lose = (what: number, is: boolean) => is && !lost.has(what) && lost.add(what) !== undefined;
  const { time, gateway, base } = await steppedSetUp(t, {
    reply: (packet) =>
      lose(1, isUnsealed(packet, TYPE.handshake)) || lose(2, receiverIndex(packet) >= 2 ** 31) ? [] : [packet],
  });
  const options = { ...base, gateway: { ...gateway.options, register: registration() } };
  const client = await time.drive(connect(options));
  t.is(client.registration?.status, 'completed');
  t.is(gateway.accepted, 1);
  t.is(gateway.registrations.length, 1);
  t.deepEqual([...lost], [1, 2]);
  await client.close();
});

test('a port that nobody listens on is told at once', async (t) => {
  const gateway = await gatewayFor(t);
  const { options } = gateway;
  await gateway.close();
  const error = await errorOf(t, connect({ gateway: options }));
  t.like(error, { code: 'connect_failed', reason: 'ECONNREFUSED', step: 'connect', hop: 'direct' });
  t.regex(error.message, /nothing listens there/);
});
