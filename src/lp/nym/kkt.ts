/**
 * KKT: the node's KEM key, sealed, in one round trip (nym.md §4). Both roles. Stricter than the reference where it may be:
 * a request has version 1, sequence 0 and status Ok, and a response has to answer the request that was sent. The mutual
 * form (node and node) is read, and refused.
 */
import type { NymCrypto } from '../crypto/nym-provider.ts';
import { concat } from '../wire/bytes.ts';
import type { NymDropReason } from './drop-reason.ts';
import { DIGEST_LENGTH, KEM_KEY_LENGTH, type KemDigest, matchesDigest, type NymKem } from './kem-suite.ts';
import {
  CARRIER_TAG_LENGTH,
  type CarrierKeys,
  carrierKeys,
  isVersionMask,
  MASK_LENGTH,
  openCarrier,
  sealCarrier,
  versionMask,
  wipeCarrier,
} from './kkt-carrier.ts';
import {
  decodeKktContext,
  encodeKktContext,
  KKT_CONTEXT_LENGTH,
  KKT_STATUS,
  KKT_VERSION,
  type KktContext,
} from './kkt-context.ts';
import { isPeerConfig, PEER_CONFIG_LENGTH } from './peer-config.ts';

const KEY_LENGTH = 32;
const CARRIER_OFFSET = KEY_LENGTH + MASK_LENGTH;
export const KKT_REQUEST_LENGTH = CARRIER_OFFSET + KKT_CONTEXT_LENGTH + PEER_CONFIG_LENGTH + CARRIER_TAG_LENGTH;

export function mutualRequestLength(kem: NymKem): number {
  return KKT_REQUEST_LENGTH + KEM_KEY_LENGTH[kem];
}

export function kktResponseLength(kem: NymKem): number {
  return KKT_CONTEXT_LENGTH + KEM_KEY_LENGTH[kem] + CARRIER_TAG_LENGTH;
}

function requestContext(hash: KktContext['hash'], mode: KktContext['mode']): KktContext {
  return {
    version: KKT_VERSION,
    sequence: 0,
    status: KKT_STATUS.ok,
    mode,
    role: 'initiator',
    kem: 'mlkem768',
    hash,
    hashLength: DIGEST_LENGTH,
  };
}

export interface KktRequest {
  readonly message: Uint8Array;
  /** For the response; wiped by `readKktResponse`. */
  readonly keys: CarrierKeys;
}

/**
 * `undefined` where the node's key gives an all-zero DH result. The ephemeral secret stays the caller's. `ownKemKey` makes
 * it a mutual request.
 */
export function writeKktRequest(
  crypto: NymCrypto,
  node: Uint8Array,
  ephemeralSecret: Uint8Array,
  hash: KemDigest['hash'],
  peerConfig: Uint8Array,
  ownKemKey: Uint8Array = new Uint8Array(0),
): KktRequest | undefined {
  const shared = crypto.base.x25519(ephemeralSecret, node);
  if (shared === undefined) return undefined;
  const ephemeral = crypto.base.x25519PublicKey(ephemeralSecret);
  const mask = versionMask(crypto, ephemeral, node);
  const keys = carrierKeys(crypto, shared, mask, ephemeral, node);
  shared.fill(0);
  const context = encodeKktContext(requestContext(hash, ownKemKey.length === 0 ? 'one_way' : 'mutual'));
  const sealed = sealCarrier(crypto, keys.request, context, ownKemKey, peerConfig);
  return { message: concat(ephemeral, mask, sealed), keys };
}

export type KktResult<T> = { readonly kind: 'value'; readonly value: T } | Refusal;
interface Refusal {
  readonly kind: 'refuse';
  readonly reason: NymDropReason;
}

function refuse(reason: NymDropReason): Refusal {
  return { kind: 'refuse', reason };
}

