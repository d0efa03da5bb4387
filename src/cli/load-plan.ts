/** What the user asked `lewes load` for, checked as a whole before anything is sent. Throws UsageError. */
import { availableParallelism } from 'node:os';
import { type LoadPlan, type LoadTarget, MAX_SOURCES, type Mix, OPERATIONS } from '../load/plan.ts';
import type { LoadPlanFacts, LoopPlan, OperationName, Scenario } from '../load/result.ts';
import { REKEY_INTERVAL_MS } from '../load/scenarios/rekey.ts';
import { traitsOf } from '../lp/client-handshake.ts';
import type { CryptoProvider } from '../lp/crypto/provider.ts';
import { FRAME_HEADER_LENGTH, KIND, MAX_FRAME_BODY_LENGTH } from '../lp/wire/application-frame.ts';
import { encodeBase58, parseKey } from '../ops/base58.ts';
import { formatSocketAddress, parseSocketAddress, rangeOf } from '../ops/config/addresses.ts';
import { UsageError } from './exit.ts';
import { type ProtocolVersion, protocolOf } from './protocol-option.ts';

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
  readonly html?: string;
  readonly iOwnThisNode?: boolean;
  readonly json?: boolean;
}

export interface LoadTask {
  readonly plan: LoadPlan;
  readonly maxErrorShare: number;
}

const SCENARIOS: readonly Scenario[] = [...OPERATIONS, 'mixed'];
/** Fewer than the handshakes that a gateway admits at once from one address. */
const DEFAULT_CLIENTS = 16;
const DEFAULT_SESSIONS = 16;
/** Sessions that are to be free when a rekeying comes by chance. */
const REKEY_RESERVE = 1.3;
const DAY_S = 86_400;
/** A latency beyond it would not fit the histogram. */
const MAX_TIMEOUT_S = 300;

export function planLoad(address: string, flags: LoadFlags, crypto: CryptoProvider): LoadTask {
  const protocol = protocolOf(flags.protocol);
  const mix = mixOf(flags);
  const target = targetOf(address, flags.identity, 'load', crypto);
  const via = flags.via === undefined ? undefined : viaOf(flags.via, crypto);
  checkVia(mix, flags);
  checkVersion(mix, protocol, flags);
  checkTokens(mix, protocol, flags);
  checkOwner(via === undefined ? [target] : [target, via], flags.iOwnThisNode === true);
  const loop = loopOf(flags);
  const threads = flags.threads === undefined ? Math.max(1, availableParallelism() - 1) : undefined;
  const facts: LoadPlanFacts = {
    target: formatSocketAddress(target),
    identity: encodeBase58(target.identity),
    ...(via !== undefined && { via: `${formatSocketAddress(via)}/${encodeBase58(via.identity)}` }),
    protocol: String(protocol),
    scenario: scenarioOf(flags.scenario),
    loop,
    rampSeconds: numberOf(flags.ramp, '--ramp', 0, DAY_S),
    warmUpSeconds: numberOf(flags.warmUp, '--warm-up', 0, DAY_S),
    durationSeconds: numberOf(flags.duration, '--duration', 1, DAY_S),
    sources: sourcesOf(flags, mix, target, via),
    threads: threads ?? integerOf(flags.threads ?? '', '--threads', 1, 256),
    payloadBytes: integerOf(flags.size, '--size', 0, MAX_FRAME_BODY_LENGTH - FRAME_HEADER_LENGTH),
  };
  const plan: LoadPlan = {
    facts,
    target,
    ...(via !== undefined && { via }),
    protocol,
    keepConnections: flags.keepConnections === true,
    mix,
    sessions: sessionsOf(flags, mix, loop),
    timeoutMs: numberOf(flags.timeout, '--timeout', 0.05, MAX_TIMEOUT_S) * 1_000,
    maxInFlight: integerOf(flags.maxInFlight, '--max-in-flight', 1, 1_000_000),
  };
  return { plan, maxErrorShare: numberOf(flags.maxErrorShare, '--max-error-share', 0, 1) };
}

function scenarioOf(text: string): Scenario {
  const known = SCENARIOS.find((name) => name === text);
  if (known !== undefined) return known;
  throw new UsageError(`there is no scenario ${JSON.stringify(text)}`, `give one of ${SCENARIOS.join(', ')}`);
}

function mixOf({ scenario: text, mix }: LoadFlags): Mix {
  const scenario = scenarioOf(text);
  if (scenario !== 'mixed') {
    if (mix !== undefined) throw new UsageError('--mix is for --scenario mixed', 'leave one of them out');
    return { [scenario]: 1 };
  }
  if (mix === undefined) {
    throw new UsageError('the scenario mixed needs weights', 'give --mix handshake=5,echo=80,rekey=10,register=5');
  }
  const weights: Partial<Record<OperationName, number>> = {};
  for (const part of mix.split(',')) {
    const [name = '', weight = ''] = part.split('=');
    const operation = OPERATIONS.find((known) => known === name);
    if (operation === undefined) {
      throw new UsageError(
        `--mix has no operation ${JSON.stringify(name)}`,
        `write NAME=WEIGHT,… of ${OPERATIONS.join(', ')}`,
      );
    }
    if (weights[operation] !== undefined) throw new UsageError(`--mix has ${name} twice`, 'give each operation once');
    weights[operation] = numberOf(weight, `--mix ${name}`, 0, 1e6);
  }
  if (Object.values(weights).some((weight) => weight > 0)) return weights;
  throw new UsageError('--mix has no weight above 0', 'give --mix handshake=5,echo=80,rekey=10,register=5');
}

function has(mix: Mix, name: OperationName): boolean {
  return (mix[name] ?? 0) > 0;
}

