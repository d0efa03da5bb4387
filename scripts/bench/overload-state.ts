/**
 * What a loaded gateway says of itself to the benches of overload, floods and soak: plain data that crosses processes.
 */
import { type Child, startChild } from './children.ts';
import type { CpuTimes } from './cpu.ts';

export interface GatewayState {
  readonly cpu: CpuTimes;
  /** Bytes. */
  readonly memory: {
    readonly rss: number;
    readonly heapUsed: number;
    readonly external: number;
    readonly arrayBuffers: number;
  };
  /** Seconds, since the request before. */
  readonly loopDelay: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly open: number;
  readonly accepted: number;
  readonly refused: number;
  readonly busy: number;
  readonly closed: Readonly<Record<string, number>>;
  readonly sources: number;
  readonly sessions: number;
  readonly indices: number;
  readonly queuedHandshakes: number;
  /** Of the shards, as of their last tick; zeros are left out. */
  readonly counters: Readonly<Record<string, number>>;
  readonly drops: Readonly<Record<string, number>>;
  readonly gauges: Readonly<Record<string, number>>;
}

export interface GatewayFacts {
  readonly port: number;
  readonly identity: Uint8Array;
  readonly crypto: string;
}

export interface LoadedGateway {
  readonly child: Child;
  readonly facts: GatewayFacts;
  state(): Promise<GatewayState>;
}

/** `set` as `--set` takes it. */
export async function startLoadedGateway(set: readonly string[], cpus?: string): Promise<LoadedGateway> {
  const { child, first } = await startChild<GatewayFacts>('overload-gateway', set, [], cpus);
  return { child, facts: first, state: () => child.ask<GatewayState>({}) };
}

/** Limits that one machine's load would meet although it stands for many clients. */
export const NO_SOURCE_LIMITS: readonly string[] = [
  'limits.handshakes_per_address=1000000',
  'limits.handshake_burst=1000000',
  'limits.records_per_address=1000000',
  'limits.records=1000000',
  'limits.sessions_per_address=1000000',
  'limits.connections_per_address=1000000',
];

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
