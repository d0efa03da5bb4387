/**
 * The gateway's KEM keys (lp2.md §4.1): made and signed once per rotation on one thread, shared byte for byte by all
 * shards, taken until 5 min after `not_after`, then wiped.
 */
import type { CryptoProvider, KemName, KemPublicKey, KemSecretKey } from '../crypto/provider.ts';
import { ascii, concat, readLe64, sameBytes, writeLe64 } from '../wire/bytes.ts';
import { KEY_ID_LENGTH } from '../wire/message.ts';

const VALIDITY_LENGTH = 16;
export const NOT_BEFORE_MARGIN_S = 3_600;
export const KEM_KEY_GRACE_S = 300;
const MAX_KEM_KEY_VALIDITY_S = 8 * 86_400;
const SIGNED_PREFIX = concat(ascii('LP2 KEM key'), Uint8Array.of(0));

/** What a client learns and may keep until `notAfter`. */
export interface KemAnnouncement {
  readonly kem: KemName;
  readonly publicKey: KemPublicKey;
  /** Public key ‖ LE64 not_before ‖ LE64 not_after. */
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
  /** First 8 bytes of B3(KEM id ‖ body ‖ signature). */
  readonly keyId: Uint8Array;
  /** B3(public key), as psk and pins use it. */
  readonly publicKeyHash: Uint8Array;
  /** Unix seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export function kemBodyLength(crypto: CryptoProvider, kem: KemName): number {
  return crypto.kems[kem].publicKeyLength + VALIDITY_LENGTH;
}

export function encodeKemBody(publicKey: Uint8Array, notBefore: number, notAfter: number): Uint8Array {
  const body = new Uint8Array(publicKey.length + VALIDITY_LENGTH);
  body.set(publicKey);
  writeLe64(body, publicKey.length, notBefore);
  writeLe64(body, publicKey.length + 8, notAfter);
  return body;
}

export function signedKemMessage(gatewayEd25519: Uint8Array, kemId: number, body: Uint8Array): Uint8Array {
  return concat(SIGNED_PREFIX, gatewayEd25519, Uint8Array.of(kemId), body);
}

export type KemKeyRefusal = 'signature' | 'validity' | 'too_long_validity' | 'pin' | 'modulus_check' | 'malformed';

export type AnnouncementResult =
  | { readonly kind: 'announcement'; readonly announcement: KemAnnouncement }
  | { readonly kind: 'refuse'; readonly reason: KemKeyRefusal };

function announce(
  crypto: CryptoProvider,
  kem: KemName,
  publicKey: KemPublicKey,
  body: Uint8Array,
  signature: Uint8Array,
): KemAnnouncement {
  const length = crypto.kems[kem].publicKeyLength;
  return {
    kem,
    publicKey,
    body,
    signature,
    keyId: crypto.blake3(concat(Uint8Array.of(crypto.kems[kem].id), body, signature)).slice(0, KEY_ID_LENGTH),
    publicKeyHash: crypto.blake3(publicKey.bytes),
    notBefore: readLe64(body, length),
    notAfter: readLe64(body, length + 8),
  };
}

export interface AnnouncementChecks {
  readonly gatewayEd25519: Uint8Array;
  readonly unixSeconds: number;
  /** Accepted hashes B3(public key); empty: any. */
  readonly pinnedHashes: readonly Uint8Array[];
}

/** The client's checks of a received or cached key, in the order of §4.1. Copies what it keeps. */
export function checkAnnouncement(
  crypto: CryptoProvider,
  kem: KemName,
  body: Uint8Array,
  signature: Uint8Array,
  checks: AnnouncementChecks,
): AnnouncementResult {
  const suite = crypto.kems[kem];
  if (body.length !== kemBodyLength(crypto, kem) || signature.length !== 64)
    return { kind: 'refuse', reason: 'malformed' };
  const message = signedKemMessage(checks.gatewayEd25519, suite.id, body);
  if (!crypto.ed25519Verify(checks.gatewayEd25519, message, signature)) return { kind: 'refuse', reason: 'signature' };
  const notBefore = readLe64(body, suite.publicKeyLength);
  const notAfter = readLe64(body, suite.publicKeyLength + 8);
  if (checks.unixSeconds < notBefore || checks.unixSeconds > notAfter) return { kind: 'refuse', reason: 'validity' };
  if (notAfter - notBefore > MAX_KEM_KEY_VALIDITY_S) return { kind: 'refuse', reason: 'too_long_validity' };
  const publicKeyBytes = body.slice(0, suite.publicKeyLength);
  if (checks.pinnedHashes.length > 0) {
    const hash = crypto.blake3(publicKeyBytes);
    if (!checks.pinnedHashes.some((pinned) => sameBytes(pinned, hash))) return { kind: 'refuse', reason: 'pin' };
  }
  const publicKey = suite.importPublicKey(publicKeyBytes);
  if (publicKey === undefined) return { kind: 'refuse', reason: 'modulus_check' };
  return { kind: 'announcement', announcement: announce(crypto, kem, publicKey, body.slice(), signature.slice()) };
}

