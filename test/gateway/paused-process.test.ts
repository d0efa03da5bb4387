/**
 * A process that stood still for longer than a thread may be silent (stopped, or moved with its virtual machine): its timers come
 * before what lies in its sockets and channels, and no thread is at fault. Found by `npm run chaos -- --faults gateway-pause`.
 */
import test from 'ava';
import { type RegistrarThread, startRegistrarInThread } from '../../src/gateway/registrar-thread.ts';
import { type ShardThread, startShardInThread } from '../../src/gateway/shard-thread.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { steppedClock } from '../../src/system/clock.ts';
import { systemRandom } from '../../src/system/random.ts';
import { systemTimers } from '../../src/system/timers.ts';
import { turns } from '../support/stepped-time.ts';
import { startGateway } from '../support/test-gateway.ts';

const PAUSED_MS = 40_000;

/** What a thread says waits at the gate while it is shut. */
class Gate {
  #opened: PromiseWithResolvers<void> | undefined;

  shut(): void {
    this.#opened = Promise.withResolvers();
  }

  open(): void {
    this.#opened?.resolve();
    this.#opened = undefined;
  }

  async pass<T>(value: T): Promise<T> {
    await this.#opened?.promise;
    return value;
  }
}

test('a shard whose answer lay there while the process was paused is not given up', async (t) => {
  const clock = steppedClock({ monotonicMs: 1_000 });
  const gate = new Gate();
  const crypto = await loadProvider('auto');
  const { gateway } = await startGateway(t, {
    set: ['gateway.shards=1'],
    dependencies: {
      clock,
      startShard: (_, options): ShardThread => {
        const thread = startShardInThread(options, { crypto, random: systemRandom, loopDelayMs: () => 0 });
        return { ...thread, run: async (batch) => gate.pass(await thread.run(batch)) };
      },
    },
  });
  gate.shut();
  gateway.tick();
  await turns();
  clock.advance(PAUSED_MS);
  gateway.tick();
  gate.open();
  await turns();
  t.is(gateway.hosts[0]?.epoch, 0);
});

test('a registrar whose sign of life lay there while the process was paused is not given up', async (t) => {
  const clock = steppedClock({ monotonicMs: 1_000 });
  const gate = new Gate();
  const { gateway } = await startGateway(t, {
    set: ['gateway.shards=1'],
    dependencies: {
      clock,
      startRegistrar: (): RegistrarThread => {
        const defer = (action: () => void) => setImmediate(action);
        const thread = startRegistrarInThread({ defer, clock, timers: systemTimers, random: systemRandom });
        const onMessage: RegistrarThread['onMessage'] = (received) =>
          thread.onMessage((message) => void gate.pass(message).then(received));
        return { ...thread, onMessage };
      },
    },
  });
  gate.shut();
  gateway.registrar.tick();
  await turns();
  clock.advance(PAUSED_MS);
  gateway.registrar.tick();
  gate.open();
  await turns();
  t.is(gateway.registrar.status().epoch, 0);
});