function checkVia(mix: Mix, { via }: LoadFlags): void {
  if (has(mix, 'forward') && via === undefined) {
    throw new UsageError(
      'forward needs an entry',
      'name it with --via ADDR:PORT/KEY; the address of the command is the exit',
    );
  }
  if (!has(mix, 'forward') && via !== undefined) {
    throw new UsageError('--via is for forward', 'give --scenario forward, or leave --via out');
  }
}

function checkVersion(mix: Mix, protocol: ProtocolVersion, { keepConnections }: LoadFlags): void {
  const traits = traitsOf(protocol);
  if (has(mix, 'echo') && !traits.requestKinds.includes(KIND.opaque)) {
    throw new UsageError(`LP${protocol} has no echo`, 'leave echo out, or use --protocol 2');
  }
  if (keepConnections === true && !traits.onePacketPerConnection) {
    throw new UsageError(`--keep-connections is for LP1; LP${protocol} always does`, 'leave it out');
  }
}

/** In LP1 a token has no place: none would be spent. */
function checkTokens(mix: Mix, protocol: ProtocolVersion, { tokenFile, issuer, accessKeyFile }: LoadFlags): void {
  const given = { '--token-file': tokenFile, '--issuer': issuer, '--access-key-file': accessKeyFile };
  for (const [option, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (!has(mix, 'register'))
      throw new UsageError(`${option} is for register`, 'give --scenario register, or leave it out');
    if (!traitsOf(protocol).managesRegistrations) {
      throw new UsageError(
        `${option} does not go with --protocol ${protocol}, which cannot carry tokens`,
        'leave it out',
      );
    }
  }
}

function checkOwner(targets: readonly LoadTarget[], owned: boolean): void {
  const foreign = targets.find(({ host }) => rangeOf(host) !== 'loopback');
  if (foreign === undefined || owned) return;
  throw new UsageError(
    `${formatSocketAddress(foreign)} is not on this machine, and a load test of somebody else's gateway is an attack`,
    'if the node is your own, say so with --i-own-this-node',
  );
}

function sourcesOf(flags: LoadFlags, mix: Mix, target: LoadTarget, via: LoadTarget | undefined): number {
  const sources = integerOf(flags.sources, '--sources', 1, MAX_SOURCES);
  const forwardsOnly = Object.keys(mix).length === 1 && has(mix, 'forward');
  const dialled = [...(forwardsOnly ? [] : [target]), ...(via === undefined ? [] : [via])];
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

/** A session can be rekeyed once in REKEY_INTERVAL_MS: fewer than that many would be a load of refusals. */
function sessionsOf({ sessions: text }: LoadFlags, mix: Mix, loop: LoopPlan): number {
  const given = text === undefined ? undefined : integerOf(text, '--sessions', 1, 1_000_000);
  if (loop.kind === 'closed') {
    if (given === undefined) return loop.clients;
    throw new UsageError('--sessions is for the open loop', 'leave it out: in a closed loop each client has one');
  }
  const total = Object.values(mix).reduce((sum, weight) => sum + weight, 0);
  const rekeys = (loop.rate * (mix.rekey ?? 0) * REKEY_INTERVAL_MS) / 1_000 / total;
  if (given === undefined) return Math.max(DEFAULT_SESSIONS, Math.ceil(rekeys * REKEY_RESERVE));
  if (given >= rekeys) return given;
  throw new UsageError(
    `--sessions ${given} are too few: a session is rekeyed once in ${REKEY_INTERVAL_MS / 1_000} s at most`,
    `give at least ${Math.ceil(rekeys)}, or a lower rate`,
  );
}

function viaOf(text: string, crypto: CryptoProvider): LoadTarget {
  const cut = text.lastIndexOf('/');
  if (cut === -1) {
    throw new UsageError(
      `--via ${JSON.stringify(text)} has no key`,
      'give the entry as ADDR:PORT/KEY, IPv6 as [::1]:41264/KEY',
    );
  }
  return targetOf(text.slice(0, cut), text.slice(cut + 1), '--via', crypto);
}

/** By its IP address: looking up a name for every connection would be measured, too. */
function targetOf(address: string, key: string | undefined, what: string, crypto: CryptoProvider): LoadTarget {
  const parsed = parseSocketAddress(address);
  if (!parsed.ok) throw new UsageError(`the address ${JSON.stringify(address)} ${parsed.error}`, parsed.remedy ?? '');
  if (parsed.value.port === 0)
    throw new UsageError(`the address ${JSON.stringify(address)} has no port`, 'give the port');
  if (key === undefined) {
    throw new UsageError(
      `${what} needs the identity of the gateway`,
      'give it with --identity; on its machine "lewes status" shows it',
    );
  }
  const identity = parseKey(key);
  const option = what === '--via' ? '--via' : '--identity';
  const remedy = 'give 32 bytes in base58 (as gateways show their identity) or in 64 hex digits';
  if (!identity.ok) throw new UsageError(`the key of ${option} ${identity.reason}`, remedy);
  if (crypto.x25519PublicOfEd25519(identity.key) === undefined) {
    throw new UsageError(
      `the key of ${option} is no Ed25519 key`,
      'is a digit wrong? compare it with what the gateway shows',
    );
  }
  return { ...parsed.value, identity: identity.key };
}

function numberOf(text: string, option: string, min: number, max: number): number {
  const value = /^\d+(?:\.\d+)?(?:e\d)?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`${option} ${JSON.stringify(text)} is no number from ${min} to ${max}`, 'correct it');
}

function integerOf(text: string, option: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`${option} ${JSON.stringify(text)} is no whole number from ${min} to ${max}`, 'correct it');
}
