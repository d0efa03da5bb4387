/**
 * The door of this folder for authors of clients: registration with deployed Nym nodes, in one call. Options are checked
 * before anything is sent; every failure is a LewesError with a code.
 */
import ipaddr from 'ipaddr.js';
import { loadProvider } from '../../lp/crypto/load.ts';
import { nymCrypto } from '../../lp/crypto/nym-load.ts';
import type { CryptoProvider, RandomSource } from '../../lp/crypto/provider.ts';
import { type Clock, systemClock } from '../../system/clock.ts';
import { systemRandom } from '../../system/random.ts';
import { systemTimers, type Timers } from '../../system/timers.ts';
import { type Hop, invalidOption } from '../errors.ts';
import type { NymCredentialSource } from './credential-source.ts';
import { HopRegistration } from './hop-registration.ts';
import { MemoryNymKemKeyCache, type NymKemKeyCache } from './kem-key-cache.ts';
import { forwardTargetOf, type NymNodeData } from './node-data.ts';
import { type NymExtent, Register } from './register.ts';
import { DEFAULT_NYM_TIMEOUTS, NymRun, type NymStepEvent, type NymTimeouts } from './run.ts';

const KEY_LENGTH = 32;
const DEFAULT_FINALISE_REPEATS = 3;
const MAX_ATTEMPTS = 100;
/** What timers can hold. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export interface NymHopOptions {
  /** From `nymNodeFromAnnouncement` or `nymNodeByHand`. */
  readonly node: NymNodeData;
  /** The client's WireGuard key at this node; the same again asks for what is registered under it. */
  readonly wgPublicKey: Uint8Array;
  /** 32 bytes; default: fresh random ones. Give it where a registration has to survive a restart of the client. */
  readonly presharedKey?: Uint8Array;
}

export interface NymRegisterOptions {
  /** The node, or the entry where there is an exit. */
  readonly entry: NymHopOptions;
  /** Reached through the entry. */
  readonly exit?: NymHopOptions;
  /** Asked when a node wants a credential, once per node. Default: none, and then only nodes that know the client already register it. */
  readonly credentials?: NymCredentialSource;
  /**
   * Sends what need not wait for an answer at once: with known KEM keys the handshake's messages, and the entry's Initial
   * together with the exit's handshake. A node that does not take it is met again on a fresh connection in the reference's
   * order, which is the default.
   */
  readonly pipelining?: boolean;
  /** Keys learnt from nodes, for pipelining. Default: one that all calls of this process share. */
  readonly kemKeyCache?: NymKemKeyCache;
  /** Tries other times where a node refuses this machine's: up to some minutes to either side. Default true. */
  readonly searchClock?: boolean;
  /** Further attempts after one that failed with nothing paid. Default 0, as the reference's. */
  readonly retries?: number;
  /** Attempts to learn what became of a credential whose answer was lost. Default 3. */
  readonly finaliseRepeats?: number;
  readonly timeouts?: Partial<NymTimeouts>;
  readonly signal?: AbortSignal;
  /** As each is complete, the exit's first as a rule: what was paid is known also when the other one fails. Must not throw. */
  readonly onRegistered?: (registration: NymRegistration) => void;
  /** Called when a step is done. Must not throw. */
  readonly onStep?: (event: NymStepEvent) => void;
  /** Source address of the TCP connection. */
  readonly localAddress?: string;
  /** Default: the native provider where it loads, else the portable one. */
  readonly crypto?: CryptoProvider;
  /** For tests. */
  readonly clock?: Clock;
  readonly timers?: Timers;
  readonly random?: RandomSource;
}

export interface NymRegistration {
  readonly hop: Hop;
  /** The client's addresses in the tunnel. */
  readonly ipv4: string;
  readonly ipv6: string;
  /** `ip:port` of the node's WireGuard. */
  readonly endpoint: string;
  readonly gatewayKey: Uint8Array;
  /** Secret; of the tunnel, as it was sent. */
  readonly presharedKey: Uint8Array;
  /** A credential was spent for it now. */
  readonly paid: boolean;
  /**
   * The answer to the payment was lost, and a repeated Initial brought this one. Nodes up to release 2026.10 drop the peer at
   * that: where no handshake comes about in the tunnel, register with a fresh WireGuard key.
   */
  readonly confirmedByInitial: boolean;
  readonly upgradeMode: boolean;
  /** What had to be added to this machine's time for the node to take it, to 30 s. */
  readonly clockSkewS: number;
}

export interface NymRegistrations {
  readonly entry: NymRegistration;
  readonly exit: NymRegistration | undefined;
}

/** What a trial found at a hop. */
export interface NymTrialResult {
  readonly hop: Hop;
  readonly registration: NymRegistration | undefined;
  /** The node would have registered for a credential. */
  readonly wantsCredential: boolean;
  readonly clockSkewS: number;
}

const SHARED_CACHE = new MemoryNymKemKeyCache();

