/**
 * Load runs against gateways of a test: a plan with small numbers, and generator threads that are the test's own thread. The
 * real thread is used where a test is about it.
 */

import type { ExecutionContext } from 'ava';
import { OVERLOADED_GENERATOR } from '../../src/load/failure.ts';
import { LoadThread } from '../../src/load/load-thread.ts';
import { type LewesPlan, type LoadPlan, type LoadTarget, type Mix, OPERATIONS } from '../../src/load/plan.ts';
import type { LoadPlanFacts, LoadResult, OperationName, OperationResult } from '../../src/load/result.ts';
import { type LoadOptions, runLoad } from '../../src/load/run.ts';
import type { StartThread } from '../../src/load/thread-port.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { encodeBase58 } from '../../src/ops/base58.ts';
import { type Clock, systemClock } from '../../src/system/clock.ts';
import { systemRandom } from '../../src/system/random.ts';
import { startGateway, type TestGateway, until } from '../support/test-gateway.ts';

/** A gateway that admits what a load asks for. */
export const OPEN_GATES = ['limits.handshakes_per_address=100000', 'limits.handshake_burst=100000'];

export function targetOf({ target }: TestGateway): LoadTarget {
  return { host: target.host, port: target.port, identity: target.ed25519 };
}

export interface PlanChanges extends Partial<Omit<LewesPlan, 'facts' | 'mix'>> {
  readonly facts?: Partial<LoadPlanFacts>;
  readonly mix?: Mix;
}

/** By default 200 measured handshakes, after some of a warm-up, within 0.6 s. */
export function planOf(target: LoadTarget, { facts, mix = { handshake: 1 }, ...changes }: PlanChanges = {}): LewesPlan {
  const names = OPERATIONS.filter((name) => (mix[name] ?? 0) > 0);
  return {
    target,
    protocol: 2,
    keepConnections: false,
    mix,
    sessions: 8,
    timeoutMs: 20_000,
    maxInFlight: 1_000,
    ...changes,
    facts: {
      target: `${target.host}:${target.port}`,
      identity: encodeBase58(target.identity),
      protocol: String(changes.protocol ?? 2),
      scenario: names.length === 1 ? (names[0] as OperationName) : 'mixed',
      loop: { kind: 'open', arrivals: 'fixed', rate: 400 },
      rampSeconds: 0,
      warmUpSeconds: 0.1,
      durationSeconds: 0.5,
      sources: 1,
      threads: 1,
      payloadBytes: 100,
      ...facts,
    },
  };
}

const crypto = await loadProvider('auto');

/** Messages come in a later turn, as they do from a thread. */
export function inThreadBy(clock: Clock): StartThread {
  return ({ plan, share }, events) => {
    const thread = new LoadThread(plan, share, {
      crypto,
      random: systemRandom,
      clock,
      post: (message) => {
        setImmediate(() => events.message(structuredClone(message)));
      },
    });
    thread.prepare().catch((error: unknown) => events.ended(error instanceof Error ? error : new Error(String(error))));
    return {
      send: (message) => {
        setImmediate(() => thread.receive(structuredClone(message)));
      },
      terminate: () => Promise.resolve(),
    };
  };
}

const inThread = inThreadBy(systemClock);

export function run(plan: LoadPlan, options: Partial<LoadOptions> = {}): Promise<LoadResult> {
  return runLoad({ plan, signal: new AbortController().signal, startThread: inThread, ...options });
}

export function operation({ operations }: LoadResult, name: OperationName): OperationResult {
  const found = operations.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no ${name} in ${operations.map((each) => each.name).join()}`);
  return found;
}

/**
 * Codes of what failed at the gateway. On a machine that is busy with other things the generator may not begin all in time,
 * which is no fault of either.
 */
export function troubles({ errors }: OperationResult): readonly string[] {
  return errors.map(({ code }) => code).filter((code) => code !== OVERLOADED_GENERATOR);
}

/** How many were begun, and the rest. */
export function begun({ started, errors }: OperationResult): number {
  return started - errors.reduce((sum, { code, count }) => sum + (code === OVERLOADED_GENERATOR ? count : 0), 0);
}

/** Every session was closed, so that the gateway has none. */
export function noSessions({ gateway }: TestGateway): Promise<void> {
  return until(() => gateway.admission.sessions === 0, 'the gateway has no session');
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** For an entry that forwards to this exit. */
export function allowing({ target }: TestGateway): string {
  return `forward.allow=[{identity="${hex(target.ed25519)}", address="127.0.0.1", port=${target.port}}]`;
}

/** An entry and an exit that admit what a load asks for. */
export async function pair(t: ExecutionContext, set: readonly string[] = []) {
  const gates = [...OPEN_GATES, ...set];
  const exit = await startGateway(t, { entry: 'in-thread', set: gates, seed: new Uint8Array(32).fill(0x33) });
  const entry = await startGateway(t, { entry: 'in-thread', set: [allowing(exit), ...gates] });
  return { exit, entry };
}
