/**
 * Everything of a chaos run: two gateways with proxies before each, a small disk for the store, a WireGuard interface, and the
 * watch over logs, memory and sealings. Invariant: what was made is gone after `remove`, or when this process exits.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type NymNodeData, nymNodeByHand } from '../../src/client/index.ts';
import type { NymKeys } from '../../src/gateway/nym/nym-service.ts';
import { type BlindKey, generateBlindKey } from '../../src/issuer/blind-key.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { nymCrypto } from '../../src/lp/crypto/nym-load.ts';
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import { encodeTokenChallenge } from '../../src/lp/wire/privacy-pass.ts';
import { encodeBase58 } from '../../src/ops/base58.ts';
import { systemRandom } from '../../src/system/random.ts';
import type { Prng } from '../../test/support/prng.ts';
import { atExit } from '../e2e/at-exit.ts';
import { WireGuardGo } from '../e2e/wireguard-go.ts';
import { Shop } from './buyers.ts';
import type { ChildSetup } from './child-messages.ts';
import { entryConfig, exitConfig, ISSUER, MAX_REPLACEMENTS, REPLACEMENT_WINDOW_MS } from './config.ts';
import { Doors } from './doors.ts';
import { ChaosGateway } from './gateway-process.ts';
import { isExpected, isExpectedToSay, type LogLine, type MemoryBound, type Violations } from './invariants.ts';
import type { FaultKind, Need } from './kinds.ts';
import { Load } from './load.ts';
import { Replacements } from './schedule.ts';
import { recordSeals } from './seal-record.ts';
import { SealWatch } from './seal-table.ts';
import { SmallDisk } from './tmpfs.ts';

const SHARDS = 2;
const CUSTOMERS = 32;
const DISK_BYTES = 24 * 2 ** 20;
/** `--max-old-space-size` of the process would stand above it. */
const SHARD_HEAP_MB = 48;
/** The entry's: what it has open without clients, the clients of the load, and some. */
export const ENTRY_DESCRIPTORS = 204;
const EXIT_DESCRIPTORS = 1_024;

interface WorldParts {
  readonly directory: string;
  readonly crypto: CryptoProvider;
  readonly violations: Violations;
  readonly memory: MemoryBound;
  readonly entryDoors: Doors;
  readonly exitDoors: Doors;
  readonly wireguard: WireGuardGo | undefined;
  readonly disk: SmallDisk | undefined;
  readonly issuerKey: BlindKey;
  readonly setups: { readonly entry: ChildSetup; readonly exit: ChildSetup };
  readonly shop: Shop;
  readonly seals: SealWatch;
  readonly load: Load;
}

export interface WorldOptions {
  readonly prng: Prng;
  readonly violations: Violations;
  readonly memory: MemoryBound;
  /** What is not to be used. */
  readonly without: readonly Need[];
}

export class World {
  readonly parts: WorldParts;
  readonly replacements = new Replacements(MAX_REPLACEMENTS - 1, REPLACEMENT_WINDOW_MS);
  /** Faults whose complaints are expected now. */
  excused: readonly FaultKind[] = [];
  /** Faults so far: what a library writes to standard error may come at the end of the process only. */
  readonly struck: FaultKind[] = [];
  #entry: ChaosGateway | undefined;
  #exit: ChaosGateway | undefined;
  readonly #undo: (() => unknown)[];

  private constructor(parts: WorldParts, undo: (() => unknown)[]) {
    this.parts = parts;
    this.#undo = undo;
  }

  /** Resolves when both gateways are ready; the load is not started. */
  static async create(options: WorldOptions): Promise<World> {
    const undo: (() => unknown)[] = [];
    let world: World | undefined;
    try {
      world = new World(await makeParts(options, undo), undo);
      await world.startExit();
      await world.startEntry();
      return world;
    } catch (error) {
      await (world === undefined ? undoAll(undo) : world.remove());
      throw error;
    }
  }

