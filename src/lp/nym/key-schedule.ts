/**
 * PSQ's transcripts and keys (nym.md §5.2) and what a session derives from them (§6.1, §6.2). Serialised forms are those of
 * §1.3, with their tags: ML-KEM's key and ciphertext have 00, its shared secret has 01. Every key seals one message.
 */
import { GCM_KEY_LENGTH, type NymCrypto } from '../crypto/nym-provider.ts';
import { ascii, concat, readLe32 } from '../wire/bytes.ts';
import { KEM_CIPHERTEXT_LENGTH, KEM_KEY_LENGTH } from './kem-suite.ts';
import { Template } from './template.ts';
import { present, vector, vectorHeader } from './tls-codec.ts';

const KEY_LENGTH = 32;
const TRANSCRIPT_LENGTH = 32;
const SEED_LENGTH = 16;
const BINDER_LENGTH = 8;
const RECEIVER_INDEX_CONTEXT = 'LP_PEER_CONFIG_RECEIVER_INDEX_DERIVATION_V1';
const EMPTY = new Uint8Array(0);

/** What stands before each serialised value (§1.3). */
const PRESENT = 0x01;
const ML_KEM_TAG = 0x00;
const KEY_HEAD = [0x01];
const DH_HEAD = vectorHeader(KEY_LENGTH);
const KEM_SECRET_HEAD = [PRESENT, 0x01];
const AUTHENTICATOR_HEAD = [0x00];
const KEM_KEY_HEAD = [PRESENT, ML_KEM_TAG, ...vectorHeader(KEM_KEY_LENGTH.mlkem768)];
const CIPHERTEXT_HEAD = [PRESENT, ML_KEM_TAG, ...vectorHeader(KEM_CIPHERTEXT_LENGTH)];

/** `AUTH` of a client's X25519 key. */
export const authenticator = (client: Uint8Array) => concat(Uint8Array.from(AUTHENTICATOR_HEAD), client);
/** `PQCT`. */
export const serialisedCiphertext = (ciphertext: Uint8Array) =>
  present(concat(Uint8Array.of(ML_KEM_TAG), vector(ciphertext)));

const CLIENT = [AUTHENTICATOR_HEAD, KEY_LENGTH] as const;
const KEM_KEY = [KEM_KEY_HEAD, KEM_KEY_LENGTH.mlkem768] as const;
const CIPHERTEXT = [CIPHERTEXT_HEAD, KEM_CIPHERTEXT_LENGTH] as const;
const SERIALISED_CIPHERTEXT_LENGTH = CIPHERTEXT_HEAD.length + KEM_CIPHERTEXT_LENGTH;

const TX0 = new Template([0, 0], vector(ascii('NYM-PQ-SESSION-CONTEXT-V1')), KEY_LENGTH, KEY_LENGTH);
const TX1 = new Template(
  [1, 1],
  TRANSCRIPT_LENGTH,
  ...CLIENT,
  ...KEM_KEY,
  vectorHeader(SERIALISED_CIPHERTEXT_LENGTH),
  ...CIPHERTEXT,
);
const TX2 = new Template([2, 1], TRANSCRIPT_LENGTH, KEY_LENGTH);

/** Secrets: wiped after each use. `DHS`, `KEY` and `PQSS` are 33, 17 and 34 bytes. */
const KEY = [KEY_HEAD, GCM_KEY_LENGTH] as const;
const DH = [DH_HEAD, KEY_LENGTH] as const;
const IKM0 = new Template(...DH);
const IKM1 = new Template(...KEY, ...DH, KEM_SECRET_HEAD, KEY_LENGTH);
const IKM2 = new Template(...KEY, ...DH, ...DH);
const IKM_KEY = new Template(...KEY);

const SESSION_INFO = new Template(vector(ascii('session key')), TRANSCRIPT_LENGTH);
const BINDER_INFO = new Template(...CLIENT, KEY_LENGTH, ...KEM_KEY);
const INITIATOR_CHANNEL = channelInfo('i2r channel key');
const RESPONDER_CHANNEL = channelInfo('r2i channel key');
/** The KEM key goes in raw, without length or tag. */
const INDEX_MATERIAL = new Template(...CLIENT, KEM_KEY_LENGTH.mlkem768, SEED_LENGTH);

/** A channel's label, the binder and channel number 0: serialised, and then serialised again as a vector. */
function channelInfo(label: string): Template {
  const start = concat(vector(ascii(label)), Uint8Array.of(PRESENT), vectorHeader(BINDER_LENGTH));
  const number = new Uint8Array(8);
  return new Template(vectorHeader(start.length + BINDER_LENGTH + number.length), start, BINDER_LENGTH, number);
}

/** HKDF's extraction with an empty salt. The secrets stay the caller's. */
function extract(crypto: NymCrypto, ikm: Template, ...secrets: readonly Uint8Array[]): Uint8Array {
  try {
    return crypto.hkdfExtract(EMPTY, ikm.fill(...secrets));
  } finally {
    ikm.wipe();
  }
}

function expandAndWipe(crypto: NymCrypto, extracted: Uint8Array, info: Uint8Array): Uint8Array {
  try {
    return crypto.hkdfExpand(extracted, info, GCM_KEY_LENGTH);
  } finally {
    extracted.fill(0);
  }
}

/** A transcript and the key that belongs to it. */
export interface PsqState {
  readonly transcript: Uint8Array;
  readonly key: Uint8Array;
}

/** tx0 and k0. `dhXS`: of the client's ephemeral and the node's key. Wipes it. */
export function outerState(crypto: NymCrypto, node: Uint8Array, ephemeral: Uint8Array, dhXS: Uint8Array): PsqState {
  const transcript = crypto.sha256(TX0.fill(node, ephemeral));
  const key = expandAndWipe(crypto, extract(crypto, IKM0, dhXS), transcript);
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
  const transcript = crypto.sha256(TX1.fill(outer.transcript, client, kemKey, ciphertext));
  const key = expandAndWipe(crypto, extract(crypto, IKM1, outer.key, dhCS, sharedSecret), transcript);
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
  const transcript = crypto.sha256(TX2.fill(inner.transcript, nodeEphemeral));
  const key = expandAndWipe(crypto, extract(crypto, IKM2, inner.key, dhCY, dhXY), transcript);
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

/** Binder and channel keys come from one extraction. */
export function sessionSecrets(crypto: NymCrypto, last: PsqState, parties: SessionParties): NymSessionSecrets {
  const { client, node, kemKey, seed } = parties;
  const sessionKey = expandAndWipe(crypto, extract(crypto, IKM_KEY, last.key), SESSION_INFO.fill(last.transcript));
  const extracted = extract(crypto, IKM_KEY, sessionKey);
  sessionKey.fill(0);
  const binder = crypto.hkdfExpand(extracted, BINDER_INFO.fill(client, node, kemKey), BINDER_LENGTH);
  const channelKey = (info: Template) => {
    const key = crypto.hkdfExpand(extracted, info.fill(binder), GCM_KEY_LENGTH);
    info.wipe();
    return key;
  };
  const secrets = {
    index: readLe32(crypto.base.deriveKey(RECEIVER_INDEX_CONTEXT, INDEX_MATERIAL.fill(client, kemKey, seed)), 0),
    initiatorToResponder: channelKey(INITIATOR_CHANNEL),
    responderToInitiator: channelKey(RESPONDER_CHANNEL),
  };
  extracted.fill(0);
  binder.fill(0);
  return secrets;
}

export function wipeSecrets(secrets: NymSessionSecrets): void {
  secrets.initiatorToResponder.fill(0);
  secrets.responderToInitiator.fill(0);
}
