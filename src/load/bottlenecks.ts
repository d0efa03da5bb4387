/** Why the figures of a run may be the generator's rather than the target's, in words. Pure; the bounds say why. */
import { OVERLOADED_GENERATOR, OWN_SYSTEM_CODES } from './failure.ts';
import type { ErrorCount } from './result.ts';

export interface GeneratorFacts {
  readonly threads: number;
  readonly machineCores: number;
  /** Of the busiest thread. */
  readonly busyShare: number;
  readonly cpuShare: number;
  readonly loopDelayP99Ms: number;
  /** Of an open loop. */
  readonly sendDelayMs?: { readonly p50: number; readonly p99: number };
  /** Of the operation that was completed most often. */
  readonly latencyMs?: { readonly p50: number; readonly p99: number };
  readonly errors: readonly ErrorCount[];
  readonly sessions: { readonly open: number; readonly wanted: number };
  readonly waitedForSessions: number;
  readonly waitedForTokens: number;
}

/** Above it, what is measured is how long the generator's own queue is. */
const MAX_BUSY = 0.9;
/** A thread that is busy but gets less of a core than this share of the time has to wait for one. */
const MIN_CPU_OF_BUSY = 0.75;
const BUSY_ENOUGH = 0.5;
/** Of the ways in which a handshake is slow, none that is the target's has to do with when it was sent. */
const MAX_SEND_DELAY_MS = 5;
/** Part of a latency that is the generator's own lateness, beyond which the latency says little. */
const MAX_OWN_PART = 0.3;

export function bottlenecksOf(facts: GeneratorFacts): string[] {
  return [
    ...busyThreads(facts),
    ...lateSends(facts),
    ...notBegun(facts),
    ...ownSystem(facts),
    ...missingSessions(facts),
    ...tokens(facts),
  ];
}

function busyThreads({ busyShare, cpuShare, threads, machineCores }: GeneratorFacts): string[] {
  if (busyShare >= BUSY_ENOUGH && cpuShare < MIN_CPU_OF_BUSY * busyShare) {
    return [
      `a thread of the generator was busy ${percent(busyShare)} of the time but had only ${percent(cpuShare)} of a core: other programs, perhaps the target, share its cores`,
    ];
  }
  if (busyShare <= MAX_BUSY) return [];
  const remedy =
    threads < machineCores
      ? 'give more --threads'
      : 'use a machine with more cores, or several machines (each reports its own part)';
  return [`a thread of the generator was busy ${percent(busyShare)} of the time: ${remedy}`];
}

function lateSends({ sendDelayMs, latencyMs, loopDelayP99Ms }: GeneratorFacts): string[] {
  if (sendDelayMs === undefined || latencyMs === undefined) return [];
  const { p50, p99 } = sendDelayMs;
  if (p99 > MAX_SEND_DELAY_MS && p99 > MAX_OWN_PART * latencyMs.p99) {
    return [
      `one operation in a hundred was sent ${ms(p99)} or more after its time, which counts as latency (delay of the generator's event loops, p99: ${ms(loopDelayP99Ms)})`,
    ];
  }
  if (p50 <= MAX_OWN_PART * latencyMs.p50) return [];
  return [
    `half of the operations were sent ${ms(p50)} or more after their time, and the median latency is ${ms(latencyMs.p50)}`,
  ];
}

function notBegun({ errors }: GeneratorFacts): string[] {
  const count = countOf(errors, OVERLOADED_GENERATOR);
  if (count === 0) return [];
  return [`${count} operations were not begun, because too many were under way or the generator had no time for them`];
}

function ownSystem({ errors }: GeneratorFacts): string[] {
  return OWN_SYSTEM_CODES.flatMap((code) => {
    const count = countOf(errors, code);
    return count === 0
      ? []
      : [`${count} operations failed for this machine's lack of ${LACK[code] ?? 'resources'} (${code})`];
  });
}

const LACK: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: 'free ports: give more --sources, or a lower rate',
  EADDRINUSE: 'free ports: give more --sources, or a lower rate',
  EMFILE: 'file descriptors: raise "ulimit -n"',
  ENFILE: 'file descriptors of the whole system',
  ENOBUFS: 'memory for sockets',
  ENOMEM: 'memory',
};

function missingSessions({ sessions, waitedForSessions }: GeneratorFacts): string[] {
  const { open, wanted } = sessions;
  const told: string[] = [];
  // Without any there was no run to judge.
  if (open < wanted && open > 0) {
    told.push(
      `only ${open} of ${wanted} sessions were open at the start; the errors of handshake say why (BUSY: the limit per source address, give more --sources)`,
    );
  }
  if (waitedForSessions > 0) {
    told.push(
      `${waitedForSessions} operations waited for a session of their own, which counts as latency: give more --sessions`,
    );
  }
  return told;
}

function tokens({ waitedForTokens }: GeneratorFacts): string[] {
  if (waitedForTokens === 0) return [];
  return [
    `${waitedForTokens} registrations waited for a token, which counts as latency: fetch tokens ahead (--token-file)`,
  ];
}

function countOf(errors: readonly ErrorCount[], code: string): number {
  return errors.reduce((sum, error) => sum + (error.code === code ? error.count : 0), 0);
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(2) : Math.round(value)} ms`;
}