/** A key pair as it crosses to the shards: the seed is secret. */
export interface KemKeyMaterial {
  readonly kem: KemName;
  readonly seed: Uint8Array;
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
}

/** Makes and signs a key pair. Takes over `seed`, which becomes part of the material. */
export function createKemKey(
  crypto: CryptoProvider,
  kem: KemName,
  seed: Uint8Array,
  identity: { readonly ed25519Seed: Uint8Array; readonly ed25519Public: Uint8Array },
  createdUnixS: number,
  rotationS: number,
): KemKeyMaterial {
  const secretKey = crypto.kems[kem].secretKeyFromSeed(seed);
  const body = encodeKemBody(
    secretKey.publicKey.bytes,
    createdUnixS - NOT_BEFORE_MARGIN_S,
    createdUnixS + 2 * rotationS,
  );
  secretKey.wipe();
  const message = signedKemMessage(identity.ed25519Public, crypto.kems[kem].id, body);
  return { kem, seed, body, signature: crypto.ed25519Sign(identity.ed25519Seed, message) };
}

export interface KemKey {
  readonly announcement: KemAnnouncement;
  readonly secretKey: KemSecretKey;
}

/** Takes over the material; its seed is wiped. */
export function importKemKey(crypto: CryptoProvider, material: KemKeyMaterial): KemKey {
  const secretKey = crypto.kems[material.kem].secretKeyFromSeed(material.seed);
  material.seed.fill(0);
  const { kem, body, signature } = material;
  return { announcement: announce(crypto, kem, secretKey.publicKey, body, signature), secretKey };
}

/** The keys that a shard takes, newest last. Bounded by rotation: a key lives for twice the rotation and 5 min. */
export class KemKeyRing {
  private readonly keys: KemKey[] = [];
  private readonly crypto: CryptoProvider;

  constructor(crypto: CryptoProvider) {
    this.crypto = crypto;
  }

  get length(): number {
    return this.keys.length;
  }

  add(material: KemKeyMaterial): void {
    this.keys.push(importKemKey(this.crypto, material));
  }

  offers(kemId: number): boolean {
    return this.keys.some((key) => this.idOf(key) === kemId);
  }

  /** The key that KKT hands out: the newest of its suite. */
  newest(kemId: number): KemAnnouncement | undefined {
    return this.keys.findLast((key) => this.idOf(key) === kemId)?.announcement;
  }

  find(kemId: number, keyId: Uint8Array, unixMs: number): KemKey | undefined {
    const key = this.keys.find((k) => this.idOf(k) === kemId && sameBytes(k.announcement.keyId, keyId));
    return key === undefined || pastGrace(key, unixMs) ? undefined : key;
  }

  /**
   * The newest of each suite stays until another takes its place, though it opens nothing beyond its time: the next one comes
   * within seconds, unless the clock was wrong and has come back, and then this one is still good.
   */
  wipeExpired(unixMs: number): void {
    for (let i = this.keys.length - 1; i >= 0; i--) {
      const key = this.keys[i];
      if (key === undefined || !pastGrace(key, unixMs) || this.isNewest(key)) continue;
      key.secretKey.wipe();
      this.keys.splice(i, 1);
    }
  }

  wipe(): void {
    for (const key of this.keys) key.secretKey.wipe();
    this.keys.length = 0;
  }

  private isNewest(key: KemKey): boolean {
    return this.keys.findLast(({ announcement }) => announcement.kem === key.announcement.kem) === key;
  }

  private idOf(key: KemKey): number {
    return this.crypto.kems[key.announcement.kem].id;
  }
}

function pastGrace(key: KemKey, unixMs: number): boolean {
  return unixMs > (key.announcement.notAfter + KEM_KEY_GRACE_S) * 1_000;
}
