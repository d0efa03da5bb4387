/**
 * Primitives alone, one fixed secret against random ones (dudect's classes): comparisons, X25519, ML-KEM, AEAD, hashes, and
 * the check that an Ed25519 key belongs to an X25519 one.
 */

import { portableProvider } from '../../../src/lp/crypto/portable.ts';
import type { CryptoProvider } from '../../../src/lp/crypto/provider.ts';
import { ascii } from '../../../src/lp/wire/bytes.ts';
import { systemRandom } from '../../../src/system/random.ts';
import { INPUTS, Inputs, inputsOf, type Pair, withBit } from '../pair.ts';

/** Different random inputs; fixed ones are as many copies of one. */
const DRAWN = 64;
/** What takes less than a microsecond is measured so many times at once. */
const SHORT = 32;
const KEY_LENGTH = 32;
const ML_KEM_CIPHERTEXT = 1_088;

function random(length: number): Uint8Array {
  const out = new Uint8Array(length);
  systemRandom.fill(out);
  return out;
}

function fixedAgainst(fixed: Uint8Array, draw: () => Uint8Array): Inputs {
  return new Inputs([inputsOf(() => fixed.slice(), DRAWN), inputsOf(draw, DRAWN)]);
}

export function primitivePairs(crypto: CryptoProvider): Pair[] {
  return [
    equality('equal', 'secret', crypto),
    equality('portable-equal', 'portable', portableProvider),
    x25519Secret('x25519-secret', 'secret', crypto),
    x25519Secret('portable-x25519-secret', 'portable', portableProvider),
    x25519Point(crypto),
    decapsulation('ml-kem-rejection', 'secret', crypto),
    decapsulation('portable-ml-kem-rejection', 'portable', portableProvider),
    ciphertexts(crypto),
    aeadKey(crypto),
    hmacKey(crypto),
    kdfInput(crypto),
    signingKey(crypto),
    conversionOfIdentity(crypto),
    conversionFails(crypto),
  ];
}

function equality(name: string, kind: 'secret' | 'portable', crypto: CryptoProvider): Pair {
  const secret = random(KEY_LENGTH);
  const guesses = (at: number) => inputsOf((n) => withBit(secret, at, 1 << (n % 8)));
  const inputs = new Inputs([guesses(0), guesses(-1)]);
  return {
    name,
    kind,
    classes: ['first byte differs', 'last byte differs'],
    learns: 'how much of a guess is right',
    repeat: SHORT,
    prepare: (of) => inputs.load(of),
    run: () => crypto.equal(secret, inputs.scratch),
  };
}

function x25519Secret(name: string, kind: 'secret' | 'portable', crypto: CryptoProvider): Pair {
  const publicKey = crypto.x25519PublicKey(random(KEY_LENGTH));
  // All bits that clamping leaves are zero: the least work a ladder that looks at its bits could have.
  const inputs = fixedAgainst(new Uint8Array(KEY_LENGTH), () => random(KEY_LENGTH));
  return {
    name,
    kind,
    classes: ['secret of zero bits', 'random secrets'],
    learns: 'bits of the gateway’s static or ephemeral secret',
    prepare: (of) => inputs.load(of),
    run: () => crypto.x25519(inputs.scratch, publicKey),
  };
}

function x25519Point(crypto: CryptoProvider): Pair {
  const secret = random(KEY_LENGTH);
  const point = () => crypto.x25519PublicKey(random(KEY_LENGTH));
  const inputs = fixedAgainst(point(), point);
  return {
    name: 'x25519-point',
    kind: 'secret',
    classes: ['one public key', 'random public keys'],
    learns: 'something of what a chosen public key meets inside the ladder, hence of the secret',
    prepare: (of) => inputs.load(of),
    run: () => crypto.x25519(secret, inputs.scratch),
  };
}

function kemOf(crypto: CryptoProvider) {
  const kem = crypto.kems['ml-kem-768'];
  const secretKey = kem.secretKeyFromSeed(random(kem.seedLength));
  const good = () => {
    const encapsulation = kem.encapsulate(secretKey.publicKey, systemRandom);
    if (encapsulation === undefined) throw new Error('an own key encapsulates');
    return encapsulation.ciphertext;
  };
  return { secretKey, good };
}

function decapsulation(name: string, kind: 'secret' | 'portable', crypto: CryptoProvider): Pair {
  const { secretKey, good } = kemOf(crypto);
  const goods = inputsOf(good);
  const rejected = goods.map((ciphertext, n) => withBit(ciphertext, Math.floor((n * ML_KEM_CIPHERTEXT) / INPUTS)));
  const inputs = new Inputs([goods, rejected]);
  return {
    name,
    kind,
    classes: ['good ciphertexts', 'ciphertexts that are rejected implicitly'],
    learns: 'whether a chosen ciphertext decapsulates: the oracle by which an ML-KEM key can be recovered',
    prepare: (of) => inputs.load(of),
    run: () => secretKey.decapsulate(inputs.scratch),
  };
}

