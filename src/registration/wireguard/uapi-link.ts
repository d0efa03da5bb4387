/**
 * The way to one WireGuard interface: one operation at a time, retried within bounds; its key and port, set whenever its
 * process is a new one; and the watch that notices it. An `epoch` is one life of that process as far as can be told: work
 * that began in an earlier one ends with WIREGUARD_UNAVAILABLE instead of half-filling the next.
 */
import type { Clock } from '../../system/clock.ts';
import type { CancelTimer, Timers } from '../../system/timers.ts';
import { SerialQueue } from '../serial-queue.ts';
import type { WireGuardError } from './backend.ts';
import { type DumpedPeer, type DumpSink, MAX_DUMP_BYTES } from './uapi-answer.ts';
import { clamp, DeviceReader, type DeviceState } from './uapi-device.ts';
import {
  brokenError,
  closedError,
  isTransient,
  lostKeyError,
  refusedError,
  restartedError,
  unreachableError,
} from './uapi-errors.ts';
import {
  type DeviceChange,
  type Dialect,
  encodeDeviceSet,
  encodePeersSet,
  GET_REQUEST,
  type PeerChange,
} from './uapi-protocol.ts';
import { type OperationOutcome, operate, type Watch, watchProcess } from './uapi-socket.ts';

export type InterfaceState =
  /** Nothing has been asked of it yet. */
  | { readonly kind: 'unknown' }
  /** It has our key and port. */
  | { readonly kind: 'ready'; readonly dialect: Dialect }
  | { readonly kind: 'unavailable'; readonly error: WireGuardError }
  | { readonly kind: 'closed' };

/** Something that the operator should see. No error holds a secret. */
export type UapiEvent =
  /** An operation failed and is tried again. */
  | { readonly kind: 'retried'; readonly attempt: number; readonly error: WireGuardError }
  /** The interface had another private key; now it has ours. */
  | { readonly kind: 'keyReplaced' }
  /** The interface was lost and has been set up anew. */
  | { readonly kind: 'reset' };

export interface LinkOptions {
  readonly socketPath: string;
  /** 32 bytes; the link's own to wipe. */
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly listenPort: number;
  readonly dialect: Dialect | undefined;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly onState: (state: InterfaceState) => void;
  readonly report: (event: UapiEvent) => void;
}

/** What one job may count on: see {@link UapiLink.ready}. */
export interface Epoch {
  readonly number: number;
}

/** A `set` of 256 peers takes 30 ms and a dump of 10,000 some 90; ten times and more of that on a machine that is busy. */
const SET_TIMEOUT_MS = 3_000;
const GET_TIMEOUT_MS = 10_000;
/** For an answer that broke off, or an error that may pass. Together half a second: the registrar waits meanwhile. */
const RETRY_AFTER_MS: readonly number[] = [100, 400];
/** After a loss: a service manager is back in tenths of a second, and peers should be within 5 s; later once a second. */
const POLL_AFTER_MS: readonly number[] = [100, 200, 400, 800];
const POLL_EVERY_MS = 1_000;

