/** Faults of whole processes and of what they need: the gateways, the disk, WireGuard, file descriptors, and the clock. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import process from 'node:process';
import { setTimeout as wait } from 'node:timers/promises';
import type { Prng } from '../../test/support/prng.ts';
import { checkStore } from '../e2e/crash-store.ts';
import { until } from '../e2e/until.ts';
import { REGISTRAR_THREAD, shardThread } from './child-messages.ts';
import { SILENCE_LIMIT_S } from './config.ts';
import type { ChaosGateway } from './gateway-process.ts';
import type { Strike } from './strike.ts';
import { ENTRY_DESCRIPTORS, inMiB, type World } from './world.ts';

const HOUR_MS = 3_600_000;
const STOPPED_MS = { least: 1_000, more: 800 } as const;
/** For what lies in the runner's sockets when the gateway is gone. */
const READ_OUT_MS = 30;
const FULL_WITHIN_MS = 8_000;
const FULL_FOR_MS = 300;
const AWAY_MS = 300;
const MIDST_MS = 2_600;
const EXHAUSTED_MS = 800;
const DAYS_FOR_MS = 800;
/** Idle sessions end after six hours. */
const LEAP_MS = 7 * HOUR_MS;

/** SIGKILL of the whole gateway, with the store that it was writing; what is on disk is compared with what customers know. */
export async function killWithStore(world: World): Promise<Strike> {
  const { entryDoors, shop } = world.parts;
  await world.entry.kill();
  entryDoors.shut();
  entryDoors.cutAll();
  await wait(READ_OUT_MS);
  const { registrations, done, undone } = await checkStore(world.storePath, shop.customers);
  await world.startEntry();
  const note = `${registrations} registrations as acknowledged; of unanswered operations ${done} done, ${undone} not`;
  return { note, endedMs: performance.now() };
}

export async function fillDisk(world: World): Promise<Strike> {
  const { shop, disk } = world.parts;
  if (disk === undefined) throw new Error('assertion: a disk is needed');
  const taken = disk.fill();
  shop.hurried = true;
  try {
    const { ms } = await until('the store says that it is full', FULL_WITHIN_MS, async () => {
      return (await world.entry.status()).alarms.includes('store') || undefined;
    });
    await wait(FULL_FOR_MS);
    return { note: `${inMiB(taken)} taken, noticed after ${ms} ms`, endedMs: performance.now() };
  } finally {
    shop.hurried = false;
    disk.clear();
  }
}

export async function stopProcess(gateway: ChaosGateway, prng: Prng): Promise<Strike> {
  const ms = STOPPED_MS.least + prng.below(STOPPED_MS.more);
  gateway.pause();
  await wait(ms);
  gateway.proceed();
  return { note: `stopped for ${ms} ms`, endedMs: performance.now() };
}

/**
 * The whole process stands still for longer than a thread may be silent, as when a virtual machine is moved, in the midst of a
 * shard's batch and of the registrar's work. No thread is at fault, so none may be given up.
 */
export async function pauseLong({ entry }: World): Promise<Strike> {
  for (const thread of [shardThread(0), REGISTRAR_THREAD]) {
    await entry.ask('order', { thread, order: { kind: 'stall', when: 'before', skip: 0, ms: MIDST_MS } });
  }
  await wait(MIDST_MS / 2);
  const ms = SILENCE_LIMIT_S * 1_000 + MIDST_MS;
  entry.pause();
  await wait(ms);
  entry.proceed();
  return { note: `paused for ${ms} ms`, endedMs: performance.now() };
}

export async function killExit(world: World): Promise<Strike> {
  const { exitDoors } = world.parts;
  exitDoors.shut();
  await world.exit.kill();
  exitDoors.cutAll();
  await world.startExit();
  return { note: 'killed and started anew', endedMs: performance.now() };
}

export async function killWireGuard({ parts: { wireguard } }: World): Promise<Strike> {
  if (wireguard === undefined) throw new Error('assertion: WireGuard is needed');
  await wireguard.kill();
  await wait(AWAY_MS);
  await wireguard.start();
  return { note: 'killed and started anew, without peers', endedMs: performance.now() };
}

export async function stopWireGuard({ parts: { wireguard } }: World, prng: Prng): Promise<Strike> {
  if (wireguard === undefined) throw new Error('assertion: WireGuard is needed');
  const ms = STOPPED_MS.least + prng.below(STOPPED_MS.more);
  process.kill(wireguard.pid, 'SIGSTOP');
  await wait(ms);
  process.kill(wireguard.pid, 'SIGCONT');
  return { note: `stopped for ${ms} ms`, endedMs: performance.now() };
}

/** More connections than it has descriptors, while its clients have to connect anew. */
export async function exhaustDescriptors(world: World): Promise<Strike> {
  const { entry } = world;
  let refused = 0;
  const sockets = Array.from({ length: ENTRY_DESCRIPTORS }, () => connect(entry.port, '127.0.0.1'));
  for (const socket of sockets) socket.resume().once('end', () => refused++);
  try {
    await Promise.all(sockets.map(settled));
    world.parts.entryDoors.cutAll();
    await wait(EXHAUSTED_MS);
    // The system took them, and the gateway had to let them go again.
    if (refused === 0) throw new Error('its file descriptors were not exhausted');
    const note = `${ENTRY_DESCRIPTORS} descriptors, ${sockets.length} connections more, ${refused} refused`;
    return { note, endedMs: performance.now() };
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

function settled(socket: Socket): Promise<unknown> {
  socket.on('error', () => undefined);
  return Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => undefined);
}

/** The entry's calendar clock, and what its HTTP answers would be dated. */
async function shift(world: World, unixMs: number): Promise<void> {
  await world.entry.ask('jump', { monotonicMs: 0, unixMs });
  world.parts.load.entryAheadS += unixMs / 1_000;
}

/** Hours to and fro: whoever connects meanwhile gets in, by the gateway's hint; and so when the clock is right again. */
export async function jumpHours(world: World, prng: Prng, direction: 1 | -1): Promise<Strike> {
  const hours = 1 + prng.below(6);
  const unixMs = direction * hours * HOUR_MS;
  const jumpedMs = performance.now();
  await shift(world, unixMs);
  const { ms } = await world.parts.load.recovered(jumpedMs, performance.now());
  await shift(world, -unixMs);
  const slowest = Math.round(Math.max(0, ...ms));
  return {
    note: `${direction * hours} h and back; recovered within ${slowest} ms meanwhile`,
    endedMs: performance.now(),
  };
}

/** More than a client follows (lp2.md §4.4), and past a rotation of the KEM keys: who comes meanwhile has to wait. */
export async function jumpDays(world: World, prng: Prng): Promise<Strike> {
  const hours = 25 + prng.below(100);
  const unixMs = (prng.chance(0.5) ? 1 : -1) * hours * HOUR_MS;
  await shift(world, unixMs);
  await wait(DAYS_FOR_MS);
  await shift(world, -unixMs);
  return { note: `${unixMs / HOUR_MS} h and back`, endedMs: performance.now() };
}

/** The monotonic clock: everything that ages is old at once. */
export async function leap(world: World): Promise<Strike> {
  await world.entry.ask('jump', { monotonicMs: LEAP_MS, unixMs: 0 });
  return { note: `monotonic time ${LEAP_MS / HOUR_MS} h ahead, all sessions are over`, endedMs: performance.now() };
}
