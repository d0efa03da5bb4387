/**
 * Small things in this process, each alone in a loop: primitives by provider, and the codecs that every packet passes. Absolute
 * times, hence a yardstick that says how fast the machine was.
 */
import { createHash } from 'node:crypto';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { CryptoProvider, KemName } from '../../src/lp/crypto/provider.ts';
import { systemRandom } from '../../src/system/random.ts';
import { PROVIDERS } from './core.ts';
import { type Figure, figure } from './figures.ts';
import { codecs } from './micro-codecs.ts';
import type { Micro } from './micro-operation.ts';
import { timed } from './own-time.ts';

/** A round lasts so long, by what the warm-up shows; half of it in a quick run. */
const ROUND_US = 4_000;
const MAX_OPERATIONS = 20_000;

const bytes = (n: number) => new Uint8Array(n).fill(1);

function hashes(crypto: CryptoProvider): Micro[] {
  const [short, long, key] = [bytes(64), bytes(1_024), bytes(32)];
  const us = (name: string, run: () => unknown): Micro => ({ name, unit: 'us', per: 1, run });
  return [
    us('sha256-64', () => crypto.sha256(short)),
    us('hmac-sha256-64', () => crypto.hmacSha256(key, short)),
    us('blake3-64', () => crypto.blake3(short)),
    us('blake3-1024', () => crypto.blake3(long)),
    us('kdf-64', () => crypto.kdf('psk', short)),
  ];
}

function ciphers(crypto: CryptoProvider): Micro[] {
  const [key, nonce, aad] = [bytes(32), bytes(12), bytes(12)];
  return [256, 1_024].flatMap((length): Micro[] => {
    const plaintext = bytes(length);
    const sealed = bytes(length + 16);
    const opened = bytes(length);
    const out = bytes(length + 16);
    crypto.aeadSeal(sealed, plaintext, aad, nonce, key);
    return [
      { name: `aead-seal-${length}`, unit: 'us', per: 1, run: () => crypto.aeadSeal(out, plaintext, aad, nonce, key) },
      { name: `aead-open-${length}`, unit: 'us', per: 1, run: () => crypto.aeadOpen(opened, sealed, aad, nonce, key) },
    ];
  });
}

function curves(crypto: CryptoProvider): Micro[] {
  const [secret, message] = [bytes(32), bytes(64)];
  const publicKey = crypto.x25519PublicKey(bytes(32).fill(9));
  const ed25519 = crypto.ed25519PublicKey(secret);
  const x25519 = crypto.x25519PublicOfEd25519(ed25519) ?? publicKey;
  const signature = crypto.ed25519Sign(secret, message);
  return [
    { name: 'x25519', unit: 'us', per: 1, run: () => crypto.x25519(secret, publicKey) },
    { name: 'x25519-key-pair', unit: 'us', per: 1, run: () => crypto.x25519PublicKey(secret) },
    { name: 'ed25519-sign', unit: 'us', per: 1, run: () => crypto.ed25519Sign(secret, message) },
    { name: 'ed25519-verify', unit: 'us', per: 1, run: () => crypto.ed25519Verify(ed25519, message, signature) },
    { name: 'ed25519-converts-to', unit: 'us', per: 1, run: () => crypto.convertsTo(ed25519, x25519) },
  ];
}

function kems(crypto: CryptoProvider): Micro[] {
  return (['x-wing', 'ml-kem-768'] as const).flatMap((name: KemName): Micro[] => {
    const kem = crypto.kems[name];
    const seed = bytes(kem.seedLength);
    const key = kem.secretKeyFromSeed(seed);
    const ciphertext = kem.encapsulate(key.publicKey, systemRandom)?.ciphertext ?? bytes(kem.ciphertextLength);
    return [
      { name: `${name}-key-pair`, unit: 'us', per: 1, run: () => kem.secretKeyFromSeed(seed).wipe() },
      { name: `${name}-encapsulate`, unit: 'us', per: 1, run: () => kem.encapsulate(key.publicKey, systemRandom) },
      { name: `${name}-decapsulate`, unit: 'us', per: 1, run: () => key.decapsulate(ciphertext) },
    ];
  });
}

/** The same work on every version of this project: ratios of it between two runs are the machine's. */
function yardstick(): Micro {
  const data = bytes(65_536);
  return { name: 'yardstick', unit: 'us', per: 1, run: () => createHash('sha512').update(data).digest() };
}

function measure(micro: Micro, rounds: number, roundUs: number): Figure {
  // Long enough for the compiler, short enough for a portable decapsulation.
  const first = Math.max(0.01, Math.min(timed(3, micro.run), timed(3, micro.run)));
  timed(Math.max(3, Math.min(MAX_OPERATIONS, Math.ceil(roundUs / first))), micro.run);
  const warm = Math.max(0.005, timed(3, micro.run));
  const n = Math.max(3, Math.min(MAX_OPERATIONS, Math.ceil(roundUs / warm)));
  const scale = (micro.unit === 'ns' ? 1e3 : 1) / micro.per;
  const values = Array.from({ length: rounds }, () => timed(n, micro.run) * scale);
  return figure(`micro/${micro.name}`, micro.unit, values);
}

export async function microFigures(quick: boolean): Promise<Figure[]> {
  const micros: Micro[] = [yardstick()];
  for (const provider of PROVIDERS) {
    const crypto = await loadProvider(provider);
    for (const each of [...hashes(crypto), ...ciphers(crypto), ...curves(crypto), ...kems(crypto)]) {
      micros.push({ ...each, name: `${provider}-${each.name}` });
    }
  }
  micros.push(...codecs());
  const [rounds, roundUs] = quick ? [5, ROUND_US / 2] : [11, ROUND_US];
  return micros.map((micro) => measure(micro, rounds, roundUs));
}
