/**
 * The native and the portable provider on what peers send: the same bytes for the same input, the same refusals, no
 * exception. The first byte of an input chooses the operation.
 */

import type { CryptoProvider, KemName } from '../../../src/lp/crypto/provider.ts';
import { CLIENT, GATEWAY, PROVIDERS } from '../../../test/lp/v1/people.ts';
import { words } from '../arbitraries.ts';
import { type FuzzTarget, plain, sameValue } from '../target.ts';

const KEMS: readonly KemName[] = ['ml-kem-768', 'x-wing'];
const MESSAGE = new Uint8Array(40).fill(3);
const coins = { kind: 'seeded' as const, fill: (out: Uint8Array) => void out.fill(5) };

const part = (input: Uint8Array, from: number, length: number): Uint8Array => {
  const out = new Uint8Array(length);
  out.set(input.subarray(from, from + length));
  return out;
};

const OPERATIONS: readonly ((crypto: CryptoProvider, input: Uint8Array) => unknown)[] = [
  (crypto, input) => crypto.x25519(GATEWAY.secret, part(input, 0, 32)),
  (crypto, input) => [crypto.x25519PublicKey(part(input, 0, 32)), crypto.x25519(part(input, 0, 32), CLIENT.x25519)],
  (crypto, input) => crypto.ed25519Verify(part(input, 0, 32), MESSAGE, part(input, 32, 64)),
  (crypto, input) => crypto.ed25519Verify(CLIENT.ed25519, input.subarray(64), part(input, 0, 64)),
  (crypto, input) => crypto.x25519PublicOfEd25519(part(input, 0, 32)),
  (crypto, input) => {
    const converted = crypto.x25519PublicOfEd25519(part(input, 0, 32));
    const given = part(input, 32, 32);
    return [
      crypto.convertsTo(part(input, 0, 32), given),
      converted && crypto.convertsTo(part(input, 0, 32), converted),
    ];
  },
  (crypto, input) => [crypto.blake3(input), crypto.kdf('psk', input), crypto.sha256(input)],
  (crypto, input) => [crypto.hmacSha256(part(input, 0, 32), input.subarray(32))],
  (crypto, input) => {
    const out = new Uint8Array(Math.max(0, input.length - 16));
    const opened = input.length >= 16 && crypto.aeadOpen(out, input, MESSAGE, new Uint8Array(12), GATEWAY.secret);
    return [opened, out];
  },
  (crypto, input) => {
    const kem = crypto.kems[KEMS[(input[0] ?? 0) % 2] ?? 'x-wing'];
    const publicKey = kem.importPublicKey(repeated(input.subarray(1), kem.publicKeyLength));
    return publicKey && kem.encapsulate(publicKey, coins);
  },
  (crypto, input) => {
    const kem = crypto.kems[KEMS[(input[0] ?? 0) % 2] ?? 'x-wing'];
    const key = kem.secretKeyFromSeed(new Uint8Array(kem.seedLength).fill(2));
    const secret = key.decapsulate(repeated(input.subarray(1), kem.ciphertextLength));
    const other = key.decapsulate(input.subarray(1));
    key.wipe();
    return [secret, other];
  },
];

/** Long values from short inputs. */
function repeated(pattern: Uint8Array, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => pattern[i % Math.max(1, pattern.length)] ?? 0);
}

function run(input: Uint8Array): void {
  const operation = OPERATIONS[(input[0] ?? 0) % OPERATIONS.length];
  const [native, portable] = PROVIDERS.map((crypto) => operation?.(crypto, input.slice(1)));
  sameValue(plain(portable), plain(native), `operation ${(input[0] ?? 0) % OPERATIONS.length}`);
}

/** Edges of the field and points of small order, as they may be sent. */
const P = [0xed, ...new Array<number>(30).fill(0xff), 0x7f];
const dictionary = words(
  P,
  P.map((byte, i) => (i === 0 ? 0xee : byte)),
  P.map((byte, i) => (i === 31 ? 0xff : byte)),
  ...[
    new Array<number>(32).fill(0),
    [1, ...new Array<number>(31).fill(0)],
    [1, ...new Array<number>(30).fill(0), 0x80],
  ],
  [...CLIENT.ed25519],
  [...CLIENT.x25519],
  Buffer.from('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010', 'hex').toJSON().data,
  Buffer.from('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', 'hex').toJSON().data,
  Buffer.from('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800', 'hex').toJSON().data,
);

function seeds(): Uint8Array[] {
  const [native] = PROVIDERS;
  const signature = native.ed25519Sign(CLIENT.seed, MESSAGE);
  return [
    ...OPERATIONS.flatMap((_, i) => [Uint8Array.of(i), Uint8Array.from([i, ...GATEWAY.ed25519, ...GATEWAY.x25519])]),
    Uint8Array.from([2, ...CLIENT.ed25519, ...signature]),
    Uint8Array.from([3, ...signature, ...MESSAGE]),
    ...dictionary.flatMap((word) => [0, 1, 2, 4, 5].map((i) => Uint8Array.from([i, ...word, ...word, ...word]))),
  ];
}

export const targets: readonly FuzzTarget[] = [
  { name: 'crypto-providers', run, seeds, dictionary, maxLength: 1_300, batch: 32, weight: 2 },
];
