/**
 * The client's handshake with a node (nym.md §4, §5): KKT request, response, message 1, message 2, over one connection of
 * its own or through an entry. With a KEM key that is known, KKT request and message 1 leave together (§12). Sans-IO:
 * messages and time in, steps out. A node says nothing of what it refuses, so a failure names the step and what was seen;
 * nothing is repeated, and a failed initiator is of no more use: the next attempt has fresh keys and a fresh connection.
 */
import type { NymCrypto } from '../crypto/nym-provider.ts';
import type { KemPublicKey, RandomSource } from '../crypto/provider.ts';
import { Redacted, Secret } from '../crypto/secret.ts';
import { assertNever } from '../drop-reason.ts';
import type { Now } from '../time.ts';
import { NymChannel } from './channel.ts';
import { NymClientSession } from './client-session.ts';
import type { NymDropReason } from './drop-reason.ts';
import { type KemDigest, matchesDigest } from './kem-suite.ts';
import { wipeSecrets } from './key-schedule.ts';
import { kktResponseLength, readKktResponse, writeKktRequest } from './kkt.ts';
import { type CarrierKeys, wipeCarrier } from './kkt-carrier.ts';
import { drawPeerConfig, type NymHop, seedOf } from './peer-config.ts';
import { PsqInitiator } from './psq-initiator.ts';
import { MESSAGE_2_LENGTH } from './psq-message.ts';

const KEY_LENGTH = 32;
const NEVER = Number.POSITIVE_INFINITY;
/** §11: the reference's, connecting included. */
export const NYM_HANDSHAKE_TIMEOUT_MS = 15_000;

export interface NymInitiatorOptions {
  readonly crypto: NymCrypto;
  readonly random: RandomSource;
  /** The node's LP key and the digest of its KEM key, as announced. */
  readonly node: Uint8Array;
  readonly kemDigest: KemDigest;
  readonly hop: NymHop;
  /** The node's KEM key as it was learnt before: then message 1 goes along with the KKT request. Checked by the digest. */
  readonly kemKey?: Uint8Array | undefined;
  /** For a caller that keeps what it has imported. `undefined` for a key that fails FIPS 203's check. */
  readonly importKemKey?: ((kemKey: Uint8Array) => KemPublicKey | undefined) | undefined;
  /** The client's X25519 key, which stays the caller's; by default a fresh one, as anonymity asks for. */
  readonly clientSecret?: Uint8Array | undefined;
  readonly timeoutMs?: number | undefined;
}

/** A message and how many bytes answer it; 0: a packet. */
export interface NymOutgoing {
  readonly bytes: Uint8Array;
  readonly replyLength: number;
}

export type NymHandshakeStage = 'kkt' | 'psq';

export interface NymHandshakeFailure {
  /** Whose answer was awaited. */
  readonly stage: NymHandshakeStage;
  /** closed: the node ended the connection instead of answering; node_key: the announced key agrees on nothing. */
  readonly reason: NymDropReason | 'closed' | 'timeout' | 'node_key';
  /** Both messages had left together: a node that does not take this may take them one after the other. */
  readonly pipelined: boolean;
}

export type NymStep =
  | { readonly kind: 'wait' }
  /** In one write, or in one forward each. */
  | { readonly kind: 'send'; readonly messages: readonly NymOutgoing[] }
  | { readonly kind: 'established'; readonly session: NymClientSession }
  | { readonly kind: 'failed'; readonly failure: NymHandshakeFailure };

type Stage =
  | { readonly kind: 'unstarted' }
  | { readonly kind: 'kktSent'; readonly keys: CarrierKeys; readonly psq: PsqInitiator | undefined }
  | { readonly kind: 'message1Sent'; readonly psq: PsqInitiator }
  | { readonly kind: 'over' };

const WAIT: NymStep = { kind: 'wait' };

export class NymInitiator extends Redacted {
  private readonly options: NymInitiatorOptions;
  private readonly clientSecret: Secret;
  private readonly peerConfig: Uint8Array;
  private stage: Stage = { kind: 'unstarted' };
  private pipelined = false;
  private deadlineMs = NEVER;
  private learntKemKey: Uint8Array | undefined;

  /** Draws the client's key where none is given, the peer config, then (`start`) what the messages take. */
  constructor(options: NymInitiatorOptions) {
    super();
    this.options = options;
    const { random, hop, clientSecret } = options;
    this.clientSecret = new Secret(clientSecret === undefined ? drawSecret(random) : clientSecret.slice());
    this.peerConfig = drawPeerConfig(hop, random);
  }

  /** The node's KEM key, checked against the digest, as soon as it is known. For a cache. */
  get kemKey(): Uint8Array | undefined {
    return this.learntKemKey;
  }

