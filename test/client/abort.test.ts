/** An AbortSignal ends whatever is under way, at once, with its reason as the cause and nothing left open. */
import test from 'ava';
import { connect } from '../../src/client/index.ts';
import { receiverIndex, TYPE, typeOf } from '../../src/lp/wire/packet.ts';
import { until } from '../support/stepped-time.ts';
import { clientFor, errorOf, gatewayFor, registration, steppedSetUp } from './fixture.ts';

const REASON = new Error('enough');
const unsealed = (packet: Uint8Array, type: number) => receiverIndex(packet) < 2 ** 31 && typeOf(packet) === type;

/** Which packet of the client never arrives, so that the abort comes while its answer is awaited. */
const STEPS: Readonly<Record<string, { dropped: (packet: Uint8Array) => boolean; step: string }>> = {
  'the KEM key': { dropped: (packet) => unsealed(packet, TYPE.kktRequest), step: 'key' },
  H2: { dropped: (packet) => unsealed(packet, TYPE.handshake) && packet[4] === 1, step: 'handshake' },
  'the reply to H3': { dropped: (packet) => unsealed(packet, TYPE.handshake) && packet[4] === 2, step: 'handshake' },
};

for (const [what, { dropped, step }] of Object.entries(STEPS)) {
  for (const nested of [false, true]) {
    test(`an abort while ${what} of ${nested ? 'the exit' : 'the gateway'} is awaited ends everything`, async (t) => {
      let seen = false;
      const { time, gateway, base } = await steppedSetUp(t, {
        receive: (packet) => {
          if (!dropped(packet)) return [packet];
          seen = true;
          return [];
        },
      });
      const entry = await gatewayFor(t, { clock: time.clock, exits: [gateway] });
      const aborter = new AbortController();
      const options = { ...base, signal: aborter.signal, ...(nested && { via: entry.options }) };
      const connecting = errorOf(t, connect(options));
      await until(() => seen);
      aborter.abort(REASON);
      const error = await connecting;
      t.like(error, { code: 'aborted', step, hop: nested ? 'exit' : 'direct' });
      t.is(error.cause, REASON);
      await until(() => (nested ? entry : gateway).connections === 0);
      await until(() => time.pending === 0);
    });
  }
}

test('an abort before or right after the call ends it', async (t) => {
  const gateway = await gatewayFor(t);
  const before = AbortSignal.abort(REASON);
  const first = await errorOf(t, connect({ gateway: gateway.options, signal: before }));
  t.like(first, { code: 'aborted', step: 'connect' });
  const aborter = new AbortController();
  const connecting = connect({ gateway: gateway.options, signal: aborter.signal, crypto: gateway.crypto });
  aborter.abort(REASON);
  t.is((await errorOf(t, connecting)).cause, REASON);
  await until(() => gateway.connections === 0);
});

test('an abort in the pause between two attempts ends it', async (t) => {
  const gateway = await gatewayFor(t);
  const { time, base } = await steppedSetUp(t);
  const aborter = new AbortController();
  gateway.receive = () => {
    gateway.breakConnections();
    return [];
  };
  const connecting = errorOf(t, connect({ ...base, gateway: gateway.options, signal: aborter.signal }));
  await until(() => gateway.accepted === 1 && gateway.connections === 0);
  aborter.abort(REASON);
  t.like(await connecting, { code: 'aborted' });
  await until(() => time.pending === 0);
});

test('an abort while the entry is being reached names the entry', async (t) => {
  const exit = await gatewayFor(t);
  let seen = false;
  const entry = await gatewayFor(t, {
    receive: () => {
      seen = true;
      return [];
    },
  });
  const aborter = new AbortController();
  const connecting = errorOf(t, connect({ gateway: exit.options, via: entry.options, signal: aborter.signal }));
  await until(() => seen);
  aborter.abort(REASON);
  t.like(await connecting, { code: 'aborted', hop: 'entry', step: 'key' });
  await until(() => entry.connections === 0);
});

test('the signal of connect means nothing afterwards', async (t) => {
  const gateway = await gatewayFor(t);
  const aborter = new AbortController();
  const client = await clientFor(t, { gateway: gateway.options, signal: aborter.signal });
  aborter.abort(REASON);
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
});

test('an abort of a request ends that request alone', async (t) => {
  const gateway = await gatewayFor(t, { register: () => undefined });
  const client = await clientFor(t, { gateway: gateway.options });
  const aborter = new AbortController();
  const settings = { signal: aborter.signal };
  const registered = errorOf(t, client.register(registration(), settings));
  await until(() => gateway.registrations.length === 1);
  aborter.abort(REASON);
  const error = await registered;
  t.like(error, { code: 'aborted', step: 'registration' });
  t.is(error.cause, REASON);
  t.is(client.inFlight, 0);
  t.like(await errorOf(t, client.echo(Uint8Array.of(1), settings)), { code: 'aborted', step: 'request' });
  t.deepEqual(await client.echo(Uint8Array.of(1)), Uint8Array.of(1));
});

test('an abort of a rekey ends the waiting', async (t) => {
  const gateway = await gatewayFor(t);
  const client = await clientFor(t, { gateway: gateway.options });
  gateway.reply = () => [];
  const aborter = new AbortController();
  const rekey = errorOf(t, client.rekey({ signal: aborter.signal }));
  aborter.abort(REASON);
  t.like(await rekey, { code: 'aborted', step: 'rekey' });
});
