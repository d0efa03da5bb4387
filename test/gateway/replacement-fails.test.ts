/**
 * A shard that is lost while the system has no file descriptor left cannot be replaced in that moment, but soon after; the limit of
 * five replacements within a minute is what ends a gateway. Found by exhausting descriptors while a shard's thread ended.
 */
import test from 'ava';
import { type ShardThread, startShardInThread } from '../../src/gateway/shard-thread.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { systemRandom } from '../../src/system/random.ts';
import { SteppedTime, turns, until } from '../support/stepped-time.ts';
import { startGateway } from '../support/test-gateway.ts';

test('a shard whose replacement does not start the first time is replaced later', async (t) => {
  const crypto = await loadProvider('auto');
  const time = new SteppedTime();
  let starts = 0;
  let lose: (reason: Error) => void = () => undefined;
  const startShard = (_: number, options: Parameters<typeof startShardInThread>[0]): ShardThread => {
    starts++;
    if (starts === 2) throw new Error('EMFILE: too many open files');
    const thread = startShardInThread(options, { crypto, random: systemRandom, loopDelayMs: () => 0 });
    return {
      ...thread,
      onLost: (lost) => {
        lose = lost;
      },
    };
  };
  const { gateway } = await startGateway(t, {
    set: ['gateway.shards=1'],
    dependencies: { startShard, clock: time.clock, timers: time },
  });
  let failure: unknown;
  gateway.failed.catch((error: unknown) => {
    failure = error;
  });
  lose(new Error('the thread ended'));
  await turns();
  time.advance(30_000);
  await until(() => failure !== undefined || gateway.hosts[0]?.running === true, 2_000);
  t.is(failure, undefined);
});
