/**
 * PSQ at the client (nym.md §5): message 1 from the node's two keys, message 2 read. Success authenticates the node, since
 * only the owner of both keys reaches k1. Secrets that one message needs are wiped when it is done.
 */
import type { NymCrypto } from '../crypto/nym-provider.ts';
import type { KemPublicKey, RandomSource } from '../crypto/provider.ts';
import { Redacted, Secret } from '../crypto/secret.ts';
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
  decodeMessage2,
  encodeMessage1,
  encodeRegistration,
  INNER_AAD,
  NO_PAYLOAD,
  OUTER_AAD,
} from './psq-message.ts';

const KEY_LENGTH = 32;

export interface PsqInitiatorKeys {
  /** The client's X25519 secret. Stays the caller's. */
  readonly clientSecret: Uint8Array;
  readonly node: Uint8Array;
  readonly kemKey: KemPublicKey;
  /** Of the peer config that went with the KKT request. */
  readonly seed: Uint8Array;
}

export type ReadAnswer =
  | { readonly kind: 'value'; readonly value: NymSessionSecrets }
  | { readonly kind: 'refuse'; readonly reason: NymDropReason };

export class PsqInitiator extends Redacted {
  readonly message: Uint8Array;
  private readonly crypto: NymCrypto;
  private readonly keys: PsqInitiatorKeys;
  private readonly client: Uint8Array;
  private readonly clientSecret: Secret;
  private readonly ephemeral: Secret;
  private readonly inner: PsqState;

  /** Draws the ephemeral (32 bytes), then what the KEM takes. `undefined` where a key of the node is of low order. */
  static start(crypto: NymCrypto, random: RandomSource, keys: PsqInitiatorKeys): PsqInitiator | undefined {
    const { base } = crypto;
    const ephemeral = new Secret(new Uint8Array(KEY_LENGTH));
    random.fill(ephemeral.bytes);
    const dhXS = base.x25519(ephemeral.bytes, keys.node);
    const dhCS = base.x25519(keys.clientSecret, keys.node);
    const encapsulation = base.kems['ml-kem-768'].encapsulate(keys.kemKey, random);
    if (dhXS === undefined || dhCS === undefined || encapsulation === undefined) return undefined;
    return new PsqInitiator(crypto, keys, ephemeral, { dhXS, dhCS, ...encapsulation });
  }

  private constructor(
    crypto: NymCrypto,
    keys: PsqInitiatorKeys,
    ephemeral: Secret,
    agreed: { dhXS: Uint8Array; dhCS: Uint8Array; ciphertext: Uint8Array; sharedSecret: Uint8Array },
  ) {
    super();
    const { base } = crypto;
    const { ciphertext, sharedSecret, dhXS, dhCS } = agreed;
    this.crypto = crypto;
    this.keys = keys;
    this.ephemeral = ephemeral;
    this.clientSecret = new Secret(keys.clientSecret.slice());
    this.client = base.x25519PublicKey(keys.clientSecret);
    const ephemeralPublic = base.x25519PublicKey(ephemeral.bytes);
    const outer = outerState(crypto, keys.node, ephemeralPublic, dhXS);
    const kemKey = keys.kemKey.bytes;
    this.inner = innerState(crypto, outer, { client: this.client, kemKey, ciphertext, dhCS, sharedSecret });
    const sealed = crypto.sealOnce(this.inner.key, NO_PAYLOAD, INNER_AAD);
    const registration = encodeRegistration({ sealed, ciphertext, client: this.client });
    this.message = encodeMessage1({
      ephemeral: ephemeralPublic,
      sealed: crypto.sealOnce(outer.key, registration, OUTER_AAD),
    });
    outer.key.fill(0);
  }

  /** Once: wipes what the initiator holds, whatever the answer is. */
  read(message: Uint8Array): ReadAnswer {
    try {
      const decoded = decodeMessage2(message);
      if (decoded.kind === 'refuse') return decoded;
      const { ephemeral: nodeEphemeral, sealed } = decoded.value;
      const { crypto } = this;
      const dhCY = crypto.base.x25519(this.clientSecret.bytes, nodeEphemeral);
      const dhXY = crypto.base.x25519(this.ephemeral.bytes, nodeEphemeral);
      if (dhCY === undefined || dhXY === undefined) return { kind: 'refuse', reason: 'low_order' };
      const last = answerState(crypto, this.inner, nodeEphemeral, dhCY, dhXY);
      return this.finish(last, crypto.openOnce(last.key, sealed, ANSWER_AAD));
    } finally {
      this.wipe();
    }
  }

  wipe(): void {
    this.ephemeral.wipe();
    this.clientSecret.wipe();
    this.inner.key.fill(0);
  }

  private finish(last: PsqState, payload: Uint8Array | undefined): ReadAnswer {
    const { crypto, client } = this;
    const { node, kemKey, seed } = this.keys;
    try {
      if (payload === undefined) return { kind: 'refuse', reason: 'tag' };
      if (payload[0] !== NO_PAYLOAD[0]) return { kind: 'refuse', reason: 'content' };
      return { kind: 'value', value: sessionSecrets(crypto, last, { client, node, kemKey: kemKey.bytes, seed }) };
    } finally {
      last.key.fill(0);
    }
  }
}
