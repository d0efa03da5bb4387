/**
 * `connect`: puts the parts together, and starts what is to ride in the handshakes in the order that takes the fewest
 * round trips (lp2.md §4, §5). Direct and with a known KEM key: connect, hello‖H1, H3 with the request: 3. Through an entry:
 * connect, hello‖H1, H3 with the exit's hello‖H1, then the exit's H3 and the entry's request in one write: 4. A first
 * contact adds one per gateway. Version 1 has a connection and a round trip for each of its messages.
 */
import { EventEmitter } from 'node:events';
import { createClientHandshake, traitsOf } from '../lp/client-handshake.ts';
import { loadProvider } from '../lp/crypto/load.ts';
import type { CryptoProvider } from '../lp/crypto/provider.ts';
import { Secret } from '../lp/crypto/secret.ts';
import type { ForwardTarget } from '../lp/wire/application-frame.ts';
import { systemClock } from '../system/clock.ts';
import { systemRandom } from '../system/random.ts';
import { systemTimers } from '../system/timers.ts';
import { Client, type ClientEvents } from './client.ts';
import { aborted, type Hop, invalidOption, LewesError } from './errors.ts';
import { forwardTarget, type GatewayKeys, parseAddress, resolveKeys } from './gateway-target.ts';
import { MemoryKemKeyCache } from './key-cache.ts';
import { Link } from './link.ts';
import { NestedDialer } from './nested-transport.ts';
import type { SpokenVersion } from './opening.ts';
import {
  type ConnectOptions,
  checkOptions,
  DEFAULT_ATTEMPTS,
  DEFAULT_KEM,
  DEFAULT_MAX_IN_FLIGHT,
  DEFAULT_MAX_WRITE_BUFFER_BYTES,
  DEFAULT_TIMEOUTS,
  type GatewayOptions,
  protocolOf,
  type Timeouts,
} from './options.ts';
import { encodeBody, openingBody } from './registration.ts';
import type { TcpOptions } from './tcp-connect.ts';
import { TcpDialer } from './tcp-transport.ts';
import { OneShotDialer } from './tcp-way.ts';
import type { Dialer } from './transport.ts';

/**
 * Connects to a gateway, or through one (`via`) to another, and does on the way what `register` or `early` ask for.
 * Resolves when the session stands and these are answered. Rejects with a {@link LewesError}, and then nothing is left open.
 *
 * ```ts
 * await using client = await connect({ gateway: { address: '127.0.0.1:41264', identity } });
 * await client.echo(new Uint8Array(16));
 * ```
 */
