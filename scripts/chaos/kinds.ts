/**
 * The kinds of faults: what part of the run each strikes, what it needs, and which complaints of the gateway it excuses. All
 * else that a gateway logs as an error during a run is a violation.
 */

export type Part = 'shard' | 'registrar' | 'store' | 'process' | 'wireguard' | 'exit' | 'network' | 'clock';
export type Need = 'wireguard' | 'disk';

interface Kind {
  readonly part: Part;
  readonly needs?: Need;
  /** Messages of the log at level error. */
  readonly excuses: readonly RegExp[];
  /** It takes half a minute, so short runs are without it. */
  readonly isSlow?: true;
  /** What libraries write to standard error. */
  readonly says?: RegExp;
}

const SHARD_LOST = /^shard lost; a fresh one starts$/;
const REGISTRAR_LOST = /^registrar lost; a fresh one starts$/;
const PART_AWAY = /^registrations have to wait: the registrar cannot use a part of it$/;

const shard: Kind = { part: 'shard', excuses: [SHARD_LOST] };
const registrar: Kind = { part: 'registrar', excuses: [REGISTRAR_LOST] };
const network: Kind = { part: 'network', excuses: [] };

export const KINDS = {
  'shard-throw': shard,
  'shard-exit': shard,
  'shard-hang': shard,
  'shard-heap': shard,
  'shard-stall': { part: 'shard', excuses: [] },
  'registrar-throw': registrar,
  'registrar-exit': registrar,
  'registrar-hang': registrar,
  'registrar-stall': { part: 'registrar', excuses: [] },
  'store-kill': { part: 'store', excuses: [] },
  'store-full': {
    part: 'store',
    needs: 'disk',
    excuses: [PART_AWAY],
    says: /^Write error: No space left on device/,
  },
  'gateway-stop': { part: 'process', excuses: [] },
  'gateway-pause': { part: 'process', isSlow: true, excuses: [] },
  descriptors: { part: 'process', excuses: [PART_AWAY] },
  'wireguard-kill': { part: 'wireguard', needs: 'wireguard', excuses: [PART_AWAY] },
  'wireguard-stop': { part: 'wireguard', needs: 'wireguard', excuses: [PART_AWAY] },
  'exit-kill': { part: 'exit', excuses: [] },
  'exit-stop': { part: 'exit', excuses: [] },
  'connections-cut': network,
  'tcp-delay': network,
  'tcp-cut': network,
  'tcp-split': network,
  'tcp-merge': network,
  'tcp-duplicate': network,
  'tcp-reorder': network,
  'tcp-half-close': network,
  'clock-forward': { part: 'clock', excuses: [] },
  'clock-back': { part: 'clock', excuses: [] },
  'clock-days': { part: 'clock', excuses: [] },
  'clock-leap': { part: 'clock', excuses: [] },
} as const satisfies Readonly<Record<string, Kind>>;

export type FaultKind = keyof typeof KINDS;

export const FAULT_KINDS = Object.keys(KINDS) as readonly FaultKind[];

export function kindOf(fault: FaultKind): Kind {
  return KINDS[fault];
}

export function isFaultKind(name: string): name is FaultKind {
  return Object.hasOwn(KINDS, name);
}
