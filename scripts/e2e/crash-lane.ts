/**
 * One gateway and its customers, round after round: it starts, lost answers are asked for again, everything is compared, it
 * works, and it is killed at a moment that the seed picks: while it starts, while it answers the repeats, or under load. After
 * each kill a copy of its store is compared with what was acknowledged (crash-store.ts).
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type Client, connect, type KemKeyCache, LewesError, MemoryKemKeyCache } from '../../src/client/index.ts';
import type { BlindKey } from '../../src/issuer/blind-key.ts';
import { readKeyRecords, readPrivateKey } from '../../src/issuer/key-file.ts';
import { encodeTokenChallenge } from '../../src/lp/wire/privacy-pass.ts';
import { mintToken } from '../../test/support/mint.ts';
import { Prng } from '../../test/support/prng.ts';
import { must } from '../../test/support/property.ts';
import { BANDWIDTH, Customer, type OperationKind } from './crash-customers.ts';
import { CrashGateway, type ReadyGateway } from './crash-gateway.ts';
import { checkStore, type Found } from './crash-store.ts';
import type { WireGuardGo } from './wireguard-go.ts';

const ISSUER = 'issuer.example';
const CUSTOMERS = 96;
const CONNECTIONS = 6;
/** Requests under way at once on each connection. */
const WORKERS = 4;
/** A start takes a second. */
const STARTING_MS = 1_000;
const REPEATS = 40;
const LOAD_ANSWERS = 80;
const AFTER_ANSWER_MS = 4;
/** For status and peers to be what they have to be. */
const SETTLE_MS = 5_000;

type Moment =
  | { readonly kind: 'starting'; readonly afterMs: number }
  /** After so many answers since it was ready, or under load. */
  | { readonly kind: 'repeating' | 'working'; readonly answers: number; readonly afterMs: number };

export interface LaneOptions {
  readonly seed: number;
  readonly dataDir: string;
  /** Without one, tunnels are in memory. */
  readonly wireguard: WireGuardGo | undefined;
}

export class Lane {
  readonly kills = { starting: 0, repeating: 0, working: 0 };
  readonly totals = { answers: 0, done: 0, undone: 0, tokens: 0, startMs: 0, starts: 0, checkMs: 0 };
  readonly #options: LaneOptions;
  readonly #prng: Prng;
  readonly #customers: readonly Customer[];
  readonly #configFile: string;
  #key!: BlindKey;
  #challenge!: Uint8Array;
  #gateway!: CrashGateway;
  #keyCache: KemKeyCache = new MemoryKemKeyCache();
  #clients: Client[] = [];
  #moment: Moment | undefined;
  /** Answers of this round, or of its load. */
  #answers = 0;
  #isLoading = false;
  #fault: Error | undefined;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#prng = new Prng(options.seed);
    this.#customers = Array.from({ length: CUSTOMERS }, () => new Customer(this.#prng));
    this.#configFile = join(options.dataDir, 'crash.toml');
    writeFileSync(this.#configFile, configOf(options.wireguard));
  }

  /** An orderly start and end: identity and keys are made, and what is compiled is kept for the starts to come. */
  async prepare(): Promise<void> {
    const ready = await this.#start();
    this.#challenge = encodeTokenChallenge({ issuerName: ISSUER, originInfo: ready.identity });
    await this.#gateway.stop();
    this.#key = issuerKey(join(this.#options.dataDir, 'issuer-keys'));
  }

  async round(): Promise<void> {
    const moment = this.#somewhen();
    this.#moment = moment;
    this.#answers = 0;
    const started = performance.now();
    this.#gateway = new CrashGateway(this.#options.dataDir, ['--config', this.#configFile]);
    if (moment.kind === 'starting') await wait(moment.afterMs);
    else await this.#work(started);
    this.#gateway.kill();
    await this.#gateway.ended;
    this.kills[moment.kind] += 1;
    await this.#look();
  }

  /** Everything once more, with an orderly end. */
  async finish(): Promise<Found> {
    this.#moment = undefined;
    await this.#meet(await this.#start());
    await this.#repeat();
    await this.#compare(await this.#gateway.ready);
    await this.#inParallel(this.#customers, (client, customer) => customer.again(client, 'balance'));
    await this.#leave();
    await this.#gateway.stop();
    return this.#look();
  }

  async abandon(): Promise<void> {
    this.#gateway?.kill();
    await this.#gateway?.ended;
    await this.#leave();
  }

