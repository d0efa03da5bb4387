/**
 * The node's KEM keys (lp2.md §4.1): made and signed here, one pair per offered suite and rotation, and handed to every
 * shard. Packed copies are kept until the keys are past their grace, for a shard that is replaced; never written to disk.
 */
import type { CryptoProvider, KemName, RandomSource } from '../lp/crypto/provider.ts';
import { createKemKey, KEM_KEY_GRACE_S, NOT_BEFORE_MARGIN_S } from '../lp/v2/kem-key.ts';
import { packKemKey } from '../shard/payloads.ts';

export interface KemKeyOptions {
  readonly suites: readonly KemName[];
  readonly rotationS: number;
  readonly ed25519Seed: Uint8Array;
  readonly ed25519Public: Uint8Array;
}

interface PackedKey {
  readonly packed: Uint8Array;
  readonly createdS: number;
  readonly wipeAtS: number;
}

export class KemKeys {
  private keys: PackedKey[] = [];
  private lastCreatedS = Number.NEGATIVE_INFINITY;
  private readonly crypto: CryptoProvider;
  private readonly random: RandomSource;
  private readonly options: KemKeyOptions;

  constructor(crypto: CryptoProvider, random: RandomSource, options: KemKeyOptions) {
    this.crypto = crypto;
    this.random = random;
    this.options = options;
  }

  get packed(): readonly Uint8Array[] {
    return this.keys.map((key) => key.packed);
  }

  /**
   * New keys where a rotation is due (the first call always makes some); wipes those past their grace. Validity follows the
   * wall clock, which clients compare with: after it went back beyond the newest keys' not_before, those are of no use to
   * anybody, and new ones take their place.
   */
  rotate(unixS: number): readonly Uint8Array[] {
    this.keep((key) => unixS <= key.wipeAtS);
    const notYetValid = unixS < this.lastCreatedS - NOT_BEFORE_MARGIN_S;
    if (notYetValid) this.keep((key) => unixS >= key.createdS - NOT_BEFORE_MARGIN_S);
    else if (unixS - this.lastCreatedS < this.options.rotationS) return [];
    this.lastCreatedS = unixS;
    const made = this.options.suites.map((kem) => this.make(kem, unixS));
    this.keys.push(...made);
    return made.map((key) => key.packed);
  }

  wipe(): void {
    this.keep(() => false);
    this.options.ed25519Seed.fill(0);
  }

  private keep(wanted: (key: PackedKey) => boolean): void {
    for (const key of this.keys) if (!wanted(key)) key.packed.fill(0);
    this.keys = this.keys.filter(wanted);
  }

  private make(kem: KemName, unixS: number): PackedKey {
    const seed = new Uint8Array(this.crypto.kems[kem].seedLength);
    this.random.fill(seed);
    const material = createKemKey(this.crypto, kem, seed, this.options, unixS, this.options.rotationS);
    const packed = packKemKey(material);
    seed.fill(0);
    return { packed, createdS: unixS, wipeAtS: unixS + 2 * this.options.rotationS + KEM_KEY_GRACE_S };
  }
}
