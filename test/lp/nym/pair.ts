/** A client and a node that have met, with the system's randomness: for tests of what comes after, or goes wrong on the way. */
import nodeCrypto from 'node:crypto';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { nymCrypto } from '../../../src/lp/crypto/nym-load.ts';
import type { NymCrypto } from '../../../src/lp/crypto/nym-provider.ts';
import type { RandomSource } from '../../../src/lp/crypto/provider.ts';
import { NymChannel } from '../../../src/lp/nym/channel.ts';
import { NymClientSession } from '../../../src/lp/nym/client-session.ts';
import {
  DEFAULT_NYM_LIFETIMES,
  type NymEffects,
  NymGatewaySession,
  type NymLifetimes,
  type NymRequest,
} from '../../../src/lp/nym/gateway-session.ts';
import { NymInitiator, type NymInitiatorOptions, type NymStep } from '../../../src/lp/nym/initiator.ts';
import { type NymNode, NymResponder, type NymResponderStep } from '../../../src/lp/nym/responder.ts';

export const native = nymCrypto(await loadProvider('native'));
export const portable = nymCrypto(await loadProvider('portable'));
export const NOW = { monotonicMs: 5_000, unixMs: 1_780_000_000_000 };
export const systemRandom: RandomSource = {
  kind: 'system',
  fill: (out) => void nodeCrypto.randomFillSync(out),
};

export const later = (ms: number) => ({ monotonicMs: NOW.monotonicMs + ms, unixMs: NOW.unixMs + ms });
export const randomBytes = (length: number) => Uint8Array.from(nodeCrypto.randomBytes(length));

export function makeNode(crypto: NymCrypto = native): NymNode {
  const secret = randomBytes(32);
  return {
    crypto,
    random: systemRandom,
    secret,
    publicKey: crypto.base.x25519PublicKey(secret),
    kem: crypto.base.kems['ml-kem-768'].secretKeyFromSeed(randomBytes(64)),
  };
}

export function initiatorFor(node: NymNode, more: Partial<NymInitiatorOptions> = {}): NymInitiator {
  const { crypto, publicKey, kem } = node;
  const kemDigest = { hash: 'blake3', digest: crypto.digest('blake3', kem.publicKey.bytes) } as const;
  return new NymInitiator({ crypto, random: systemRandom, node: publicKey, kemDigest, hop: 'entry', ...more });
}

export function messagesOf(step: NymStep): Uint8Array[] {
  if (step.kind !== 'send') throw new Error(`nothing sent: ${step.kind}`);
  return step.messages.map(({ bytes }) => bytes);
}

export function replyOf(step: NymResponderStep): Uint8Array {
  if (step.kind === 'refuse') throw new Error(`refused: ${step.reason}`);
  return step.message;
}

/** What the other side makes of a handshake, named: the reason, or the kind of step. */
export function outcome(step: NymStep | NymResponderStep): string {
  if (step.kind === 'failed') return step.failure.reason;
  return step.kind === 'refuse' ? step.reason : step.kind;
}

export interface Pair {
  readonly client: NymClientSession;
  readonly channel: NymChannel;
}

/** Both ends of a fresh session. */
export function meet(node: NymNode = makeNode()): Pair {
  const initiator = initiatorFor(node);
  const responder = new NymResponder(node, NOW);
  const [request] = messagesOf(initiator.start(NOW));
  const [message1] = messagesOf(initiator.receive(replyOf(responder.receive(request!, NOW)), NOW));
  const accepted = responder.receive(message1!, NOW);
  const established = initiator.receive(replyOf(accepted), NOW);
  if (established.kind !== 'established' || accepted.kind !== 'established') throw new Error('no session');
  return { client: established.session, channel: accepted.channel };
}

/** Two ends that share keys without a handshake. */
export function channels(crypto: NymCrypto = native, index = 0x01020304): { client: NymChannel; node: NymChannel } {
  const secrets = { index, initiatorToResponder: randomBytes(16), responderToInitiator: randomBytes(16) };
  return {
    client: new NymChannel(crypto, 'initiator', secrets),
    node: new NymChannel(crypto, 'responder', secrets),
  };
}

export interface Gateway {
  readonly client: NymClientSession;
  readonly session: NymGatewaySession;
  readonly effects: NymEffects;
  readonly asked: NymRequest[];
  readonly written: Uint8Array[];
  readonly closed: string[];
}

/** A client's session and the gateway's, whose effects are collected. `places`: requests that may wait. */
export function gateway(
  options: { lifetimes?: NymLifetimes; dvpn?: boolean; places?: number; content?: Uint8Array } = {},
): Gateway {
  const { lifetimes = DEFAULT_NYM_LIFETIMES, dvpn = true, places = Number.POSITIVE_INFINITY } = options;
  const { client, node } = channels();
  const asked: NymRequest[] = [];
  const written: Uint8Array[] = [];
  const closed: string[] = [];
  const effects: NymEffects = {
    send: (wire) => void written.push(wire.slice()),
    request: (request) => asked.length < places && asked.push(structuredClone(request)) > 0,
    close: (reason) => void closed.push(reason),
  };
  const session = new NymGatewaySession({ channel: node, lifetimes, dvpn }, NOW);
  return { client: new NymClientSession(client), session, effects, asked, written, closed };
}

/** Without the length before it. */
export function packetOf(sent: ReturnType<NymClientSession['send']>): Uint8Array {
  if (sent.kind !== 'packet') throw new Error(`not sent: ${sent.reason}`);
  return sent.wire.slice(4);
}