/** Rejects with LewesError. */
export async function registerNym(options: NymRegisterOptions): Promise<NymRegistrations> {
  const found = new Map<Hop, NymRegistration>();
  await walk(options, 'finalise', found);
  const entry = found.get(options.exit === undefined ? 'direct' : 'entry');
  if (entry === undefined) throw new Error('assertion: what is done is registered');
  return { entry, exit: found.get('exit') };
}

/**
 * Goes as far as `extent`: for probes, which want to know what works and spend nothing. Rejects with LewesError.
 * `onResult`: of every hop, also when a later step fails.
 */
export async function tryNym(
  options: NymRegisterOptions & { readonly onResult?: (result: NymTrialResult) => void },
  extent: NymExtent,
): Promise<void> {
  const found = new Map<Hop, NymRegistration>();
  await walk(options, extent, found, (each) => {
    const { hop } = each.options;
    const { wantsCredential, skewS: clockSkewS } = each;
    options.onResult?.({ hop, registration: found.get(hop), wantsCredential, clockSkewS });
  });
}

async function walk(
  options: NymRegisterOptions,
  extent: NymExtent,
  found: Map<Hop, NymRegistration>,
  inspect?: (registration: HopRegistration) => void,
): Promise<void> {
  checkOptions(options);
  const crypto = nymCrypto(options.crypto ?? (await loadProvider('auto')));
  using run = new NymRun({
    crypto,
    random: options.random ?? systemRandom,
    clock: options.clock ?? systemClock,
    timers: options.timers ?? systemTimers,
    timeouts: { ...DEFAULT_NYM_TIMEOUTS, ...options.timeouts },
    localAddress: options.localAddress,
    kemKeyCache: options.kemKeyCache ?? SHARED_CACHE,
    signal: options.signal,
    onStep: options.onStep,
  });
  const exit = options.exit && registrationAt(run, 'exit', options.exit, options);
  const entry = registrationAt(run, exit === undefined ? 'direct' : 'entry', options.entry, options);
  try {
    const register = new Register(run, {
      entry,
      exit,
      extent,
      pipelining: options.pipelining ?? false,
      retries: options.retries ?? 0,
      finaliseRepeats: options.finaliseRepeats ?? DEFAULT_FINALISE_REPEATS,
      onRegistered: (registration, ip) => {
        const told = registrationOf(registration, ip);
        found.set(told.hop, told);
        options.onRegistered?.(told);
      },
    });
    await register.run();
  } finally {
    for (const each of exit === undefined ? [entry] : [exit, entry]) {
      inspect?.(each);
      each.settle();
    }
  }
}

function registrationAt(run: NymRun, hop: Hop, at: NymHopOptions, options: NymRegisterOptions): HopRegistration {
  const presharedKey = at.presharedKey?.slice() ?? new Uint8Array(KEY_LENGTH);
  if (at.presharedKey === undefined) run.random.fill(presharedKey);
  const { node, wgPublicKey } = at;
  const { credentials, searchClock = true } = options;
  return new HopRegistration(run, { hop, node, wgPublicKey, presharedKey, credentials, searchClock });
}

function registrationOf(from: HopRegistration, ip: Uint8Array): NymRegistration {
  const { tunnel, paid, confirmedByInitial, skewS } = from;
  if (tunnel === undefined) throw new Error('assertion: it is complete');
  const host = addressText(ip);
  return {
    hop: from.options.hop,
    ipv4: addressText(tunnel.ipv4),
    ipv6: addressText(tunnel.ipv6),
    endpoint: `${ip.length === 16 ? `[${host}]` : host}:${tunnel.port}`,
    gatewayKey: tunnel.wgPublicKey,
    presharedKey: from.options.presharedKey.slice(),
    paid,
    confirmedByInitial,
    upgradeMode: tunnel.upgradeMode,
    clockSkewS: skewS,
  };
}

function addressText(ip: Uint8Array): string {
  return ip.length === 0 ? '' : ipaddr.fromByteArray([...ip]).toString();
}

/** Throws `invalid_option`. */
function checkOptions({ entry, exit, retries, finaliseRepeats, timeouts = {} }: NymRegisterOptions): void {
  checkHop(entry, exit === undefined ? 'direct' : 'entry');
  if (exit !== undefined) {
    checkHop(exit, 'exit');
    forwardTargetOf(exit.node);
  }
  checkNumber('retries', retries, 0, MAX_ATTEMPTS);
  checkNumber('finaliseRepeats', finaliseRepeats, 0, MAX_ATTEMPTS);
  for (const [name, ms] of Object.entries(timeouts)) checkNumber(`timeouts.${name}`, ms, 1, MAX_TIMEOUT_MS);
}

function checkHop({ wgPublicKey, presharedKey }: NymHopOptions, hop: Hop): void {
  if (wgPublicKey.length !== KEY_LENGTH) throw invalidOption('wgPublicKey has to be 32 bytes', hop);
  if (presharedKey !== undefined && presharedKey.length !== KEY_LENGTH) {
    throw invalidOption('presharedKey has to be 32 bytes', hop);
  }
}

function checkNumber(name: string, value: number | undefined, min: number, max: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return;
  throw invalidOption(`${name} has to be a whole number from ${min} to ${max}`);
}
