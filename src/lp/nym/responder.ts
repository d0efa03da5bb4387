/**
 * The node's handshake on one connection (nym.md §4.4, §5.4): KKT request in, response out; message 1 in, message 2 and the
 * session out. Every refusal is silent and final. Nothing is kept of a client beyond the seed of its request, and what a
 * client costs is bounded: a mask before the first DH, the form of message 1 before the next.
 */
import type { NymCrypto } from '../crypto/nym-provider.ts';
import type { KemSecretKey, RandomSource } from '../crypto/provider.ts';
import type { Now } from '../time.ts';
import { NymChannel } from './channel.ts';
import type { NymDropReason } from './drop-reason.ts';
import { wipeSecrets } from './key-schedule.ts';
import { answerKktRequest } from './kkt.ts';
import { seedOf } from './peer-config.ts';
import { answerMessage1 } from './psq-responder.ts';

/** §10: for all four messages. */
export const NYM_RESPONDER_TIMEOUT_MS = 90_000;

/** What all handshakes of a node share. */
export interface NymNode {
  readonly crypto: NymCrypto;
  readonly random: RandomSource;
  /** The node's LP X25519 key, and its ML-KEM-768 key. */
  readonly secret: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly kem: KemSecretKey;
}

export type NymResponderStep =
  | { readonly kind: 'reply'; readonly message: Uint8Array }
  /** Message 2 goes out; the client's first packet will confirm it. `client`: its throw-away key. */
  | {
      readonly kind: 'established';
      readonly message: Uint8Array;
      readonly channel: NymChannel;
      readonly client: Uint8Array;
    }
  /** Close the connection without a word. */
  | { readonly kind: 'refuse'; readonly reason: NymDropReason };

type Stage =
  | { readonly kind: 'kktAwaited' }
  | { readonly kind: 'message1Awaited'; readonly seed: Uint8Array }
  | { readonly kind: 'over' };

const OVER: Stage = { kind: 'over' };

export class NymResponder {
  private readonly node: NymNode;
  private readonly deadlineMs: number;
  private stage: Stage = { kind: 'kktAwaited' };

  constructor(node: NymNode, now: Now, timeoutMs: number = NYM_RESPONDER_TIMEOUT_MS) {
    this.node = node;
    this.deadlineMs = now.monotonicMs + timeoutMs;
  }

  /** The end of the attempt holds at every message, as at the sweep. */
  expired(nowMs: number): boolean {
    return nowMs >= this.deadlineMs;
  }

  /** A whole message of the client. */
  receive(message: Uint8Array, now: Now): NymResponderStep {
    const { stage } = this;
    this.stage = OVER;
    if (stage.kind === 'over' || this.expired(now.monotonicMs)) return { kind: 'refuse', reason: 'over' };
    return stage.kind === 'kktAwaited' ? this.receiveKkt(message) : this.receiveMessage1(stage.seed, message);
  }

  private receiveKkt(message: Uint8Array): NymResponderStep {
    const { crypto, secret, publicKey, kem } = this.node;
    const answered = answerKktRequest(crypto, { secret, publicKey, kemKey: kem.publicKey.bytes }, message);
    if (answered.kind === 'refuse') return answered;
    this.stage = { kind: 'message1Awaited', seed: seedOf(answered.value.peerConfig) };
    return { kind: 'reply', message: answered.value.response };
  }

  private receiveMessage1(seed: Uint8Array, message: Uint8Array): NymResponderStep {
    const { crypto, random } = this.node;
    const answered = answerMessage1(crypto, random, this.node, seed, message);
    if (answered.kind === 'refuse') return answered;
    const { message: message2, secrets, client } = answered.value;
    const channel = new NymChannel(crypto, 'responder', secrets);
    wipeSecrets(secrets);
    return { kind: 'established', message: message2, channel, client };
  }
}
