/**
 * What a load run is to do, complete and checked by the command line, and the part of it that one thread has. Plain data:
 * it crosses threads. Invariant: the shares of all threads together are the plan.
 */
import type { NymNodeData } from '../client/index.ts';
import type { ProtocolVersion } from '../lp/client-handshake.ts';
import type { LoadPlanFacts, OperationName } from './result.ts';

/** What is dialled. */
export interface Place {
  /** An IP address without brackets. */
  readonly host: string;
  readonly port: number;
}

export interface LoadTarget extends Place {
  /** Its Ed25519 key. */
  readonly identity: Uint8Array;
}

/** How often each operation is chosen, relative to the others; at least one is above zero. */
export type Mix = Readonly<Partial<Record<OperationName, number>>>;

/** Whatever protocol is spoken. */
interface CommonPlan {
  readonly facts: LoadPlanFacts;
  readonly mix: Mix;
  readonly timeoutMs: number;
  /** Operations under way at most. */
  readonly maxInFlight: number;
}

export interface LewesPlan extends CommonPlan {
  readonly protocol: ProtocolVersion;
  readonly target: LoadTarget;
  /** The entry that forwards go through; the target is then the exit. */
  readonly via?: LoadTarget;
  /** LP1 only: several packets on a connection. */
  readonly keepConnections: boolean;
  /** Kept sessions of an open loop, in each of the pools that the mix needs. In a closed loop each client has its own. */
  readonly sessions: number;
}

/** Nodes of the Nym network; nothing is kept there, and nothing is paid. */
export interface NymPlan extends CommonPlan {
  readonly protocol: 'nym';
  /** Its address is an IP address. */
  readonly node: NymNodeData;
  readonly pipelined: boolean;
}

export type LoadPlan = LewesPlan | NymPlan;

/** What one of `of` threads does. */
export interface ThreadShare {
  readonly thread: number;
  readonly of: number;
}

export const LEWES_OPERATIONS = ['handshake', 'echo', 'register', 'rekey', 'forward'] as const;
export const NYM_OPERATIONS = ['handshake', 'initial'] as const;
/** In the order of reports. */
export const OPERATIONS: readonly OperationName[] = [...LEWES_OPERATIONS, 'initial'];

/** This thread's part of a number of things that cannot be cut. */
export function shareOf(total: number, { thread, of }: ThreadShare): number {
  return Math.floor(total / of) + (thread < total % of ? 1 : 0);
}

/** A thread without a client or a session has nothing to do. */
export function usefulThreads(plan: LoadPlan): number {
  const { loop, threads } = plan.facts;
  if (loop.kind === 'closed') return Math.min(threads, loop.clients);
  const keepsSessions = plan.protocol !== 'nym' && (plan.mix.echo || plan.mix.rekey || plan.mix.forward);
  return keepsSessions ? Math.min(threads, plan.sessions) : threads;
}

export interface Spans {
  readonly rampMs: number;
  /** Where the measured time begins. */
  readonly measuredFromMs: number;
  readonly endMs: number;
}

export function spansOf({ rampSeconds, warmUpSeconds, durationSeconds }: LoadPlanFacts): Spans {
  const rampMs = rampSeconds * 1_000;
  const measuredFromMs = rampMs + warmUpSeconds * 1_000;
  return { rampMs, measuredFromMs, endMs: measuredFromMs + durationSeconds * 1_000 };
}

/** The phase in which a second of the run begins. */
export function phaseOf(second: number, spans: Spans): 'ramp' | 'warm-up' | 'measured' {
  const atMs = second * 1_000;
  if (atMs < spans.rampMs) return 'ramp';
  return atMs < spans.measuredFromMs ? 'warm-up' : 'measured';
}

/**
 * The source address of the nth connection: of 127.1.0.0 and on, so that every one is another address to a gateway's
 * limits. Undefined where the system is to choose. Threads take turns, so that each has addresses of its own.
 */
export function sourceAddress(n: number, sources: number, { thread, of }: ThreadShare): string | undefined {
  if (sources <= 1) return undefined;
  const index = (n * of + thread) % sources;
  // 250 per block, without .0 and what could be taken for a broadcast.
  const block = Math.floor(index / 250);
  return `127.${1 + (block >> 8)}.${block & 255}.${1 + (index % 250)}`;
}

/** 250 addresses in each block of 127.1.0.0 to 127.254.255.0. */
export const MAX_SOURCES = 100_000;
