/** How each kind of fault is brought about. */
import type { Prng } from '../../test/support/prng.ts';
import type { FaultKind } from './kinds.ts';
import { cutConnections, troubleNetwork } from './network-faults.ts';
import {
  exhaustDescriptors,
  fillDisk,
  jumpDays,
  jumpHours,
  killExit,
  killWireGuard,
  killWithStore,
  leap,
  pauseLong,
  stopProcess,
  stopWireGuard,
} from './process-faults.ts';
import type { Strike } from './strike.ts';
import { strikeRegistrar, strikeShard } from './thread-faults.ts';
import type { World } from './world.ts';

type Fault = (world: World, prng: Prng) => Promise<Strike>;

const network =
  (kind: FaultKind): Fault =>
  (world, prng) =>
    troubleNetwork(world, prng, kind);

/** Resolves when the fault is over; rejects when it had not the effect that it has to have. */
export const FAULTS: Readonly<Record<FaultKind, Fault>> = {
  'shard-throw': (world, prng) => strikeShard(world, prng, 'throw'),
  'shard-exit': (world, prng) => strikeShard(world, prng, 'exit'),
  'shard-hang': (world, prng) => strikeShard(world, prng, 'hang'),
  'shard-heap': (world, prng) => strikeShard(world, prng, 'heap'),
  'shard-stall': (world, prng) => strikeShard(world, prng, 'stall'),
  'registrar-throw': (world, prng) => strikeRegistrar(world, prng, 'throw'),
  'registrar-exit': (world, prng) => strikeRegistrar(world, prng, 'exit'),
  'registrar-hang': (world, prng) => strikeRegistrar(world, prng, 'hang'),
  'registrar-stall': (world, prng) => strikeRegistrar(world, prng, 'stall'),
  'store-kill': killWithStore,
  'store-full': fillDisk,
  'gateway-stop': (world, prng) => stopProcess(world.entry, prng),
  'gateway-pause': pauseLong,
  descriptors: exhaustDescriptors,
  'wireguard-kill': killWireGuard,
  'wireguard-stop': stopWireGuard,
  'exit-kill': killExit,
  'exit-stop': (world, prng) => stopProcess(world.exit, prng),
  'connections-cut': cutConnections,
  'tcp-delay': network('tcp-delay'),
  'tcp-cut': network('tcp-cut'),
  'tcp-split': network('tcp-split'),
  'tcp-merge': network('tcp-merge'),
  'tcp-duplicate': network('tcp-duplicate'),
  'tcp-reorder': network('tcp-reorder'),
  'tcp-half-close': network('tcp-half-close'),
  'clock-forward': (world, prng) => jumpHours(world, prng, 1),
  'clock-back': (world, prng) => jumpHours(world, prng, -1),
  'clock-days': jumpDays,
  'clock-leap': leap,
};
