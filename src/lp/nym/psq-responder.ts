/**
 * PSQ at the node (nym.md §5.4): message 1 in, message 2 and the session's secrets out. Form, associated data and suite
 * are compared before the first DH; a handshake without its post-quantum part does not exist (§15 N2).
 */
import type { NymCrypto } from '../crypto/nym-provider.ts';
import type { KemSecretKey, RandomSource } from '../crypto/provider.ts';
import type { NymDropReason } from './drop-reason.ts';
import {
  answerState,
  innerState,
  type NymSessionSecrets,
  outerState,
  type PsqState,
  sessionSecrets,
} from './key-schedule.ts';
import {
  ANSWER_AAD,
  decodeMessage1,
  decodeRegistration,
  encodeMessage2,
  INNER_AAD,
  NO_PAYLOAD,
  OUTER_AAD,
  type Registration,
} from './psq-message.ts';

const KEY_LENGTH = 32;

export interface PsqResponderKeys {
  /** The node's LP X25519 key. Stays the caller's, as does the KEM key. */
  readonly secret: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly kem: KemSecretKey;
}

export interface PsqAnswer {
  readonly message: Uint8Array;
  /** The caller wipes them. */
  readonly secrets: NymSessionSecrets;
  /** The client's X25519 key: a throw-away one, which names nobody. */
  readonly client: Uint8Array;
}

export type PsqResult =
  | { readonly kind: 'value'; readonly value: PsqAnswer }
  | { readonly kind: 'refuse'; readonly reason: NymDropReason };

const refuse = (reason: NymDropReason): PsqResult => ({ kind: 'refuse', reason });

/** Draws the node's ephemeral (32 bytes) once message 1 is known to be good. `seed`: of the client's peer config. */
export function answerMessage1(
  crypto: NymCrypto,
  random: RandomSource,
  keys: PsqResponderKeys,
  seed: Uint8Array,
  message: Uint8Array,
): PsqResult {
  const decoded = decodeMessage1(message);
  if (decoded.kind === 'refuse') return decoded;
  const { ephemeral, sealed } = decoded.value;
  const dhXS = crypto.base.x25519(keys.secret, ephemeral);
  if (dhXS === undefined) return refuse('low_order');
  const outer = outerState(crypto, keys.publicKey, ephemeral, dhXS);
  try {
    const plaintext = crypto.openOnce(outer.key, sealed, OUTER_AAD);
    if (plaintext === undefined) return refuse('tag');
    const registration = decodeRegistration(plaintext);
    if (registration.kind === 'refuse') return registration;
    const inner = openInner(crypto, keys, outer, registration.value);
    if (inner.kind === 'refuse') return inner;
    return answer(crypto, random, keys, seed, ephemeral, registration.value.client, inner.value);
  } finally {
    outer.key.fill(0);
  }
}

type Opened = { readonly kind: 'value'; readonly value: PsqState } | Extract<PsqResult, { kind: 'refuse' }>;

function openInner(crypto: NymCrypto, keys: PsqResponderKeys, outer: PsqState, registration: Registration): Opened {
  const { client, ciphertext, sealed } = registration;
  const dhCS = crypto.base.x25519(keys.secret, client);
  if (dhCS === undefined) return { kind: 'refuse', reason: 'low_order' };
  const sharedSecret = keys.kem.decapsulate(ciphertext);
  if (sharedSecret === undefined) return { kind: 'refuse', reason: 'content' };
  const kemKey = keys.kem.publicKey.bytes;
  const inner = innerState(crypto, outer, { client, kemKey, ciphertext, dhCS, sharedSecret });
  const payload = crypto.openOnce(inner.key, sealed, INNER_AAD);
  if (payload !== undefined && payload[0] === NO_PAYLOAD[0]) return { kind: 'value', value: inner };
  inner.key.fill(0);
  return { kind: 'refuse', reason: payload === undefined ? 'tag' : 'content' };
}

function answer(
  crypto: NymCrypto,
  random: RandomSource,
  keys: PsqResponderKeys,
  seed: Uint8Array,
  clientEphemeral: Uint8Array,
  client: Uint8Array,
  inner: PsqState,
): PsqResult {
  const { base } = crypto;
  const ephemeral = new Uint8Array(KEY_LENGTH);
  random.fill(ephemeral);
  const dhCY = base.x25519(ephemeral, client);
  const dhXY = base.x25519(ephemeral, clientEphemeral);
  const ephemeralPublic = base.x25519PublicKey(ephemeral);
  ephemeral.fill(0);
  // Neither point is of low order: each gave a result with the node's own key.
  if (dhCY === undefined || dhXY === undefined) return refuse('low_order');
  const last = answerState(crypto, inner, ephemeralPublic, dhCY, dhXY);
  inner.key.fill(0);
  const sealed = crypto.sealOnce(last.key, NO_PAYLOAD, ANSWER_AAD);
  const secrets = sessionSecrets(crypto, last, {
    client,
    node: keys.publicKey,
    kemKey: keys.kem.publicKey.bytes,
    seed,
  });
  last.key.fill(0);
  return {
    kind: 'value',
    value: { message: encodeMessage2({ ephemeral: ephemeralPublic, sealed }), secrets, client: client.slice() },
  };
}