  async #start(): Promise<ReadyGateway> {
    this.#gateway = new CrashGateway(this.#options.dataDir, ['--config', this.#configFile]);
    return this.#gateway.ready;
  }

  async #work(started: number): Promise<void> {
    const ready = await this.#gateway.ready;
    this.totals.startMs += performance.now() - started;
    this.totals.starts += 1;
    // A client would wait for an answer until its time is over: its session might still be there.
    void this.#gateway.ended.then(() => this.#leave());
    await this.#meet(ready);
    await this.#repeat();
    try {
      if (!this.#gateway.killed) await this.#compare(ready);
    } catch (error) {
      // Killed in the midst of it.
      if (!this.#gateway.killed) throw error;
    }
    if (!this.#gateway.killed) await this.#load();
    await this.#leave();
    if (this.#fault !== undefined) throw this.#fault;
  }

  async #meet({ address, identity }: ReadyGateway): Promise<void> {
    this.#keyCache = new MemoryKemKeyCache();
    const options = { gateway: { address, identity }, keyCache: this.#keyCache, reconnect: false };
    this.#clients = [await connect(options)];
    const rest = Array.from({ length: CONNECTIONS - 1 }, () => connect(options));
    this.#clients.push(...(await Promise.all(rest)));
  }

  async #leave(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    this.#clients = [];
  }

  /** Whose answer was lost asks again; some others do, too. */
  async #repeat(): Promise<void> {
    const others = this.#customers.filter(({ pending }) => pending === undefined && this.#prng.chance(0.2));
    const lost = this.#customers.filter(({ pending }) => pending !== undefined);
    await this.#inParallel([...lost, ...others], (client, customer) =>
      customer.pending === undefined ? customer.again(client, 'balance') : customer.finish(client),
    );
  }

  /** Nothing is under way: status and WireGuard show exactly what stands. */
  async #compare({ admin }: ReadyGateway): Promise<void> {
    if (this.#customers.some(({ pending }) => pending !== undefined)) return;
    const standing = this.#customers.filter((customer) => customer.standing !== undefined);
    const wanted = JSON.stringify([standing.length, standing.length, standing.length]);
    await eventually('status', wanted, async () => {
      const response = await fetch(`http://${admin}/status`);
      const { registrations, leases, store } = JSON.parse(await response.text());
      return JSON.stringify([registrations.dvpn.active, leases.ipv4.allocated, store.registrations]);
    });
    const { wireguard } = this.#options;
    if (wireguard === undefined) return;
    await eventually('peers', peersOf(standing), () => peersAt(wireguard));
  }

  async #load(): Promise<void> {
    this.#answers = 0;
    this.#isLoading = true;
    const tokens = Array.from({ length: LOAD_ANSWERS }, () => mintToken(this.#key, this.#challenge));
    const worker = async (client: Client) => {
      while (!this.#gateway.killed && this.#fault === undefined && tokens.length > 0) {
        const customer = this.#prng.pick(this.#customers.filter(({ busy, pending }) => !busy && pending === undefined));
        await this.#guarded(customer, () => this.#someOperation(client, customer, tokens));
      }
    };
    await Promise.all(this.#clients.flatMap((client) => Array.from({ length: WORKERS }, () => worker(client))));
    // Where the tokens ran out first.
    this.#gateway.kill();
    this.#isLoading = false;
  }

  #someOperation(client: Client, customer: Customer, tokens: Uint8Array[]): Promise<void> {
    const prng = this.#prng;
    const { standing } = customer;
    if (standing === undefined) {
      const robbed = prng.pick(this.#customers).spent.at(-1);
      if (prng.chance(0.1) && robbed !== undefined) return customer.steal(client, robbed);
      return customer.start(client, prng.chance(0.6) ? 'register' : 'enrol', tokens.pop(), prng);
    }
    if (prng.chance(0.2)) return customer.again(client, prng.pick(['balance', 'register', 'quote']));
    const kind: OperationKind = prng.pick(['topup', 'topup', 'rekey', 'release']);
    return customer.start(client, kind, kind === 'topup' ? tokens.pop() : undefined, prng);
  }

  async #inParallel(customers: readonly Customer[], act: (client: Client, customer: Customer) => Promise<void>) {
    const left = [...customers];
    const worker = async (client: Client) => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) {
        const customer = next;
        if (this.#gateway.killed || this.#fault !== undefined) return;
        await this.#guarded(customer, () => act(client, customer));
      }
    };
    await Promise.all(this.#clients.flatMap((client) => Array.from({ length: WORKERS }, () => worker(client))));
    if (this.#fault !== undefined) throw this.#fault;
  }

  /** An answer that was lost is nobody's fault once the gateway has been killed. */
  async #guarded(customer: Customer, act: () => Promise<void>): Promise<void> {
    customer.busy = true;
    try {
      await act();
      this.#answered();
    } catch (error) {
      const isLost = this.#gateway.killed && error instanceof LewesError;
      if (!isLost) this.#fault ??= error instanceof Error ? error : new Error(String(error));
    } finally {
      customer.busy = false;
    }
  }

  #answered(): void {
    this.totals.answers += 1;
    this.#answers += 1;
    const moment = this.#moment;
    if (moment === undefined || moment.kind === 'starting' || this.#answers !== moment.answers) return;
    if (moment.kind === 'working' && !this.#isLoading) return;
    if (moment.afterMs === 0) this.#gateway.kill();
    else setTimeout(() => this.#gateway.kill(), moment.afterMs);
  }

  async #look(): Promise<Found> {
    const started = performance.now();
    const found = await checkStore(join(this.#options.dataDir, 'store'), this.#customers);
    this.totals.checkMs += performance.now() - started;
    this.totals.done += found.done;
    this.totals.undone += found.undone;
    this.totals.tokens = found.tokens;
    return found;
  }

  #somewhen(): Moment {
    const prng = this.#prng;
    const chance = prng.below(100);
    if (chance < 15) return { kind: 'starting', afterMs: prng.below(STARTING_MS) };
    const kind = chance < 30 ? 'repeating' : 'working';
    const answers = 1 + prng.below(kind === 'repeating' ? REPEATS : LOAD_ANSWERS);
    return { kind, answers, afterMs: prng.below(AFTER_ANSWER_MS) };
  }
}

function configOf(wireguard: WireGuardGo | undefined): string {
  const interface_ = wireguard === undefined ? '"memory"' : `"uapi"\ninterface = "${wireguard.name}"`;
  return `
[gateway]
listen = "127.0.0.1:0"
shards = 1
[admin]
listen = "127.0.0.1:0"
[registration]
ipv4_pool = "10.200.0.0/24"
endpoints = ["192.0.2.1:51820"]
bandwidth = ${BANDWIDTH}
[credentials]
issuer_name = "${ISSUER}"
[wireguard]
kind = ${interface_}
[[limits.listed]]
cidr = "127.0.0.1/32"
handshakes_per_second = 2000
burst = 8000
sessions = 100000
quotes = 1000
`;
}

function issuerKey(directory: string): BlindKey {
  const now = Date.now() / 1_000;
  const record = readKeyRecords(directory).find(({ notBefore, issueUntil }) => notBefore <= now && now < issueUntil);
  const key = record && readPrivateKey(directory, record.id);
  if (key === undefined) throw new Error('the gateway has no issuer key');
  return key;
}

async function eventually(what: string, wanted: string, look: () => Promise<string>): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const found = await look();
    if (found === wanted) return;
    must(performance.now() < deadline, () => `${what}: ${found}, not ${wanted}`);
    await wait(20);
  }
}

/** Without preshared keys in what a failure prints: their first bytes tell them apart. */
function peersOf(customers: readonly Customer[]): string {
  const lines = customers.map(({ wgPublicKey, standing }) => {
    const bytes = Buffer.from(standing?.addresses ?? '', 'hex');
    const key = Buffer.from(standing?.presharedKey ?? '', 'hex').toString('base64');
    return `${Buffer.from(wgPublicKey).toString('base64')} ${key.slice(0, 8)} ${bytes.subarray(0, 4).join('.')}/32`;
  });
  return lines.sort().join('\n');
}

async function peersAt(wireguard: WireGuardGo): Promise<string> {
  const lines = (await wireguard.wg('show', wireguard.name, 'dump')).trim().split('\n').slice(1);
  const peers = lines.map((line) => {
    const [publicKey = '', presharedKey = '', , allowedIps = ''] = line.split('\t');
    return `${publicKey} ${presharedKey.slice(0, 8)} ${allowedIps.split(',').find((each) => !each.includes(':'))}`;
  });
  return peers.sort().join('\n');
}
