/**
 * The responder in process: a shard's whole work for H1 and H3 of LP2 with X-Wing, against the sum of the primitives that
 * these two messages need.
 */
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import { systemRandom } from '../../src/system/random.ts';
import { againstPrimitives, type Primitive } from './against-primitives.ts';
import type { Figure } from './figures.ts';
import { CLIENT_SEED, InProcessGateway } from './in-process.ts';

/** What H1 and H3 need, by lp2.md §4.2: DH es, ee, se, two key pairs' worth of nothing more than needed, and the hashes. */
function primitives(crypto: CryptoProvider): Primitive[] {
  const secret = new Uint8Array(32).fill(9);
  const publicKey = crypto.x25519PublicKey(secret);
  const bytes = (n: number) => new Uint8Array(n).fill(1);
  const kemKey = crypto.kems['x-wing'].secretKeyFromSeed(bytes(32));
  const ciphertext = crypto.kems['x-wing'].encapsulate(kemKey.publicKey, systemRandom)?.ciphertext ?? bytes(1_120);
  const ed25519 = crypto.ed25519PublicKey(CLIENT_SEED);
  const x25519 = crypto.x25519PublicOfEd25519(ed25519) ?? publicKey;
  const [key, nonce, aad] = [bytes(32), bytes(12), bytes(32)];
  const sealed = (n: number) => {
    const out = bytes(n + 16);
    crypto.aeadSeal(out, bytes(n), aad, nonce, key);
    return out;
  };
  const h1 = sealed(1_120);
  const s = sealed(32);
  const out = bytes(1_200);
  return [
    { name: 'X-Wing decapsulation', count: 1, run: () => kemKey.decapsulate(ciphertext) },
    { name: 'X25519 DH (es, ee, se)', count: 3, run: () => crypto.x25519(secret, publicKey) },
    { name: 'X25519 key pair', count: 1, run: () => crypto.x25519PublicKey(secret) },
    { name: 'Ed25519 key against X25519 key', count: 1, run: () => crypto.convertsTo(ed25519, x25519) },
    { name: 'BLAKE3, 1.4 KB (prologue)', count: 1, run: () => crypto.blake3(out) },
    { name: 'BLAKE3, 1.1 KB (H1, ciphertext)', count: 2, run: () => crypto.blake3(h1) },
    { name: 'BLAKE3, 96 B (H3)', count: 1, run: () => crypto.blake3(s) },
    { name: 'KDF (psk)', count: 1, run: () => crypto.kdf('psk', ciphertext.subarray(0, 128)) },
    { name: 'KDF (keys, chain)', count: 3, run: () => crypto.kdf('key i2r', secret) },
    { name: 'HMAC-SHA256 (HKDF of e, es, e, ee, psk, se; root)', count: 18, run: () => crypto.hmacSha256(key, secret) },
    { name: 'SHA-256, short (MixHash)', count: 9, run: () => crypto.sha256(h1.subarray(0, 80)) },
    { name: 'SHA-256, 1.2 KB (MixHash of H1)', count: 1, run: () => crypto.sha256(h1) },
    { name: 'AEAD open, 1.1 KB', count: 1, run: () => crypto.aeadOpen(out.subarray(0, 1_120), h1, aad, nonce, key) },
    { name: 'AEAD, short', count: 4, run: () => crypto.aeadOpen(out.subarray(0, 32), s, aad, nonce, key) },
  ];
}

export async function responderFigure(rounds: number, perRound: number): Promise<Figure> {
  const crypto = await loadProvider('native');
  const gateway = new InProcessGateway(crypto);
  const name = 'responder in process: H1 and H3, X-Wing, native';
  return againstPrimitives(name, (n) => gateway.handshakes(n), primitives(crypto), rounds, perRound);
}