export async function connect(options: ConnectOptions): Promise<Client> {
  checkOptions(options, options.via instanceof Client ? undefined : options.via);
  const { signal } = options;
  const crypto = options.crypto ?? (await loadProvider('auto'));
  if (signal?.aborted) throw aborted('direct', 'connect', signal);
  const client = assemble(new Workshop(options, crypto));
  equip(client, options);
  const link = Client.linkOf(client);
  const entryLink = client.entry && Client.linkOf(client.entry);
  const fail = (error: LewesError) => {
    void link.close(error);
    if (client.entry !== options.via) void entryLink?.close(error);
  };
  const abort = () => {
    const busy = entryLink?.reaching ? entryLink : link;
    if (signal !== undefined) fail(aborted(busy.hop, busy.openingStep, signal));
  };
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await start(client, options);
    return client;
  } catch (error) {
    if (error instanceof LewesError) fail(error);
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

function equip(client: Client, { gateway, via, tokenSource }: ConnectOptions): void {
  client.tokenSource = gateway.tokenSource ?? tokenSource;
  if (via === undefined || via instanceof Client || client.entry === undefined) return;
  client.entry.tokenSource = via.tokenSource ?? tokenSource;
}

/** The entry's own request leaves in the turn in which the exit's H3 does, hence in one write with it. */
function start(client: Client, options: ConnectOptions): Promise<unknown> {
  const { via, gateway, signal } = options;
  if (via === undefined || via instanceof Client || client.entry === undefined) return begin(client, gateway, signal);
  const { entry } = client;
  const entryDone = Promise.withResolvers<unknown>();
  let begun = false;
  Client.linkOf(client).onH3 = () => {
    if (!begun) entryDone.resolve(begin(entry, via, signal));
    begun = true;
  };
  return Promise.all([begin(client, gateway, signal), entryDone.promise]);
}

/** The first request of a link rides in its handshake. */
async function begin(client: Client, gateway: GatewayOptions, signal: AbortSignal | undefined): Promise<void> {
  const { register, early } = gateway;
  if (register !== undefined) {
    const paid = client.tokenSource !== undefined && register.credential === undefined;
    client.registration = await (paid
      ? client.enrol(register, client.tokenSource, signal && { signal })
      : client.register(register));
  }
  if (early !== undefined) client.early = await client.request(early.kind, early.body);
  await Client.linkOf(client).open();
}

function assemble(workshop: Workshop): Client {
  const { options, crypto } = workshop;
  const { via, gateway } = options;
  if (via === undefined) return workshop.direct(gateway, 'direct');
  const exitAddress = gateway.address === undefined ? undefined : parseAddress(gateway.address, 'exit');
  const exitKeys = keysOf(gateway, crypto, 'exit');
  const target = forwardTarget(exitKeys.ed25519, exitAddress, 'exit');
  return workshop.behind(via instanceof Client ? via : workshop.direct(via, 'entry'), gateway, exitKeys, target);
}

function keysOf(gateway: GatewayOptions, crypto: CryptoProvider, hop: Hop): GatewayKeys {
  if (gateway.register !== undefined && gateway.early !== undefined) {
    throw invalidOption('one request rides in a handshake: give "register" or "early", not both', hop);
  }
  // What is wrong with it is better said before anything is sent.
  if (gateway.register !== undefined) encodeBody(openingBody('register', gateway.register), hop).fill(0);
  return resolveKeys(crypto, gateway.identity, gateway.kemKeyHashes ?? [], hop);
}

const CONTROL_EXCHANGES = 16;

function versionOf(gateway: GatewayOptions): SpokenVersion {
  const number = protocolOf(gateway);
  return {
    number,
    traits: traitsOf(number),
    createHandshake: (options, now) => createClientHandshake(number, options, now),
  };
}

/** What the gateways of one `connect` have in common. */
class Workshop {
  readonly options: ConnectOptions;
  readonly crypto: CryptoProvider;
  readonly #time;
  readonly #random;
  readonly #timeouts: Timeouts;
  readonly #keyCache;

  constructor(options: ConnectOptions, crypto: CryptoProvider) {
    this.options = options;
    this.crypto = crypto;
    this.#time = { clock: options.clock ?? systemClock, timers: options.timers ?? systemTimers };
    this.#random = options.random ?? systemRandom;
    this.#timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
    this.#keyCache = options.keyCache ?? new MemoryKemKeyCache();
  }

  direct(gateway: GatewayOptions, hop: Hop): Client {
    const keys = keysOf(gateway, this.crypto, hop);
    const version = versionOf(gateway);
    return this.#client(keys, hop, version, this.#tcpDialer(gateway, hop, version), undefined);
  }

  behind(entry: Client, gateway: GatewayOptions, keys: GatewayKeys, target: ForwardTarget): Client {
    const version = versionOf(gateway);
    const carrier = Client.linkOf(entry);
    const dialer = new NestedDialer(carrier, {
      target,
      onePacketPerForward: version.traits.onePacketPerConnection,
      timers: this.#time.timers,
      maxQueued: this.#maxQueued,
    });
    return this.#client(keys, 'exit', version, dialer, entry);
  }

  /** Every request may have an exchange of its own, and handshake and rekeying some. */
  get #maxQueued(): number {
    return (this.options.maxInFlight ?? DEFAULT_MAX_IN_FLIGHT) + CONTROL_EXCHANGES;
  }

  #tcpDialer(gateway: GatewayOptions, hop: Hop, { traits }: SpokenVersion): Dialer {
    if (gateway.address === undefined) throw invalidOption('the address is missing', hop);
    const options: TcpOptions = {
      address: parseAddress(gateway.address, hop),
      hop,
      connectTimeoutMs: this.#timeouts.connectMs,
      localAddress: this.options.localAddress,
      timers: this.#time.timers,
    };
    return traits.onePacketPerConnection && this.options.keepConnections !== true
      ? new OneShotDialer(options, this.#maxQueued)
      : new TcpDialer(options, traits.framing);
  }

  #client(keys: GatewayKeys, hop: Hop, version: SpokenVersion, dialer: Dialer, entry: Client | undefined): Client {
    const events = new EventEmitter<ClientEvents>();
    const link = this.#link(keys, hop, version, dialer, events);
    // A request to an exit needs a Forward, and its time.
    const { requestMs, forwardMs } = this.#timeouts;
    const requestTimeoutMs = dialer.nested ? Math.max(requestMs, forwardMs) : requestMs;
    const identity = keys.ed25519;
    return new Client({ link, identity, events, requestTimeoutMs, entry, ownsEntry: entry !== this.options.via });
  }

  #link(keys: GatewayKeys, hop: Hop, version: SpokenVersion, dialer: Dialer, events: EventEmitter<ClientEvents>): Link {
    const { options } = this;
    const { kemSuites } = version.traits;
    return new Link(
      {
        hop,
        version,
        keys,
        dialer,
        crypto: this.crypto,
        random: this.#random,
        time: this.#time,
        keyCache: this.#keyCache,
        kem: (options.kem ?? DEFAULT_KEM).filter((suite) => kemSuites.includes(suite)),
        clientSeed: new Secret(this.#seed()),
        attempts: options.attempts ?? DEFAULT_ATTEMPTS,
        ratchet: options.ratchet ?? true,
        reconnect: options.reconnect ?? true,
        openTimeoutMs: this.#timeouts.openMs,
        forwardTimeoutMs: this.#timeouts.forwardMs,
        maxInFlight: options.maxInFlight ?? DEFAULT_MAX_IN_FLIGHT,
        maxWriteBufferBytes: options.maxWriteBufferBytes ?? DEFAULT_MAX_WRITE_BUFFER_BYTES,
        stepDone: (step, ms) => options.onStep?.({ hop, step, ms }),
      },
      {
        opened: () => events.emit('session'),
        lost: (error) => events.emit('lost', error),
        rekeyed: () => events.emit('rekeyed'),
        closed: (error) => events.emit('closed', error),
      },
    );
  }

  #seed(): Uint8Array {
    if (this.options.clientSeed !== undefined) return Uint8Array.from(this.options.clientSeed);
    const seed = new Uint8Array(32);
    this.#random.fill(seed);
    return seed;
  }
}
