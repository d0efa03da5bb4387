/**
 * `connect`: puts the parts together, and starts what is to ride in the handshakes in the order that takes the fewest
 * round trips (lp2.md §4, §5). Direct and with a known KEM key: connect, hello‖H1, H3 with the request: 3. Through an entry:
 * connect, hello‖H1, H3 with the exit's hello‖H1, then the exit's H3 and the entry's request in one write: 4. A first
 * contact adds one per gateway.
 */
import { EventEmitter } from 'node:events';
import { loadProvider } from '../lp/crypto/load.ts';
import type { CryptoProvider } from '../lp/crypto/provider.ts';
import { Secret } from '../lp/crypto/secret.ts';
import { systemClock } from '../system/clock.ts';
import { systemRandom } from '../system/random.ts';
import { systemTimers } from '../system/timers.ts';
import { Client, type ClientEvents } from './client.ts';
import { aborted, type Hop, invalidOption, LewesError } from './errors.ts';
import { forwardTarget, type GatewayKeys, parseAddress, resolveKeys } from './gateway-target.ts';
import { MemoryKemKeyCache } from './key-cache.ts';
import { Link } from './link.ts';
import { NestedDialer } from './nested-transport.ts';
import {
  type ConnectOptions,
  checkOptions,
  DEFAULT_ATTEMPTS,
  DEFAULT_KEM,
  DEFAULT_MAX_IN_FLIGHT,
  DEFAULT_MAX_WRITE_BUFFER_BYTES,
  DEFAULT_TIMEOUTS,
  type GatewayOptions,
  type Timeouts,
} from './options.ts';
import { encodeBody, openingBody } from './registration.ts';
import { TcpDialer } from './tcp-transport.ts';
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
  checkOptions(options);
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
  if (via === undefined) {
    const keys = keysOf(gateway, crypto, 'direct');
    return workshop.client(keys, 'direct', workshop.tcpDialer(gateway, 'direct'), undefined);
  }
  const exitAddress = gateway.address === undefined ? undefined : parseAddress(gateway.address, 'exit');
  const exitKeys = keysOf(gateway, crypto, 'exit');
  const target = forwardTarget(exitKeys.ed25519, exitAddress, 'exit');
  const entry =
    via instanceof Client
      ? via
      : workshop.client(keysOf(via, crypto, 'entry'), 'entry', workshop.tcpDialer(via, 'entry'), undefined);
  return workshop.client(exitKeys, 'exit', new NestedDialer(Client.linkOf(entry), target), entry);
}

function keysOf(gateway: GatewayOptions, crypto: CryptoProvider, hop: Hop): GatewayKeys {
  if (gateway.register !== undefined && gateway.early !== undefined) {
    throw invalidOption('one request rides in a handshake: give "register" or "early", not both', hop);
  }
  // What is wrong with it is better said before anything is sent.
  if (gateway.register !== undefined) encodeBody(openingBody('register', gateway.register), hop).fill(0);
  return resolveKeys(crypto, gateway.identity, gateway.kemKeyHashes ?? [], hop);
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

  tcpDialer(gateway: GatewayOptions, hop: Hop): Dialer {
    if (gateway.address === undefined) throw invalidOption('the address is missing', hop);
    return new TcpDialer({
      address: parseAddress(gateway.address, hop),
      hop,
      connectTimeoutMs: this.#timeouts.connectMs,
      localAddress: this.options.localAddress,
      timers: this.#time.timers,
    });
  }

  client(keys: GatewayKeys, hop: Hop, dialer: Dialer, entry: Client | undefined): Client {
    const events = new EventEmitter<ClientEvents>();
    const link = this.#link(keys, hop, dialer, events);
    // A request to an exit needs a Forward, and its time.
    const { requestMs, forwardMs } = this.#timeouts;
    const requestTimeoutMs = dialer.nested ? Math.max(requestMs, forwardMs) : requestMs;
    const identity = keys.ed25519;
    return new Client({ link, identity, events, requestTimeoutMs, entry, ownsEntry: entry !== this.options.via });
  }

  #link(keys: GatewayKeys, hop: Hop, dialer: Dialer, events: EventEmitter<ClientEvents>): Link {
    const { options } = this;
    return new Link(
      {
        hop,
        keys,
        dialer,
        crypto: this.crypto,
        random: this.#random,
        time: this.#time,
        keyCache: this.#keyCache,
        kem: options.kem ?? DEFAULT_KEM,
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
