/**
 * What `lewes load` is asked for whatever protocol it speaks: the loop, the times, the bounds, and whose node it is. Throws
 * UsageError.
 */
import { availableParallelism } from 'node:os';
import { MAX_SOURCES, type Mix, type Place } from '../load/plan.ts';
import type { LoopPlan, OperationName } from '../load/result.ts';
import { formatSocketAddress, rangeOf } from '../ops/config/addresses.ts';
import { UsageError } from './exit.ts';

export interface LoadFlags {
  readonly identity?: string;
  readonly via?: string;
  readonly scenario: string;
  readonly mix?: string;
  readonly rate?: string;
  readonly arrivals: string;
  readonly clients?: string;
  readonly think: string;
  readonly ramp: string;
  readonly warmUp: string;
  readonly duration: string;
  readonly sources: string;
  readonly threads?: string;
  readonly size: string;
  readonly sessions?: string;
  readonly timeout: string;
  readonly maxInFlight: string;
  readonly maxErrorShare: string;
  readonly protocol: string;
  readonly keepConnections?: boolean;
  readonly tokenFile?: string;
  readonly issuer?: string;
  readonly accessKeyFile?: string;
  readonly announcement?: string;
  readonly lpKey?: string;
  readonly kemDigest?: string;
  readonly pipelined?: boolean;
  readonly html?: string;
  readonly iOwnThisNode?: boolean;
  readonly json?: boolean;
}

/** Fewer than the handshakes that a gateway admits at once from one address. */
const DEFAULT_CLIENTS = 16;
const DAY_S = 86_400;
/** A latency beyond it would not fit the histogram. */
const MAX_TIMEOUT_S = 300;

export interface LoadShape {
  readonly facts: {
    readonly loop: LoopPlan;
    readonly rampSeconds: number;
    readonly warmUpSeconds: number;
    readonly durationSeconds: number;
    readonly threads: number;
  };
  readonly timeoutMs: number;
  readonly maxInFlight: number;
  readonly maxErrorShare: number;
}

export function shapeOf(flags: LoadFlags): LoadShape {
  const threads = flags.threads === undefined ? Math.max(1, availableParallelism() - 1) : undefined;
  return {
    facts: {
      loop: loopOf(flags),
      rampSeconds: numberOf(flags.ramp, '--ramp', 0, DAY_S),
      warmUpSeconds: numberOf(flags.warmUp, '--warm-up', 0, DAY_S),
      durationSeconds: numberOf(flags.duration, '--duration', 1, DAY_S),
      threads: threads ?? integerOf(flags.threads ?? '', '--threads', 1, 256),
    },
    timeoutMs: numberOf(flags.timeout, '--timeout', 0.05, MAX_TIMEOUT_S) * 1_000,
    maxInFlight: integerOf(flags.maxInFlight, '--max-in-flight', 1, 1_000_000),
    maxErrorShare: numberOf(flags.maxErrorShare, '--max-error-share', 0, 1),
  };
}

export interface ChosenScenario<Name extends OperationName> {
  readonly scenario: Name | 'mixed';
  readonly mix: Mix;
}

/** `example`: of weights. `synonyms`: other words for operations. */
export function scenarioOf<Name extends OperationName>(
  { scenario: text, mix }: LoadFlags,
  operations: readonly Name[],
  example: string,
  synonyms: Readonly<Record<string, Name>> = {},
): ChosenScenario<Name> {
  const find = (word: string) => operations.find((known) => known === (synonyms[word] ?? word));
  const scenario = text === 'mixed' ? text : find(text);
  if (scenario === undefined) {
    const known = [...operations, 'mixed'].join(', ');
    throw new UsageError(`there is no scenario ${JSON.stringify(text)}`, `give one of ${known}`);
  }
  if (scenario !== 'mixed') {
    if (mix !== undefined) throw new UsageError('--mix is for --scenario mixed', 'leave one of them out');
    return { scenario, mix: { [scenario]: 1 } };
  }
  if (mix === undefined) throw new UsageError('the scenario mixed needs weights', `give --mix ${example}`);
  const weights: Partial<Record<OperationName, number>> = {};
  for (const part of mix.split(',')) {
    const [name = '', weight = ''] = part.split('=');
    const operation = find(name);
    if (operation === undefined) {
      throw new UsageError(
        `--mix has no operation ${JSON.stringify(name)}`,
        `write NAME=WEIGHT,… of ${operations.join(', ')}`,
      );
    }
    if (weights[operation] !== undefined) throw new UsageError(`--mix has ${name} twice`, 'give each operation once');
    weights[operation] = numberOf(weight, `--mix ${name}`, 0, 1e6);
  }
  if (Object.values(weights).some((weight) => weight > 0)) return { scenario, mix: weights };
  throw new UsageError('--mix has no weight above 0', `give --mix ${example}`);
}

/** Before anything is sent. A port may come later, with an announcement. */
export function checkOwner(
  targets: readonly { readonly host: string; readonly port: number | undefined }[],
  what: 'gateway' | 'node',
  { iOwnThisNode }: LoadFlags,
): void {
  const foreign = targets.find(({ host }) => rangeOf(host) !== 'loopback');
  if (foreign === undefined || iOwnThisNode === true) return;
  const { host, port } = foreign;
  const address = port === undefined ? host : formatSocketAddress({ host, port });
  throw new UsageError(
    `${address} is not on this machine, and a load test of somebody else's ${what} is an attack`,
    'if the node is your own, say so with --i-own-this-node',
  );
}

/** `dialled`: all that connections go to. */
export function sourcesOf(flags: LoadFlags, dialled: readonly Pick<Place, 'host'>[]): number {
  const sources = integerOf(flags.sources, '--sources', 1, MAX_SOURCES);
  if (sources === 1 || dialled.every(({ host }) => host.startsWith('127.'))) return sources;
  throw new UsageError(
    '--sources is for targets on 127.0.0.0/8: only there has this machine so many addresses',
    'leave it out, and raise limits.handshakes_per_address of the gateway, or list this machine in its limits.listed',
  );
}

function loopOf({ rate, clients, think, arrivals }: LoadFlags): LoopPlan {
  if (rate === undefined) {
    const count = clients === undefined ? DEFAULT_CLIENTS : integerOf(clients, '--clients', 1, 100_000);
    return { kind: 'closed', clients: count, thinkMs: numberOf(think, '--think', 0, 3_600_000) };
  }
  if (clients !== undefined) {
    throw new UsageError('--rate is an open loop, --clients a closed one', 'leave one of them out');
  }
  if (arrivals !== 'poisson' && arrivals !== 'fixed') {
    throw new UsageError(`there are no arrivals ${JSON.stringify(arrivals)}`, 'give poisson or fixed');
  }
  return { kind: 'open', arrivals, rate: numberOf(rate, '--rate', 0.001, 1e6) };
}

function numberOf(text: string, option: string, min: number, max: number): number {
  const value = /^\d+(?:\.\d+)?(?:e\d)?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`${option} ${JSON.stringify(text)} is no number from ${min} to ${max}`, 'correct it');
}

export function integerOf(text: string, option: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`${option} ${JSON.stringify(text)} is no whole number from ${min} to ${max}`, 'correct it');
}
