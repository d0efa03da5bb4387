/**
 * The composition root of a gateway process: acceptor, admission, shards, forwarder and registrar, wired together, and the
 * one timer that drives ticks, sweeps and key rotation.
 */
import type { CryptoProvider, RandomSource } from '../lp/crypto/provider.ts';
import { encodeBase58 } from '../ops/base58.ts';
import type { Config, SocketAddress } from '../ops/config/index.ts';
import type { Logger } from '../ops/log.ts';
import type { IssuerPublicKey } from '../registration/credentials/privacy-pass.ts';
import type { RegistrarInit } from '../registration/registrar-messages.ts';
import type { ShardOptions } from '../shard/shard.ts';
import type { Clock } from '../system/clock.ts';
import type { CancelTimer, Timers } from '../system/timers.ts';
import { Acceptor } from './acceptor.ts';
import { Admission } from './admission.ts';
import { type AllowList, createAllowList } from './forward/allow-list.ts';
import { createForwarder, type Forwarder } from './forward/forwarder.ts';
import { KemKeys } from './kem-keys.ts';
import { KeyedHash } from './keyed-hash.ts';
import { warnOfLp1 } from './lp1-warning.ts';
import { type NymKeys, NymService } from './nym/nym-service.ts';
import { nymOptionsOf, nymShardOptionsOf } from './nym/options.ts';
import {
  acceptorOptionsOf,
  admissionLimitsOf,
  forwarderLimitsOf,
  lifetimesOf,
  lp1Admitted,
  mailboxLimitsOf,
  REGISTRAR_QUEUE,
  registrarInitOf,
  shardCount,
  sweepSecondsOf,
} from './options.ts';
import { logRegistrarEvent } from './registrar-events.ts';
import { RegistrarHost } from './registrar-host.ts';
import type { RegistrarThread } from './registrar-thread.ts';
import { Requests } from './requests.ts';
import { Router } from './router.ts';
import { ShardHost } from './shard-host.ts';
import type { ShardThread } from './shard-thread.ts';

export interface GatewayIdentity {
  /** 32 bytes; copied. */
  readonly seed: Uint8Array;
  readonly publicKey: Uint8Array;
}

export interface GatewayDependencies {
  readonly crypto: CryptoProvider;
  readonly random: RandomSource;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  readonly startShard: (shard: number, options: ShardOptions) => ShardThread;
  readonly startRegistrar: () => RegistrarThread;
  /** Where the durable store is, unless the configuration says. */
  readonly storePath: string;
  /** The secret of the gateway's WireGuard key, 32 bytes in a buffer of their own; wiped or moved away after each call. */
  readonly wireGuardSecret: () => Uint8Array<ArrayBuffer>;
  /** Where the configuration has Nym listen; the keys are copied. */
  readonly nymKeys?: NymKeys | undefined;
}

/** lp2.md §7 and design §2: a shard's clock moves with its batches and at least this often. */
const TICK_MS = 250;
const CONNECTION_SWEEP_TICKS = 4;
const ADMISSION_SWEEP_BUDGET = 2_048;
const SHARD_START_TIMEOUT_MS = 30_000;
/** A large store is checked while it is opened. */
const REGISTRAR_START_TIMEOUT_MS = 30_000;
const DRAIN_POLL_MS = 20;
/** Pending, demoted and reserved indices besides a shard's share of the sessions. */
const INDEX_HEADROOM = 2;

export class Gateway {
  readonly config: Config;
  readonly acceptor: Acceptor;
  readonly admission: Admission;
  readonly router: Router;
  readonly hosts: readonly ShardHost[];
  readonly forwarder: Forwarder;
  readonly registrar: RegistrarHost;
  /** Where Nym is spoken. */
  readonly nym: NymService | undefined;
  /** Batch times by shard since the start: count, sum and longest, in milliseconds. */
  readonly batches: { count: number; sumMs: number; maxMs: number }[];
  /** Where it listens, port 0 resolved. */
  readonly listening: SocketAddress[] = [];
  /** Rejects when a shard cannot be kept running. */
  readonly failed: Promise<never>;
  private readonly dependencies: GatewayDependencies;
  private readonly kemKeys: KemKeys;
  private readonly requests: Requests;
  private readonly x25519Secret: Uint8Array;
  /** LP1's handshakes sign and decapsulate with the identity key itself; only where it is admitted. */
  private readonly lp1Seed: Uint8Array | undefined;
  private readonly sweepTicks: number;
  private fail: (error: Error) => void = () => undefined;
  private cancelTick: CancelTimer = () => undefined;
  private ticks = 0;
  private allowList: AllowList;
  private stopping: Promise<void> | undefined;
  private state: 'starting' | 'ready' | 'draining' | 'stopped' = 'starting';

