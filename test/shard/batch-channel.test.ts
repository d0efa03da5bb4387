/** Batches through shared memory to a real thread and back. */
import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { type BatchMemory, BatchSender, createBatchMemory, PLACES } from '../../src/shard/batch-channel.ts';
import { Prng } from '../support/prng.ts';

function start(t: ExecutionContext): { memory: BatchMemory; sender: BatchSender; worker: Worker } {
  const memory = createBatchMemory();
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL('./fixtures/echoes-batches.ts', import.meta.url), {
    workerData: { memory, port: port2 },
    transferList: [port2],
  });
  const sender = new BatchSender(memory, port1);
  t.teardown(async () => {
    port1.close();
    await worker.terminate();
  });
  return { memory, sender, worker };
}

const answerOf = (batch: Uint8Array) => batch.map((byte) => (byte + 1) & 0xff);

test('every batch comes back whole and in order, whatever its size, with as many under way as there are places', async (t) => {
  const { sender } = start(t);
  const prng = new Prng(5);
  const order: number[] = [];
  let sent = 0;
  const lane = async () => {
    while (sent < 400) {
      const number = sent++;
      // One in forty does not fit its place and goes as a message.
      const length = prng.chance(0.025) ? 600_000 + prng.below(400_000) : 1 + prng.below(30_000);
      const batch = new Uint8Array(length).fill(number % 250);
      const expected = answerOf(batch);
      const result = sender.run(batch);
      // It was copied.
      batch.fill(9);
      t.true(Buffer.from(await result).equals(expected));
      order.push(number);
    }
  };
  await Promise.all(Array.from({ length: PLACES }, lane));
  t.deepEqual(
    order,
    Array.from({ length: 400 }, (_, i) => i),
  );
});

test('neither side leaves anything of a batch in the shared memory', async (t) => {
  const { memory, sender } = start(t);
  for (let i = 0; i < 2 * PLACES; i++) await sender.run(new Uint8Array(1_000).fill(7));
  const left = (shared: SharedArrayBuffer) => new Uint8Array(shared).some((byte) => byte !== 0);
  t.deepEqual([left(memory.sent), left(memory.answered)], [false, false]);
});

test('more batches under way than there are places is our own mistake', async (t) => {
  const { sender } = start(t);
  const under = Array.from({ length: PLACES }, () => sender.run(new Uint8Array(8)));
  t.throws(() => sender.run(new Uint8Array(8)), { message: /places/ });
  await Promise.all(under);
});

test('what is under way when the thread ends is rejected, and so is all that comes later', async (t) => {
  const { sender, worker } = start(t);
  await sender.run(new Uint8Array(8));
  const reason = new Error('it ended');
  const ended = once(worker, 'error');
  const fatal = sender.run(new Uint8Array(8).fill(0xff));
  const behind = sender.run(new Uint8Array(8));
  await ended;
  sender.end(reason);
  t.is(await t.throwsAsync(fatal), reason);
  t.is(await t.throwsAsync(behind), reason);
  t.is(await t.throwsAsync(sender.run(new Uint8Array(8))), reason);
});