  get entry(): ChaosGateway {
    return there(this.#entry);
  }

  get exit(): ChaosGateway {
    return there(this.#exit);
  }

  get storePath(): string {
    return this.parts.setups.entry.storePath;
  }

  async startEntry(): Promise<void> {
    const { setups, entryDoors } = this.parts;
    this.#entry = await this.#start('entry', setups.entry, ENTRY_DESCRIPTORS);
    this.replacements.forget();
    entryDoors.open(this.#entry);
  }

  async startExit(): Promise<void> {
    const { setups, exitDoors } = this.parts;
    this.#exit = await this.#start('exit', setups.exit, EXIT_DESCRIPTORS);
    exitDoors.open(this.#exit);
  }

  /** One that may be replaced once more within its minute, after a wait if need be; noted as struck if it will be. */
  async chooseThread(threads: readonly string[], willBeReplaced: boolean): Promise<string> {
    for (;;) {
      const { monotonicMs } = await this.entry.status();
      const { thread, waitMs } = this.replacements.choose(threads, monotonicMs);
      if (!willBeReplaced) return thread;
      if (waitMs <= 0) {
        this.replacements.note(thread, monotonicMs);
        return thread;
      }
      await wait(waitMs);
    }
  }

  /** Memory, and what was sealed since the last look. */
  async look(): Promise<void> {
    const { seals, violations, memory } = this.parts;
    seals.look();
    const entry = this.#entry;
    if (entry === undefined || entry.over || entry.paused) return;
    // Killed or stopped meanwhile, it does not answer; that is no news.
    const status = await entry.status().catch(() => undefined);
    if (status !== undefined && !memory.note(status.rssBytes)) {
      violations.tell(`the entry has ${inMiB(status.rssBytes)} in memory, the bound is ${inMiB(memory.boundBytes)}`);
    }
  }

  async remove(): Promise<void> {
    for (const gateway of [this.#entry, this.#exit]) {
      if (gateway?.paused) gateway.proceed();
      await gateway?.kill();
    }
    await undoAll(this.#undo);
  }

  #start(name: string, setup: ChildSetup, descriptors: number): Promise<ChaosGateway> {
    const { violations, directory } = this.parts;
    const setting = { descriptors, compileCache: join(directory, 'compiled') };
    return ChaosGateway.start(name, setup, setting, {
      line: (line) => this.#logged(name, line),
      said: (text) => isExpectedToSay(text, this.struck) || violations.tell(`${name} said: ${text}`),
      endedByItself: (how, lastWords) => violations.tell(`the ${name} ended by itself: ${how}\n${lastWords}`),
    });
  }

  #logged(name: string, line: LogLine): void {
    const { violations } = this.parts;
    if (isExpected(line, this.excused)) return;
    violations.tell(`${name} logged: ${JSON.stringify(line)}`);
  }
}

async function makeParts(
  { prng, violations, memory, without }: WorldOptions,
  undo: (() => unknown)[],
): Promise<WorldParts> {
  const directory = mkdtempSync(join(tmpdir(), 'lewes-chaos-'));
  atExit(undo, ['rm', '-rf', '--one-file-system', directory]);
  undo.push(() => {
    rmSync(directory, { recursive: true, force: true });
    atExit(undo, undefined);
  });
  const disk = without.includes('disk') ? undefined : SmallDisk.mount(join(directory, 'disk'), DISK_BYTES);
  if (disk !== undefined) undo.push(() => disk.remove());
  const wireguard = without.includes('wireguard') ? undefined : await WireGuardGo.create();
  if (wireguard !== undefined) undo.push(() => wireguard.remove());
  const [entryDoors, exitDoors] = [await Doors.listen(prng), await Doors.listen(prng)];
  for (const doors of [entryDoors, exitDoors]) undo.push(() => doors.close());

  const crypto = await loadProvider('auto');
  const issuerKey = await generateBlindKey();
  const sealDirectory = join(directory, 'seals');
  mkdirSync(sealDirectory);
  const seals = new SealWatch(sealDirectory, (where) =>
    violations.tell(`a nonce was used twice under one key: ${where}`),
  );
  const sealSalt = random(16);
  const [entrySeed, exitSeed] = [random(32), random(32)];
  const [entryKey, exitKey] = [crypto.ed25519PublicKey(entrySeed), crypto.ed25519PublicKey(exitSeed)];
  const plan = {
    shards: SHARDS,
    exitIdentity: encodeBase58(exitKey),
    exitPort: exitDoors.lp.port,
    exitNymPort: exitDoors.nym.port,
    wireGuard: wireguard?.name,
  };
  const setup = (name: string, config: string, seed: Uint8Array): ChildSetup => {
    const configFile = join(directory, `${name}.toml`);
    writeFileSync(configFile, config);
    return {
      configFile,
      seed,
      issuerSpki: issuerKey.spki,
      storePath: join(disk?.path ?? directory, 'store'),
      wireGuardSecret: random(32),
      nymKeys: { lpSecret: clampedSecret(), kemSeed: random(64) },
      sealPath: join(sealDirectory, name),
      sealSalt,
      shardHeapMb: SHARD_HEAP_MB,
    };
  };
  const setups = {
    entry: setup('entry', entryConfig(plan), entrySeed),
    exit: setup('exit', exitConfig(), exitSeed),
  };
  const challenge = encodeTokenChallenge({ issuerName: ISSUER, originInfo: encodeBase58(entryKey) });
  const shop = new Shop({ prng, issuerKey, challenge, customers: CUSTOMERS });
  const load = new Load({
    crypto: recordSeals(crypto, sealSalt, (record) => seals.note(record, 'a client')),
    violations,
    shop,
    entry: { address: entryDoors.lp.address, identity: entryKey },
    exit: { address: exitDoors.lp.address, identity: exitKey },
    nym: {
      entry: nymNodeOf(crypto, setups.entry.nymKeys, entryDoors.nym.address),
      exit: nymNodeOf(crypto, setups.exit.nymKeys, exitDoors.nym.address),
      harmedSince: (ms) => [entryDoors, exitDoors].some(({ nym }) => nym.harmedSince(ms)),
    },
  });
  return {
    directory,
    crypto,
    violations,
    memory,
    entryDoors,
    exitDoors,
    wireguard,
    disk,
    issuerKey,
    setups,
    shop,
    seals,
    load,
  };
}

/** The last made first; an error of one holds up none of the others. */
async function undoAll(undo: (() => unknown)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of undo.splice(0).reverse()) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, `not everything could be removed: ${String(errors[0])}`);
}

function random(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  systemRandom.fill(bytes);
  return bytes;
}

/** Of X25519, as key files have it. */
function clampedSecret(): Uint8Array {
  const secret = random(32);
  secret[0] = (secret[0] ?? 0) & 0xf8;
  secret[31] = ((secret[31] ?? 0) & 0x7f) | 0x40;
  return secret;
}

/** As clients know it, behind its proxy. */
function nymNodeOf(crypto: CryptoProvider, { lpSecret, kemSeed }: NymKeys, address: string): NymNodeData {
  const kem = crypto.kems['ml-kem-768'].secretKeyFromSeed(kemSeed);
  const kemDigest = nymCrypto(crypto).digest('blake3', kem.publicKey.bytes);
  kem.wipe();
  return nymNodeByHand({ address, lpKey: crypto.x25519PublicKey(lpSecret), kemDigest });
}

export function inMiB(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}

function there<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('assertion: it has been started');
  return value;
}
