/** Faults of the entry's threads: an order is given, and obeyed in the midst of the load. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Prng } from '../../test/support/prng.ts';
import { until } from '../e2e/until.ts';
import { type ChildStatus, REGISTRAR_THREAD, shardThread } from './child-messages.ts';
import { SILENCE_LIMIT_S } from './config.ts';
import type { Order, OrderKind } from './orders.ts';
import type { Strike } from './strike.ts';
import type { World } from './world.ts';

/** Batches or messages that go by before an order is obeyed. */
const MAX_SKIPPED = 40;
const OBEYED_WITHIN_MS = 15_000;
const REPLACED_WITHIN_MS = 20_000;
const STALL_MS = { least: 800, more: 700 } as const;
const HANG_MS = 300;

export async function strikeShard(world: World, prng: Prng, kind: OrderKind): Promise<Strike> {
  const { epochs } = await world.entry.status();
  const thread = await world.chooseThread(
    epochs.map((_, shard) => shardThread(shard)),
    kind !== 'stall',
  );
  return strikeThread(world, thread, orderOf(prng, kind));
}

export async function strikeRegistrar(world: World, prng: Prng, kind: OrderKind): Promise<Strike> {
  const thread = await world.chooseThread([REGISTRAR_THREAD], kind !== 'stall');
  return strikeThread(world, thread, orderOf(prng, kind));
}

function orderOf(prng: Prng, kind: OrderKind): Order {
  const ms = STALL_MS.least + prng.below(STALL_MS.more);
  return { kind, when: prng.chance(0.5) ? 'before' : 'after', skip: prng.below(MAX_SKIPPED), ms };
}

async function strikeThread({ entry }: World, thread: string, order: Order): Promise<Strike> {
  const before = await entry.status();
  await entry.ask('order', { thread, order });
  await until(`${thread} obeys`, OBEYED_WITHIN_MS, async () => {
    return !(await entry.status()).ordersWaiting.includes(thread) || undefined;
  });
  const note = `${thread}, ${order.when} a ${thread === REGISTRAR_THREAD ? 'message' : 'batch'}`;
  if (order.kind === 'stall') {
    await wait(order.ms);
    return { note: `${note}, for ${order.ms} ms`, endedMs: performance.now() };
  }
  if (order.kind === 'hang') {
    await wait(HANG_MS);
    // Nobody waits half a minute for it: the gateway's clock does.
    await entry.ask('age', { seconds: SILENCE_LIMIT_S + 2 });
  }
  const endedMs = performance.now();
  const { value, ms } = await until(`${thread} is replaced`, REPLACED_WITHIN_MS, async () => {
    const status = await entry.status();
    return status.ready && lostSince(before, status).length > 0 ? status : undefined;
  });
  const lost = lostSince(before, value);
  if (lost.join() !== thread) throw new Error(`${thread} was struck, and lost were ${lost.join(', ')}`);
  return { note: `${note}, replaced in ${ms} ms`, endedMs };
}

/** Threads that were replaced, once for each time. */
function lostSince(before: ChildStatus, now: ChildStatus): readonly string[] {
  const times = (from: number, to: number, thread: string) => new Array<string>(to - from).fill(thread);
  const shards = now.epochs.flatMap((epoch, n) => times(before.epochs[n] ?? 0, epoch, shardThread(n)));
  return [...shards, ...times(before.registrarEpoch, now.registrarEpoch, REGISTRAR_THREAD)];
}