  /** What the next answer belongs to; `undefined` when none is awaited. */
  get awaits(): NymHandshakeStage | undefined {
    const { kind } = this.stage;
    if (kind === 'kktSent') return 'kkt';
    return kind === 'message1Sent' ? 'psq' : undefined;
  }

  start(now: Now): NymStep {
    if (this.stage.kind !== 'unstarted') throw new Error('assertion: a handshake starts once');
    const { crypto, random, node, kemDigest, kemKey, timeoutMs = NYM_HANDSHAKE_TIMEOUT_MS } = this.options;
    this.deadlineMs = now.monotonicMs + timeoutMs;
    const ephemeral = drawSecret(random);
    const request = writeKktRequest(crypto, node, ephemeral, kemDigest.hash, this.peerConfig);
    ephemeral.fill(0);
    if (request === undefined) return this.fail('kkt', 'node_key');
    const messages: NymOutgoing[] = [{ bytes: request.message, replyLength: kktResponseLength('mlkem768') }];
    const known = kemKey !== undefined && matchesDigest(crypto, kemKey, kemDigest) ? kemKey : undefined;
    const psq = known === undefined ? undefined : this.message1(known);
    if (psq !== undefined) messages.push({ bytes: psq.message, replyLength: MESSAGE_2_LENGTH });
    this.pipelined = psq !== undefined;
    this.stage = { kind: 'kktSent', keys: request.keys, psq };
    return { kind: 'send', messages };
  }

  /** A whole message of the node. */
  receive(message: Uint8Array, now: Now): NymStep {
    if (now.monotonicMs >= this.deadlineMs) return this.tick(now);
    const { stage } = this;
    switch (stage.kind) {
      case 'kktSent':
        return this.receiveKkt(stage.keys, stage.psq, message);
      case 'message1Sent':
        return this.receiveMessage2(stage.psq, message);
      case 'unstarted':
      case 'over':
        return WAIT;
      default:
        return assertNever(stage);
    }
  }

  /** The node has ended the connection, or the forward. */
  closed(): NymStep {
    return this.awaits === undefined ? WAIT : this.fail(this.awaits, 'closed');
  }

  tick(now: Now): NymStep {
    if (this.awaits === undefined || now.monotonicMs < this.deadlineMs) return WAIT;
    return this.fail(this.awaits, 'timeout');
  }

  nextTickMs(): number {
    return this.awaits === undefined ? NEVER : this.deadlineMs;
  }

  /** Ends the attempt and wipes it. Safe to call twice. */
  abandon(): void {
    const { stage } = this;
    this.stage = { kind: 'over' };
    if (stage.kind === 'kktSent') wipeCarrier(stage.keys);
    if (stage.kind === 'kktSent' || stage.kind === 'message1Sent') stage.psq?.wipe();
    this.clientSecret.wipe();
  }

  private receiveKkt(keys: CarrierKeys, sentPsq: PsqInitiator | undefined, response: Uint8Array): NymStep {
    const read = readKktResponse(this.options.crypto, keys, response, this.options.kemDigest);
    if (read.kind === 'refuse') return this.fail('kkt', read.reason);
    this.learntKemKey = read.value;
    // The same digest is the same key.
    const psq = sentPsq ?? this.message1(read.value);
    if (psq === undefined) return this.fail('kkt', 'kem_key');
    this.stage = { kind: 'message1Sent', psq };
    if (sentPsq !== undefined) return WAIT;
    return { kind: 'send', messages: [{ bytes: psq.message, replyLength: MESSAGE_2_LENGTH }] };
  }

  private receiveMessage2(psq: PsqInitiator, message: Uint8Array): NymStep {
    const read = psq.read(message);
    if (read.kind === 'refuse') return this.fail('psq', read.reason);
    const session = new NymClientSession(new NymChannel(this.options.crypto, 'initiator', read.value));
    wipeSecrets(read.value);
    this.abandon();
    return { kind: 'established', session };
  }

  /** `undefined` for a KEM key that fails FIPS 203's check. */
  private message1(kemKey: Uint8Array): PsqInitiator | undefined {
    const { crypto, random, node, importKemKey = crypto.base.kems['ml-kem-768'].importPublicKey } = this.options;
    const imported = importKemKey(kemKey);
    if (imported === undefined) return undefined;
    const clientSecret = this.clientSecret.bytes;
    return PsqInitiator.start(crypto, random, { clientSecret, node, kemKey: imported, seed: seedOf(this.peerConfig) });
  }

  private fail(stage: NymHandshakeStage, reason: NymHandshakeFailure['reason']): NymStep {
    this.abandon();
    return { kind: 'failed', failure: { stage, reason, pipelined: this.pipelined } };
  }
}

function drawSecret(random: RandomSource): Uint8Array {
  const secret = new Uint8Array(KEY_LENGTH);
  random.fill(secret);
  return secret;
}
