/**
 * A real WireGuard interface, driven through its UAPI unix socket: key and port set whenever its process is a new one, peers
 * changed in batches, counters read. This is the one owner of the interface: what else configures it is undone at the next
 * resync. Node needs no privilege for it, only the right to open the socket (registration.md, rules 2 and 5).
 */
import type { Clock } from '../../system/clock.ts';
import type { Timers } from '../../system/timers.ts';
import { SerialQueue } from '../serial-queue.ts';
import type { Peer, PeerCounters, WireGuardBackend } from './backend.ts';
import { ChangeQueue } from './uapi-changes.ts';
import type { DeviceState } from './uapi-device.ts';
import { ownKeyError } from './uapi-errors.ts';
import { type InterfaceState, type UapiEvent, UapiLink } from './uapi-link.ts';
import { type Dialect, isAllowedIp, KEY_LENGTH, MAX_ALLOWED_IPS } from './uapi-protocol.ts';
import { resyncPeers, upsertOf } from './uapi-resync.ts';

export type { DeviceState } from './uapi-device.ts';
export type { InterfaceState, UapiEvent } from './uapi-link.ts';

export interface UapiWireGuardOptions {
  readonly interfaceName: string;
  /** Default: where WireGuard implementations put it, `/var/run/wireguard/NAME.sock`. */
  readonly socketPath?: string;
  /** 32 bytes; copied at once, so that the caller can wipe its own. */
  readonly privateKey: { readonly bytes: Uint8Array };
  /** Of that private key: what boringtun shows instead of it, and what no peer may have. */
  readonly publicKey: Uint8Array;
  /** UDP, 1 to 65535. */
  readonly listenPort: number;
  /** Who implements the interface. Default: what its answers tell. */
  readonly dialect?: Dialect;
  readonly timers: Timers;
  readonly clock: Clock;
  /** Only of changes; an interface that stays away is told once for every reason. */
  readonly onState?: (state: InterfaceState) => void;
  readonly report?: (event: UapiEvent) => void;
}

export interface UapiWireGuard extends WireGuardBackend {
  readonly state: InterfaceState;
  /** What the interface is now, without changing it. Rejects only when the backend is closed. */
  check(): Promise<DeviceState>;
  /** Sets key and port where they differ. Every other call does so too when it is due; this one is for the start. */
  configure(): Promise<void>;
  /**
   * Calls the listener whenever the interface was lost and is set up anew, its peers gone: a resync is due. While there is
   * a listener, an interface that is away is looked for, every second at last.
   */
  onReset(listener: () => void): void;
}

/** What Linux allows, less what would leave the directory. */
const INTERFACE_NAME = /^[A-Za-z0-9_=+.-]{1,15}$/;
const SOCKET_DIRECTORY = '/var/run/wireguard';

export function createUapiWireGuard(options: UapiWireGuardOptions): UapiWireGuard {
  return new UapiBackend(options);
}

class UapiBackend implements UapiWireGuard {
  readonly #link: UapiLink;
  /** Batches of changes and resyncs: each must see the whole of the other or nothing. */
  readonly #jobs = new SerialQueue(Number.POSITIVE_INFINITY);
  readonly #changes: ChangeQueue;

  constructor(options: UapiWireGuardOptions) {
    const { interfaceName, listenPort, privateKey, publicKey, dialect, timers, clock, onState, report } = options;
    assert(INTERFACE_NAME.test(interfaceName) && !/^\.{1,2}$/.test(interfaceName), 'a name of a network interface');
    assert(Number.isInteger(listenPort) && listenPort >= 1 && listenPort <= 65_535, 'a UDP port');
    assert(privateKey.bytes.length === KEY_LENGTH && publicKey.length === KEY_LENGTH, 'keys of 32 bytes');
    this.#link = new UapiLink({
      socketPath: options.socketPath ?? `${SOCKET_DIRECTORY}/${interfaceName}.sock`,
      privateKey: Uint8Array.from(privateKey.bytes),
      publicKey: Uint8Array.from(publicKey),
      listenPort,
      dialect,
      timers,
      clock,
      onState: onState ?? (() => undefined),
      report: report ?? (() => undefined),
    });
    this.#changes = new ChangeQueue(this.#link, this.#jobs);
  }

  get state(): InterfaceState {
    return this.#link.state;
  }

  check(): Promise<DeviceState> {
    return this.#link.check();
  }

  configure(): Promise<void> {
    return this.#link.configure();
  }

  onReset(listener: () => void): void {
    this.#link.onReset(listener);
  }

  upsert(peer: Peer): Promise<void> {
    assert(peer.publicKey.length === KEY_LENGTH, 'a public key of 32 bytes');
    assert(peer.allowedIps.length <= MAX_ALLOWED_IPS && peer.allowedIps.every(isAllowedIp), 'a few allowed IPs');
    // The interface would ignore it without a word.
    if (Buffer.compare(peer.publicKey, this.#link.publicKey) === 0) return Promise.reject(ownKeyError());
    return this.#changes.ask(upsertOf(peer));
  }

  remove(publicKey: Uint8Array): Promise<void> {
    assert(publicKey.length === KEY_LENGTH, 'a public key of 32 bytes');
    return this.#changes.ask({ kind: 'remove', publicKey: Uint8Array.from(publicKey) });
  }

  /** When WireGuard takes all but some peers, rejects with `PeersRefusedError`; then everything else is done. */
  resync(peers: AsyncIterable<Peer>): Promise<void> {
    return this.#jobs.runUnbounded(() => resyncPeers(this.#link, peers));
  }

  /** Reads all of them before it yields the first: whoever takes its time over them, or changes peers meanwhile, holds nothing up. */
  async *list(): AsyncIterable<PeerCounters> {
    let counters: PeerCounters[] = [];
    await this.#link.get(await this.#link.ready(), () => {
      counters = [];
      return ({ publicKey, received, sent }) =>
        counters.push({ publicKey: Uint8Array.from(publicKey), received, sent });
    });
    yield* counters;
  }

  async close(): Promise<void> {
    this.#changes.close();
    await this.#link.close();
    await this.#changes.idle();
    await this.#jobs.idle();
  }
}

function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`assertion: WireGuard needs ${what}`);
}