  constructor(config: Config, identity: GatewayIdentity, dependencies: GatewayDependencies) {
    this.config = config;
    this.dependencies = dependencies;
    const { crypto, random, clock } = dependencies;
    const shards = shardCount(config);
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => undefined);
    const hashKey = new Uint8Array(8);
    random.fill(hashKey);
    const hash = new KeyedHash(hashKey);
    this.router = new Router(shards, hash, {
      reserve: (shard, index) => this.host(shard).mailbox.reserve(index),
      unreserve: (shard, index) => this.host(shard).mailbox.unreserve(index),
    });
    this.admission = new Admission(admissionLimitsOf(config), shards);
    this.kemKeys = new KemKeys(crypto, random, {
      suites: config.gateway.kem,
      rotationS: config.lifetimes.kem_rotation,
      ed25519Seed: identity.seed.slice(),
      ed25519Public: identity.publicKey,
    });
    this.acceptor = new Acceptor(acceptorOptionsOf(config), {
      admission: this.admission,
      router: this.router,
      mailbox: (shard) => this.host(shard).mailbox,
      nowMs: () => clock.now().monotonicMs,
      after: (ms, action) => dependencies.timers.after(ms, action),
    });
    this.allowList = createAllowList(config.forward.allow);
    const allowList: AllowList = {
      find: (target) => this.allowList.find(target),
      findAddress: (address) => this.allowList.findAddress(address),
    };
    this.forwarder = createForwarder(
      { ...forwarderLimitsOf(config), allowList },
      { timers: dependencies.timers, nowMs: () => clock.now().monotonicMs },
    );
    this.registrar = this.makeRegistrar(identity);
    this.requests = new Requests({
      host: (shard) => this.host(shard),
      router: this.router,
      admission: this.admission,
      forwarder: this.forwarder,
      registrar: this.registrar,
      forwards: () => this.state === 'ready',
    });
    this.nym = this.makeNym(hash, allowList, identity);
    this.sweepTicks = Math.ceil((sweepSecondsOf(config) * 1_000) / TICK_MS);
    this.x25519Secret = crypto.x25519SecretOfEd25519(identity.seed);
    this.lp1Seed = lp1Admitted(config) ? identity.seed.slice() : undefined;
    this.batches = Array.from({ length: shards }, () => ({ count: 0, sumMs: 0, maxMs: 0 }));
    this.hosts = this.makeHosts(identity);
  }

  get ready(): { ready: boolean; reasons: string[] } {
    const reasons = this.hosts.filter((host) => !host.running).map((host) => `shard ${host.shard} is not running`);
    if (!this.registrar.status().running) reasons.push('the registrar is not running');
    if (this.state !== 'ready') reasons.push(this.state);
    return { ready: reasons.length === 0, reasons };
  }

  /** Throws ShardStartError, RegistrarStartError or ListenError; then nothing is left running. */
  async start(): Promise<void> {
    try {
      this.kemKeys.rotate(this.unixS());
      await Promise.all([...this.hosts.map((host) => host.start()), this.registrar.start()]);
      await this.registrar.sweep();
      for (const { host, port } of this.config.gateway.listen) {
        this.listening.push({ host, port: await this.acceptor.listen(host, port) });
      }
      await this.nym?.start();
    } catch (error) {
      await this.stop('at once');
      throw error;
    }
    if (lp1Admitted(this.config)) warnOfLp1(this.dependencies.log);
    this.state = 'ready';
    this.scheduleTick();
  }

  /** Ends what is under way within `lifetimes.drain`, then everything. Safe to call twice. */
  stop(how: 'drain' | 'at once' = 'drain'): Promise<void> {
    // A second one waits for the first; "at once" cuts a drain short.
    if (this.stopping === undefined || (how === 'at once' && this.state === 'draining')) this.stopping = this.end(how);
    return this.stopping;
  }

  private async end(how: 'drain' | 'at once'): Promise<void> {
    const draining = this.state === 'ready' && how === 'drain';
    this.state = 'draining';
    this.acceptor.stopListening();
    if (draining) {
      this.acceptor.stopReading();
      this.nym?.drain();
      await this.drained();
      this.acceptor.close('end');
      this.nym?.acceptor.close('end');
    } else {
      this.acceptor.close('destroy');
      this.nym?.acceptor.close('destroy');
    }
    this.state = 'stopped';
    this.cancelTick();
    await Promise.all([this.forwarder.close(), this.nym?.close()]);
    await this.registrar.close();
    await Promise.all(this.hosts.map((host) => host.stop()));
    this.acceptor.close('destroy');
    this.nym?.acceptor.close('destroy');
    this.kemKeys.wipe();
    this.nym?.wipe();
    this.x25519Secret.fill(0);
    this.lp1Seed?.fill(0);
  }

  /** One step of the clock: ticks of the shards, sweeps, key rotation. */
  tick(): void {
    const nowMs = this.dependencies.clock.now().monotonicMs;
    this.ticks++;
    for (const host of this.hosts) host.tick(nowMs);
    if (this.ticks % CONNECTION_SWEEP_TICKS === 0) {
      this.acceptor.sweep(nowMs);
      this.nym?.acceptor.sweep(nowMs);
      this.admission.sweep(nowMs, ADMISSION_SWEEP_BUDGET);
      for (const key of this.kemKeys.rotate(this.unixS())) for (const host of this.hosts) host.mailbox.kemKey(key);
      this.registrar.tick();
    }
    if (this.ticks % this.sweepTicks === 0) void this.registrar.sweep();
  }

  /** Takes over what can change while it runs: the exits that clients may reach. */
  reload(config: Config): void {
    this.allowList = createAllowList(config.forward.allow);
  }

  /** The issuer's public keys, all that tokens may be signed with; those of the configuration until it is called. */
  setIssuerKeys(keys: readonly IssuerPublicKey[]): void {
    this.registrar.setIssuerKeys(keys);
  }

  private host(shard: number): ShardHost {
    const host = this.hosts[shard];
    if (host === undefined) throw new Error(`there is no shard ${shard}`);
    return host;
  }

  private unixS(): number {
    return Math.floor(this.dependencies.clock.now().unixMs / 1_000);
  }

  private scheduleTick(): void {
    this.cancelTick = this.dependencies.timers.after(TICK_MS, () => {
      this.tick();
      if (this.state !== 'stopped') this.scheduleTick();
    });
  }

  private async drained(): Promise<void> {
    const { clock, timers } = this.dependencies;
    const deadline = clock.now().monotonicMs + this.config.lifetimes.drain * 1_000;
    const busy = () =>
      this.forwarder.status().inFlight > 0 ||
      this.nym?.busy === true ||
      this.registrar.status().queueLength > 0 ||
      this.hosts.some((host) => !host.mailbox.idle);
    while (busy() && clock.now().monotonicMs < deadline) {
      await new Promise<void>((resolve) => timers.after(DRAIN_POLL_MS, resolve));
    }
  }

  private makeNym(hash: KeyedHash, allowList: AllowList, identity: GatewayIdentity): NymService | undefined {
    const { crypto, clock, timers, nymKeys } = this.dependencies;
    const options = nymOptionsOf(this.config, this.router.shards);
    if (options === undefined) return undefined;
    if (nymKeys === undefined) throw new Error('assertion: whoever lets Nym listen brings its keys');
    return new NymService(options, nymKeys, identity, {
      crypto,
      timers,
      nowMs: () => clock.now().monotonicMs,
      admission: this.admission,
      hash,
      mailbox: (shard) => this.host(shard).mailbox,
      register: (request) => this.registrar.handle(request),
      findExit: (target) => allowList.findAddress(target),
    });
  }

  private makeRegistrar(identity: GatewayIdentity): RegistrarHost {
    const { clock, timers, startRegistrar, log } = this.dependencies;
    const originInfo = encodeBase58(identity.publicKey);
    return new RegistrarHost({
      start: startRegistrar,
      init: (keys) => this.registrarInit(originInfo, keys),
      now: () => clock.now(),
      after: (ms, action) => timers.after(ms, action),
      defer: (action) => setImmediate(action),
      queueLength: REGISTRAR_QUEUE,
      startTimeoutMs: REGISTRAR_START_TIMEOUT_MS,
      onEvent: (event) => logRegistrarEvent(log, event),
      onLost: ({ reason, requests }) => log.error({ requests, err: reason }, 'registrar lost; a fresh one starts'),
      onFatal: (error) => this.fail(error),
    });
  }

  /** The secret is read for each thread anew, so that no copy of it has to wait here. */
  private registrarInit(originInfo: string, keys: readonly IssuerPublicKey[]): RegistrarInit {
    const { crypto, storePath, wireGuardSecret } = this.dependencies;
    const secret = wireGuardSecret();
    const publicKey = crypto.x25519PublicKey(secret);
    const init = registrarInitOf(this.config, { originInfo, keys, storePath, wireGuard: { secret, publicKey } });
    if (init.wireguard.kind === 'memory') secret.fill(0);
    return init;
  }

  private makeHosts(identity: GatewayIdentity): ShardHost[] {
    const { crypto, clock, timers, startShard, log } = this.dependencies;
    const { limits, lifetimes } = this.config;
    const shards = this.router.shards;
    // Own copies, for a shard may be replaced long after the caller has wiped the seed.
    const ed25519Public = identity.publicKey.slice();
    const x25519Public = crypto.x25519PublicKey(this.x25519Secret);
    const { lp1Seed } = this;
    const sessionIdleMs = lifetimes.lp1_session_idle * 1_000;
    const shardOptions = (shard: number): ShardOptions => ({
      identity: { ed25519Public, x25519Public, x25519Secret: this.x25519Secret },
      slots: this.router.slotsOf(shard),
      lifetimes: lifetimesOf(this.config),
      records: Math.max(1, Math.ceil(limits.records / shards)),
      indices: Math.ceil((INDEX_HEADROOM * limits.sessions) / shards) + 1_024,
      sweepIntervalMs: lifetimes.sweep_interval * 1_000,
      ...(lp1Seed === undefined ? {} : { lp1: { ed25519Seed: lp1Seed, sessionIdleMs } }),
      ...(this.nym === undefined ? {} : { nym: { ...nymShardOptionsOf(this.config), ...this.nym.keys } }),
    });
    return Array.from(
      { length: shards },
      (_, shard) =>
        new ShardHost(shard, {
          start: () => startShard(shard, shardOptions(shard)),
          router: this.router,
          admission: this.admission,
          acceptor: () => this.acceptor,
          nym: this.nym?.acceptor,
          now: () => clock.now(),
          mailboxLimits: mailboxLimitsOf(this.config),
          startTimeoutMs: SHARD_START_TIMEOUT_MS,
          after: (ms, action) => timers.after(ms, action),
          kemKeys: () => this.kemKeys.packed,
          onRequest: (request) => this.requests.serve(request),
          onFamilyEnded: (family) => this.forwarder.endFamily(family),
          onBatch: (index, ms) => this.countBatch(index, ms),
          onLost: (index, losses) =>
            log.error(
              { shard: index, sessions: losses.sessions, packets: losses.packets, err: losses.reason },
              'shard lost; a fresh one starts',
            ),
          onStartFailed: (index, err) => log.error({ shard: index, err }, 'shard did not start; it is tried again'),
          onFatal: (error) => this.fail(error),
        }),
    );
  }

  private countBatch(shard: number, ms: number): void {
    const batch = this.batches[shard];
    if (batch === undefined) return;
    batch.count++;
    batch.sumMs += ms;
    batch.maxMs = Math.max(batch.maxMs, ms);
  }
}