export class UapiLink {
  readonly #options: LinkOptions;
  readonly #lane = new SerialQueue(Number.POSITIVE_INFINITY);
  readonly #abort = new AbortController();
  readonly #resetListeners = new Set<() => void>();
  #state: InterfaceState = { kind: 'unknown' };
  #dialect: Dialect;
  #epoch: Epoch = { number: 0 };
  #watch: Watch | undefined;
  #configuring: Promise<void> | undefined;
  #cancelPoll: CancelTimer | undefined;
  #polls = 0;
  #lostAtMs = 0;
  /** A port that could not be bound is shown by the interface all the same. */
  #portInDoubt = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#dialect = options.dialect ?? 'wireguard-go';
    clamp(options.privateKey);
  }

  get dialect(): Dialect {
    return this.#dialect;
  }

  get state(): InterfaceState {
    return this.#state;
  }

  get publicKey(): Uint8Array {
    return this.#options.publicKey;
  }

  /** Called after the interface was lost and set up anew: its peers are gone. While somebody listens, its return is polled for. */
  onReset(listener: () => void): void {
    this.#resetListeners.add(listener);
    if (this.#state.kind === 'unavailable') this.#pollLater();
  }

  /** The epoch for a job; sets the interface up if that is due. Rejects with WIREGUARD_UNAVAILABLE at once where it is known to be. */
  async ready(): Promise<Epoch> {
    if (this.#state.kind === 'unavailable' && !this.#mayTryNow()) throw this.#state.error;
    if (this.#state.kind !== 'ready') await this.configure();
    return this.#epoch;
  }

  /** Sets key and port where they differ. A call during another joins it. */
  configure(): Promise<void> {
    if (this.#state.kind === 'closed') return Promise.reject(closedError());
    this.#configuring ??= this.#lane
      .runUnbounded(() => this.#configureNow())
      .finally(() => {
        this.#configuring = undefined;
        if (this.#state.kind === 'unavailable') this.#pollLater();
      });
    return this.#configuring;
  }

  async check(): Promise<DeviceState> {
    const device = new DeviceReader(this.#options);
    const outcome = await this.#lane.runUnbounded(() => this.#operate(GET_REQUEST, GET_TIMEOUT_MS, device));
    const error = this.#errorOf(outcome);
    if (error?.code === 'WIREGUARD_CLOSED') throw error;
    if (error !== undefined) return { kind: 'unreachable', error };
    const { key, listenPort, peers } = device;
    return { kind: 'present', key, listenPort, peers, dialect: device.isBoringtun ? 'boringtun' : this.#dialect };
  }

  /** Reads all peers. `begin` is called for every attempt; only what the last one was told counts. */
  get(epoch: Epoch, begin: () => (peer: DumpedPeer) => void): Promise<void> {
    return this.#lane.runUnbounded(async () => {
      let device = new DeviceReader(this.#options);
      const refused = await this.#retry(epoch, () => {
        device = new DeviceReader(this.#options, begin());
        return this.#operate(GET_REQUEST, GET_TIMEOUT_MS, device);
      });
      if (refused !== undefined) throw refused;
      if (device.key === 'ours' && device.listenPort === this.#options.listenPort) return;
      throw this.#lose(lostKeyError(this.#options.socketPath));
    });
  }

  /** Gives why the interface refused, if it did: then some of the changes may stand. Rejects when it cannot be reached. */
  set(epoch: Epoch, changes: readonly PeerChange[]): Promise<WireGuardError | undefined> {
    return this.#lane.runUnbounded(() =>
      this.#retry(epoch, () => this.#operateSecret(encodePeersSet(changes, this.#dialect))),
    );
  }

  async close(): Promise<void> {
    if (this.#state.kind !== 'closed') {
      this.#endEpoch();
      this.#cancelPoll?.();
      this.#enter({ kind: 'closed' });
      this.#abort.abort();
    }
    await this.#lane.idle();
    this.#options.privateKey.fill(0);
  }

  async #configureNow(): Promise<void> {
    const was = this.#state.kind;
    const before = await this.#readDevice();
    const change = this.#changeFor(before);
    if (change === undefined && was === 'ready') return;
    if (change !== undefined) await this.#setDevice(change);
    // Looked at again: a fresh boringtun, for one, tells who it is only when it has a key.
    const device = change === undefined ? before : await this.#readDevice();
    if (this.#changeFor(device) !== undefined) throw this.#lose(lostKeyError(this.#options.socketPath));
    if (before.key === 'other') this.#options.report({ kind: 'keyReplaced' });
    if (device.isBoringtun) this.#dialect = this.#options.dialect ?? 'boringtun';
    this.#beginEpoch();
    this.#enter({ kind: 'ready', dialect: this.#dialect });
    if (was === 'unknown') return;
    this.#options.report({ kind: 'reset' });
    for (const listener of this.#resetListeners) listener();
  }

  async #readDevice(): Promise<DeviceReader> {
    const device = new DeviceReader(this.#options);
    const error = this.#errorOf(await this.#operate(GET_REQUEST, GET_TIMEOUT_MS, device));
    if (error !== undefined) throw this.#lose(error);
    this.#assertOpen();
    return device;
  }

  async #setDevice(change: DeviceChange): Promise<void> {
    if (change.listenPort !== undefined) this.#portInDoubt = true;
    const error = this.#errorOf(await this.#operateSecret(encodeDeviceSet(change)));
    if (error !== undefined) throw this.#lose(error);
    this.#assertOpen();
    this.#portInDoubt = false;
  }

  #changeFor(device: DeviceReader): DeviceChange | undefined {
    const { privateKey, listenPort } = this.#options;
    const otherPort = device.listenPort !== listenPort || this.#portInDoubt;
    if (device.key === 'ours' && !otherPort) return undefined;
    return { ...(device.key === 'ours' ? {} : { privateKey }), ...(otherPort ? { listenPort } : {}) };
  }

  /** Resolves when it was done, or with the refusal; rejects, the interface lost, with everything else. */
  async #retry(epoch: Epoch, attempt: () => Promise<OperationOutcome>): Promise<WireGuardError | undefined> {
    for (let failures = 0; ; failures += 1) {
      this.#assertEpoch(epoch);
      const outcome = await attempt();
      this.#assertEpoch(epoch);
      this.#noteDialect(outcome);
      const error = this.#errorOf(outcome);
      if (error === undefined) {
        this.#polls = 0;
        return undefined;
      }
      if (!isTransient(outcome)) {
        if (outcome.kind === 'answered') return error;
        throw this.#lose(error);
      }
      const delayMs = RETRY_AFTER_MS[failures];
      if (delayMs === undefined) throw this.#lose(error);
      this.#options.report({ kind: 'retried', attempt: failures + 1, error });
      await this.#pause(delayMs);
    }
  }

  #operate(request: Uint8Array, timeoutMs: number, sink?: DumpSink): Promise<OperationOutcome> {
    const { socketPath, timers } = this.#options;
    const dump = sink && { sink, maxBytes: MAX_DUMP_BYTES };
    const operation = { request, timeoutMs, signal: this.#abort.signal, ...(dump === undefined ? {} : { dump }) };
    return operate(socketPath, operation, timers);
  }

  async #operateSecret(request: Uint8Array): Promise<OperationOutcome> {
    try {
      return await this.#operate(request, SET_TIMEOUT_MS);
    } finally {
      request.fill(0);
    }
  }

  #errorOf(outcome: OperationOutcome): WireGuardError | undefined {
    const { socketPath, listenPort } = this.#options;
    switch (outcome.kind) {
      case 'answered':
        return outcome.errno === 0 ? undefined : refusedError(outcome.errno, listenPort);
      case 'unreachable':
        return unreachableError(socketPath, outcome.code);
      case 'broken':
        return brokenError(socketPath, outcome.defect);
      case 'aborted':
        return closedError();
    }
  }

  /** Only boringtun has positive error numbers. */
  #noteDialect(outcome: OperationOutcome): void {
    if (outcome.kind !== 'answered' || outcome.dialect !== 'boringtun' || this.#options.dialect !== undefined) return;
    this.#dialect = 'boringtun';
    this.#watch?.close();
  }

  #assertOpen(): void {
    if (this.#state.kind === 'closed') throw closedError();
  }

  #assertEpoch(epoch: Epoch): void {
    this.#assertOpen();
    if (epoch !== this.#epoch) throw restartedError(this.#options.socketPath);
  }

  #endEpoch(): void {
    this.#watch?.close();
    this.#watch = undefined;
    this.#epoch = { number: this.#epoch.number + 1 };
  }

  #beginEpoch(): void {
    this.#endEpoch();
    if (this.#dialect === 'boringtun') return;
    const { socketPath } = this.#options;
    this.#watch = watchProcess(socketPath, () => this.#lose(restartedError(socketPath)));
  }

  /** Gives the error back, to be thrown. */
  #lose(error: WireGuardError): WireGuardError {
    if (this.#state.kind === 'closed') return error;
    this.#endEpoch();
    this.#lostAtMs = this.#options.clock.now().monotonicMs;
    this.#enter({ kind: 'unavailable', error });
    this.#pollLater();
    return error;
  }

  #enter(state: InterfaceState): void {
    const before = this.#state;
    this.#state = state;
    const same =
      state.kind === 'unavailable' && before.kind === state.kind && before.error.message === state.error.message;
    if (!same) this.#options.onState(state);
  }

  /** Where nobody is polling, who asks tries anew, but not more often than a poll would. */
  #mayTryNow(): boolean {
    const sinceMs = this.#options.clock.now().monotonicMs - this.#lostAtMs;
    return this.#resetListeners.size === 0 && sinceMs >= POLL_EVERY_MS;
  }

  #pollLater(): void {
    if (this.#resetListeners.size === 0 || this.#cancelPoll !== undefined || this.#configuring !== undefined) return;
    const delayMs = POLL_AFTER_MS[this.#polls] ?? POLL_EVERY_MS;
    this.#polls += 1;
    this.#cancelPoll = this.#options.timers.after(delayMs, () => {
      this.#cancelPoll = undefined;
      // What it fails with is the state's error.
      this.configure().catch(() => undefined);
    });
  }

  /** Rejects when the link is closed meanwhile. */
  #pause(ms: number): Promise<void> {
    const { signal } = this.#abort;
    return new Promise((resolve, reject) => {
      const closed = () => {
        cancel();
        reject(closedError());
      };
      const cancel = this.#options.timers.after(ms, () => {
        signal.removeEventListener('abort', closed);
        resolve();
      });
      signal.addEventListener('abort', closed, { once: true });
    });
  }
}