function ciphertexts(crypto: CryptoProvider): Pair {
  const { secretKey, good } = kemOf(crypto);
  const inputs = fixedAgainst(good(), good);
  return {
    name: 'ml-kem-ciphertext',
    kind: 'secret',
    classes: ['one ciphertext', 'random good ciphertexts'],
    learns: 'something of what a chosen ciphertext meets inside ML-KEM, hence of the key',
    prepare: (of) => inputs.load(of),
    run: () => secretKey.decapsulate(inputs.scratch),
  };
}

function aeadKey(crypto: CryptoProvider): Pair {
  const inputs = fixedAgainst(new Uint8Array(KEY_LENGTH), () => random(KEY_LENGTH));
  const sealed = random(272);
  const out = new Uint8Array(256);
  const nonce = random(12);
  const header = random(12);
  return {
    name: 'aead-key',
    kind: 'secret',
    classes: ['key of zero bits', 'random keys'],
    learns: 'something of a session’s key',
    repeat: 4,
    prepare: (of) => inputs.load(of),
    run: () => crypto.aeadOpen(out, sealed, header, nonce, inputs.scratch),
  };
}

function hmacKey(crypto: CryptoProvider): Pair {
  const inputs = fixedAgainst(new Uint8Array(KEY_LENGTH), () => random(KEY_LENGTH));
  const message = random(KEY_LENGTH);
  const out = new Uint8Array(KEY_LENGTH);
  return {
    name: 'hmac-key',
    kind: 'secret',
    classes: ['key of zero bits', 'random keys'],
    learns: 'something of a chaining key',
    repeat: 4,
    prepare: (of) => inputs.load(of),
    run: () => crypto.hmacSha256(inputs.scratch, message, out),
  };
}

/** In JavaScript with either provider. */
function kdfInput(crypto: CryptoProvider): Pair {
  const inputs = fixedAgainst(new Uint8Array(KEY_LENGTH), () => random(KEY_LENGTH));
  return {
    name: 'kdf-input',
    kind: 'secret',
    classes: ['input of zero bits', 'random inputs'],
    learns: 'something of a session’s root',
    repeat: 4,
    prepare: (of) => inputs.load(of),
    run: () => crypto.kdf('key i2r', inputs.scratch),
  };
}

function signingKey(crypto: CryptoProvider): Pair {
  const inputs = fixedAgainst(new Uint8Array(KEY_LENGTH), () => random(KEY_LENGTH));
  const message = ascii('what a gateway signs');
  return {
    name: 'ed25519-seed',
    kind: 'secret',
    classes: ['seed of zero bits', 'random seeds'],
    learns: 'something of the gateway’s identity key',
    prepare: (of) => inputs.load(of),
    run: () => crypto.ed25519Sign(inputs.scratch, message),
  };
}

function identity(crypto: CryptoProvider): Uint8Array {
  const ed25519 = crypto.ed25519PublicKey(random(KEY_LENGTH));
  return Uint8Array.of(...ed25519, ...(crypto.x25519PublicOfEd25519(ed25519) ?? ed25519));
}

function conversion(crypto: CryptoProvider, inputs: Inputs): Pick<Pair, 'prepare' | 'run' | 'repeat'> {
  const ed25519 = inputs.scratch.subarray(0, KEY_LENGTH);
  const x25519 = inputs.scratch.subarray(KEY_LENGTH);
  return { repeat: 4, prepare: (of) => inputs.load(of), run: () => crypto.convertsTo(ed25519, x25519) };
}

/** The key of an H3 is on no wire, so whose it is should not show. */
function conversionOfIdentity(crypto: CryptoProvider): Pair {
  return {
    name: 'conversion-identity',
    kind: 'secret',
    classes: ['one client’s keys', 'random clients’ keys'],
    learns: 'a little of who a client is, which H3 hides',
    ...conversion(
      crypto,
      fixedAgainst(identity(crypto), () => identity(crypto)),
    ),
  };
}

function conversionFails(crypto: CryptoProvider): Pair {
  const own = inputsOf(() => identity(crypto));
  const mixed = own.map((keys) => {
    const other = keys.slice();
    other.set(identity(crypto).subarray(KEY_LENGTH), KEY_LENGTH);
    return other;
  });
  return {
    name: 'conversion-fails',
    kind: 'public',
    classes: ['keys that belong together', 'keys that do not'],
    learns: 'nothing: who sends the keys knows, and an H3 that is dropped gets no reply anyway',
    ...conversion(crypto, new Inputs([own, mixed])),
  };
}
