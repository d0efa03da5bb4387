/**
 * PSQ's transcripts and keys (nym.md §5.2) and what a session derives from them (§6.1, §6.2). Serialised forms are those of
 * §1.3, with their tags: ML-KEM's key and ciphertext have 00, its shared secret has 01. Every key seals one message.
 */
import { GCM_KEY_LENGTH, type NymCrypto } from '../crypto/nym-provider.ts';
import { ascii, concat, readLe32 } from '../wire/bytes.ts';
import { present, vector } from './tls-codec.ts';

const CONTEXT = ascii('NYM-PQ-SESSION-CONTEXT-V1');
const RECEIVER_INDEX_CONTEXT = 'LP_PEER_CONFIG_RECEIVER_INDEX_DERIVATION_V1';
const SESSION_KEY_LABEL = vector(ascii('session key'));
const INITIATOR_LABEL = ascii('i2r channel key');
const RESPONDER_LABEL = ascii('r2i channel key');
const FIRST_CHANNEL = new Uint8Array(8);
const BINDER_LENGTH = 8;
const EMPTY = new Uint8Array(0);

const AES_KEY_TAG = Uint8Array.of(0x01);
const X25519_AUTHENTICATOR_TAG = Uint8Array.of(0x00);
const ML_KEM_TAG = Uint8Array.of(0x00);
const ML_KEM_SECRET_TAG = Uint8Array.of(0x01);

/** `KEY`, with no nonce and no state. */
const aeadKey = (key: Uint8Array) => concat(AES_KEY_TAG, key);
/** `DHS`. */
const dhSecret = (secret: Uint8Array) => vector(secret);
/** `PQSS`. */
const kemSecret = (secret: Uint8Array) => present(concat(ML_KEM_SECRET_TAG, secret));
/** `AUTH` of a client's X25519 key. */
export const authenticator = (client: Uint8Array) => concat(X25519_AUTHENTICATOR_TAG, client);
/** `PQPK`. */
export const serialisedKemKey = (key: Uint8Array) => present(concat(ML_KEM_TAG, vector(key)));
/** `PQCT`. */
export const serialisedCiphertext = (ciphertext: Uint8Array) => present(concat(ML_KEM_TAG, vector(ciphertext)));

/** HKDF with an empty salt over secrets, which are joined for it and wiped. */
function derive(crypto: NymCrypto, info: Uint8Array, length: number, ...secrets: readonly Uint8Array[]): Uint8Array {
  const ikm = concat(...secrets);
  for (const secret of secrets) secret.fill(0);
  try {
    return crypto.hkdf(ikm, EMPTY, info, length);
  } finally {
    ikm.fill(0);
  }
}

/** A transcript and the key that belongs to it. */
export interface PsqState {
  readonly transcript: Uint8Array;
  readonly key: Uint8Array;
}

/** tx0 and k0. `dhXS`: of the client's ephemeral and the node's key. Wipes it. */
export function outerState(crypto: NymCrypto, node: Uint8Array, ephemeral: Uint8Array, dhXS: Uint8Array): PsqState {
  const transcript = crypto.sha256(concat(Uint8Array.of(0, 0), vector(CONTEXT), node, ephemeral));
  const key = derive(crypto, transcript, GCM_KEY_LENGTH, dhSecret(dhXS));
  dhXS.fill(0);
  return { transcript, key };
}

export interface InnerInputs {
  readonly client: Uint8Array;
  readonly kemKey: Uint8Array;
  readonly ciphertext: Uint8Array;
  /** Of the client's long-lived key and the node's. Wiped, as is the next. */
  readonly dhCS: Uint8Array;
  readonly sharedSecret: Uint8Array;
}

/** tx1 and k1. */
export function innerState(crypto: NymCrypto, outer: PsqState, inputs: InnerInputs): PsqState {
  const { client, kemKey, ciphertext, dhCS, sharedSecret } = inputs;
  const transcript = crypto.sha256(
    concat(
      Uint8Array.of(1, 1),
      outer.transcript,
      authenticator(client),
      serialisedKemKey(kemKey),
      vector(serialisedCiphertext(ciphertext)),
    ),
  );
  const secrets = [aeadKey(outer.key), dhSecret(dhCS), kemSecret(sharedSecret)];
  const key = derive(crypto, transcript, GCM_KEY_LENGTH, ...secrets);
  dhCS.fill(0);
  sharedSecret.fill(0);
  return { transcript, key };
}

/** tx2 and k2. The DH results, of the node's ephemeral with the client's key and with its ephemeral, are wiped. */
export function answerState(
  crypto: NymCrypto,
  inner: PsqState,
  nodeEphemeral: Uint8Array,
  dhCY: Uint8Array,
  dhXY: Uint8Array,
): PsqState {
  const transcript = crypto.sha256(concat(Uint8Array.of(2, 1), inner.transcript, nodeEphemeral));
  const secrets = [aeadKey(inner.key), dhSecret(dhCY), dhSecret(dhXY)];
  const key = derive(crypto, transcript, GCM_KEY_LENGTH, ...secrets);
  dhCY.fill(0);
  dhXY.fill(0);
  return { transcript, key };
}

/** What a session starts from; `wipeSecrets` when they have been placed. */
export interface NymSessionSecrets {
  readonly index: number;
  readonly initiatorToResponder: Uint8Array;
  readonly responderToInitiator: Uint8Array;
}

/** Public values that the session is bound to. */
export interface SessionParties {
  readonly client: Uint8Array;
  readonly node: Uint8Array;
  readonly kemKey: Uint8Array;
  /** 16 bytes of the client's peer config. */
  readonly seed: Uint8Array;
}

export function sessionSecrets(crypto: NymCrypto, last: PsqState, parties: SessionParties): NymSessionSecrets {
  const { client, node, kemKey } = parties;
  const info = concat(SESSION_KEY_LABEL, last.transcript);
  const sessionKey = derive(crypto, info, GCM_KEY_LENGTH, aeadKey(last.key));
  const binderInfo = concat(authenticator(client), node, serialisedKemKey(kemKey));
  const binder = derive(crypto, binderInfo, BINDER_LENGTH, aeadKey(sessionKey));
  const channelKey = (label: Uint8Array) => {
    // Serialised, and then serialised again as a vector.
    const channel = vector(concat(vector(label), present(vector(binder)), FIRST_CHANNEL));
    return derive(crypto, channel, GCM_KEY_LENGTH, aeadKey(sessionKey));
  };
  const secrets = {
    index: receiverIndexOf(crypto, parties),
    initiatorToResponder: channelKey(INITIATOR_LABEL),
    responderToInitiator: channelKey(RESPONDER_LABEL),
  };
  sessionKey.fill(0);
  binder.fill(0);
  return secrets;
}

export function wipeSecrets(secrets: NymSessionSecrets): void {
  secrets.initiatorToResponder.fill(0);
  secrets.responderToInitiator.fill(0);
}

/** The KEM key goes in raw, without length or tag. */
function receiverIndexOf(crypto: NymCrypto, { client, kemKey, seed }: SessionParties): number {
  return readLe32(crypto.base.deriveKey(RECEIVER_INDEX_CONTEXT, concat(authenticator(client), kemKey, seed)), 0);
}