/** The client's side: the node's KEM key, by the digest that was announced for it. Wipes the request's keys. */
export function readKktResponse(
  crypto: NymCrypto,
  keys: CarrierKeys,
  response: Uint8Array,
  announced: KemDigest,
): KktResult<Uint8Array> {
  try {
    if (response.length !== kktResponseLength('mlkem768')) return refuse('length');
    const plaintext = openCarrier(crypto, keys.response, response);
    if (plaintext === undefined) return refuse('tag');
    const context = decodeKktContext(plaintext.subarray(0, KKT_CONTEXT_LENGTH));
    if (context === undefined || !answers(context, requestContext(announced.hash, 'one_way'))) return refuse('context');
    const key = plaintext.subarray(KKT_CONTEXT_LENGTH);
    return matchesDigest(crypto, key, announced) ? { kind: 'value', value: key } : refuse('digest');
  } finally {
    wipeCarrier(keys);
  }
}

/** §4.6: the reference does not compare them; an honest node echoes them. */
function answers(response: KktContext, request: KktContext): boolean {
  return (
    response.sequence === request.sequence + 1 &&
    response.role === 'responder' &&
    response.status === KKT_STATUS.ok &&
    response.mode === request.mode &&
    response.kem === request.kem &&
    response.hash === request.hash &&
    response.hashLength === request.hashLength
  );
}

/** What a node answers KKT requests with. */
export interface KktResponder {
  readonly secret: Uint8Array;
  readonly publicKey: Uint8Array;
  /** The ML-KEM-768 public key. */
  readonly kemKey: Uint8Array;
}

export interface KktAnswer {
  readonly response: Uint8Array;
  readonly peerConfig: Uint8Array;
}

/** The node's side (§4.4): the mask is looked at before any DH. */
export function answerKktRequest(crypto: NymCrypto, node: KktResponder, message: Uint8Array): KktResult<KktAnswer> {
  if (message.length !== KKT_REQUEST_LENGTH && message.length !== mutualRequestLength('mlkem768'))
    return refuse('length');
  const ephemeral = message.subarray(0, KEY_LENGTH);
  const mask = message.subarray(KEY_LENGTH, CARRIER_OFFSET);
  if (!isVersionMask(crypto, mask, ephemeral, node.publicKey)) return refuse('mask');
  const shared = crypto.base.x25519(node.secret, ephemeral);
  if (shared === undefined) return refuse('low_order');
  const keys = carrierKeys(crypto, shared, mask, ephemeral, node.publicKey);
  shared.fill(0);
  try {
    const plaintext = openCarrier(crypto, keys.request, message.subarray(CARRIER_OFFSET));
    if (plaintext === undefined) return refuse('tag');
    return answerOpened(crypto, node, keys, plaintext);
  } finally {
    wipeCarrier(keys);
  }
}

function answerOpened(
  crypto: NymCrypto,
  node: KktResponder,
  keys: CarrierKeys,
  plaintext: Uint8Array,
): KktResult<KktAnswer> {
  const context = decodeKktContext(plaintext.subarray(0, KKT_CONTEXT_LENGTH));
  if (context === undefined || context.role !== 'initiator') return refuse('context');
  const bodyLength = context.mode === 'mutual' ? KEM_KEY_LENGTH[context.kem] : 0;
  if (plaintext.length !== KKT_CONTEXT_LENGTH + bodyLength + PEER_CONFIG_LENGTH) return refuse('length');
  if (context.mode === 'mutual') return refuse('mutual_mode');
  // An honest client sends nothing else; the reference echoes what it gets.
  if (context.version !== KKT_VERSION || context.sequence !== 0 || context.status !== KKT_STATUS.ok)
    return refuse('context');
  if (context.kem !== 'mlkem768') return refuse('kem_not_offered');
  const peerConfig = plaintext.subarray(KKT_CONTEXT_LENGTH);
  if (!isPeerConfig(peerConfig)) return refuse('peer_config');
  const answer = encodeKktContext({ ...context, sequence: 1, role: 'responder' });
  const response = sealCarrier(crypto, keys.response, answer, node.kemKey);
  return { kind: 'value', value: { response, peerConfig } };
}
