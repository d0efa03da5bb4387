/** The common ground of LP1's tests: a shard that admits LP1, genuine clients stopped at any step, and what they carry. */
import type { CryptoProvider, RandomSource } from '../../src/lp/crypto/provider.ts';
import {
  encodeForwardData,
  encodeRegistrationRequest,
  type LpRegistrationRequest,
  TICKET_TYPE,
} from '../../src/lp/v1/application-bodies.ts';
import type { ClientSessionV1 } from '../../src/lp/v1/client-session.ts';
import type { FamilyV1 } from '../../src/lp/v1/family.ts';
import { InitiatorV1 } from '../../src/lp/v1/initiator.ts';
import { encodeForwardResponse, type ForwardTarget } from '../../src/lp/wire/application-frame.ts';
import { writeLe32 } from '../../src/lp/wire/bytes.ts';
import { ANSWER, REQUEST } from '../../src/shard/messages.ts';
import { CLIENT, GATEWAY, PROVIDERS } from '../lp/v1/people.ts';
import { mockCredential } from './lp1-credential.ts';
import { Prng } from './prng.ts';
import { type Effect, type HarnessOptions, ShardHarness } from './shard-harness.ts';

export const [crypto] = PROVIDERS;
export const START_UNIX_MS = 1_764_583_200_000;

export interface Ground {
  readonly harness: ShardHarness;
  readonly prng: Prng;
}

export function lp1Gateway(options: Partial<HarnessOptions> = {}, prng = new Prng(7)): Ground {
  const harness = new ShardHarness({
    crypto,
    random: prng.source(),
    gatewaySeed: GATEWAY.seed,
    unixMs: START_UNIX_MS,
    lp1: true,
    ...options,
  });
  return { harness, prng };
}

/** Draws of 4 bytes, which are receiver indices, come from the list while it lasts. */
export function chosenIndices(random: RandomSource, indices: readonly number[]): RandomSource {
  const left = [...indices];
  return {
    kind: 'seeded',
    fill(out) {
      const index = out.length === 4 ? left.shift() : undefined;
      if (index === undefined) random.fill(out);
      else writeLe32(out, 0, index);
    },
  };
}

export interface ClientV1Options {
  readonly crypto?: CryptoProvider;
  readonly random?: RandomSource;
  readonly clientSeed?: Uint8Array;
  readonly clockOffsetMs?: number;
}

export function initiatorV1({ harness, prng }: Ground, options: ClientV1Options = {}): InitiatorV1 {
  const whole = {
    crypto,
    random: prng.source(),
    clientSeed: CLIENT.seed,
    gatewayEd25519: GATEWAY.ed25519,
    gatewayX25519: GATEWAY.x25519,
    clockOffsetMs: 0,
    ...options,
  };
  return new InitiatorV1(whole, harness.now);
}

export const STEPS = ['hello', 'kkt', 'h1', 'h3'] as const;
export type StepName = (typeof STEPS)[number];

export interface Opening {
  readonly initiator: InitiatorV1;
  /** The client's next packet, which was not sent. */
  readonly next: Uint8Array;
  /** Every packet so far as it was sent, and its reply. */
  readonly sent: readonly Uint8Array[];
  readonly replies: readonly Uint8Array[];
}

/** A genuine handshake up to the packet of this step. */
export function upTo(ground: Ground, step: StepName, options: ClientV1Options = {}): Opening {
  const { harness } = ground;
  const initiator = initiatorV1(ground, options);
  const sent: Uint8Array[] = [];
  const replies: Uint8Array[] = [];
  let next = packetOfStep(initiator.start(harness.now));
  for (let n = 0; n < STEPS.indexOf(step); n++) {
    sent.push(next.slice());
    const reply = onlyReply(harness.packet(next));
    replies.push(reply.slice());
    next = packetOfStep(initiator.receive(reply, harness.now));
  }
  return { initiator, next, sent, replies };
}

export interface ConnectedV1 {
  readonly initiator: InitiatorV1;
  readonly session: ClientSessionV1;
  readonly sent: readonly Uint8Array[];
  readonly replies: readonly Uint8Array[];
}

export function connectV1(ground: Ground, options: ClientV1Options = {}): ConnectedV1 {
  return finish(ground, upTo(ground, 'h3', options));
}

/** The rest of a handshake that was stopped. Throws where it does not come to its end. */
export function finish({ harness }: Ground, opening: Opening): ConnectedV1 {
  const { initiator } = opening;
  const sent = [...opening.sent];
  const replies = [...opening.replies];
  let { next } = opening;
  for (;;) {
    sent.push(next.slice());
    const reply = onlyReply(harness.packet(next.slice()));
    replies.push(reply.slice());
    const step = initiator.receive(reply, harness.now);
    if (step.kind === 'established') return { initiator, session: step.session as ClientSessionV1, sent, replies };
    next = packetOfStep(step);
  }
}

/** The one packet of a step. */
export function packetOfStep(step: ReturnType<InitiatorV1['receive']>): Uint8Array {
  const packet = step.kind === 'send' && step.packets.length === 1 ? step.packets[0] : undefined;
  if (packet === undefined) throw new Error(`no packet: ${step.kind} ${'reason' in step ? step.reason : ''}`);
  return packet;
}

export function replyPackets(effects: readonly Effect[]): Uint8Array[] {
  return effects.flatMap((effect) => (effect.kind === 'reply' ? [effect.packet] : []));
}

export function onlyReply(effects: readonly Effect[]): Uint8Array {
  const replies = replyPackets(effects);
  if (replies.length !== 1) throw new Error(`${replies.length} replies: ${effects.map(({ kind }) => kind).join(' ')}`);
  return replies[0]!;
}

export type Request = Extract<Effect, { kind: 'request' }>;

export function requestsOf(effects: readonly Effect[]): Request[] {
  return effects.filter((effect) => effect.kind === 'request');
}

export function onlyRequest(effects: readonly Effect[]): Request {
  const requests = requestsOf(effects);
  if (requests.length !== 1) throw new Error(`${requests.length} requests`);
  return requests[0]!;
}

/** `failed` of every noAnswer. */
export function unansweredOf(effects: readonly Effect[]): boolean[] {
  return effects.flatMap((effect) => (effect.kind === 'noAnswer' ? [effect.failed] : []));
}

/** The reasons of drops that `act` brought about. */
export function dropsOf(harness: ShardHarness, act: () => void): string[] {
  const before = harness.drops;
  act();
  return Object.entries(harness.drops).flatMap(([reason, n]) =>
    new Array<string>(n - before[reason as keyof typeof before]).fill(reason),
  );
}

/** Reasons of drops and effects of a packet, but for what admission gets back: `tag, noAnswer false` is a plain refusal. */
export function refusal(harness: ShardHarness, packet: Uint8Array): string {
  let effects: Effect[] = [];
  const reasons = dropsOf(harness, () => {
    effects = harness.packet(packet.slice());
  });
  const others = effects.filter(({ kind }) => kind !== 'release');
  const kinds = others.map((effect) => (effect.kind === 'noAnswer' ? `noAnswer ${effect.failed}` : effect.kind));
  return [...reasons, ...kinds].join(', ');
}

/** What is under the client's session: all its sessions and their keys. */
export function familyOf(session: ClientSessionV1): FamilyV1 {
  return (session as unknown as { family: FamilyV1 }).family;
}

export const EXIT: ForwardTarget = {
  identity: GATEWAY.ed25519,
  family: 4,
  ip: Uint8Array.of(192, 0, 2, 7),
  port: 41_264,
};

export function forwardPayload(packet: Uint8Array = new Uint8Array(50).fill(9), target = EXIT): Uint8Array {
  return encodeForwardData(target, packet);
}

export function registrationPayload(changes: Partial<LpRegistrationRequest> = {}): Uint8Array {
  return encodeRegistrationRequest({
    wgPublicKey: new Uint8Array(32).fill(0x21),
    credential: mockCredential(),
    ticketType: TICKET_TYPE.wireguardEntry,
    mode: { kind: 'dvpn' },
    clientIp: { family: 4, ip: new Uint8Array(4) },
    timestamp: BigInt(START_UNIX_MS / 1_000),
    ...changes,
  });
}

/** A data packet on the session that the client seals on, or on an older one of its. */
export function dataPacket(session: ClientSessionV1, payload: Uint8Array, index = session.index): Uint8Array {
  const packet = familyOf(session).find(index)?.transport.sealData(payload);
  if (packet === undefined) throw new Error('the session seals nothing');
  return packet;
}

/** The payload of a reply as the client opens it. */
export function openedBy(session: ClientSessionV1, packet: Uint8Array, harness: ShardHarness): Uint8Array {
  const event = familyOf(session).receive(packet.slice(), harness.now);
  if (event.kind !== 'data') throw new Error(`no data: ${event.kind} ${'reason' in event ? event.reason : ''}`);
  return event.payload;
}

export function answerForward(harness: ShardHarness, key: number, packet: Uint8Array): Effect[] {
  return harness.answer(key, ANSWER.forward, encodeForwardResponse({ status: 0, packets: [packet] }));
}

/** A forward there and back. */
export function forwards({ harness }: Ground, session: ClientSessionV1, index = session.index): boolean {
  const requests = requestsOf(harness.packet(dataPacket(session, forwardPayload(), index)));
  const [request] = requests;
  if (request === undefined || request.request !== REQUEST.forwardAlone) return false;
  const packet = new Uint8Array(60).fill(request.key & 0xff);
  const [reply] = replyPackets(answerForward(harness, request.key, packet));
  return reply !== undefined && Buffer.compare(openedBy(session, reply, harness), packet) === 0;
}

export interface RekeyStarted {
  /** The client's KK1, the gateway's KK2, and the Ready that was not sent. The client is on its new session already. */
  readonly kk1: Uint8Array;
  readonly kk2: Uint8Array;
  readonly ready: Uint8Array;
  readonly parent: number;
}

export function startRekey({ harness }: Ground, session: ClientSessionV1): RekeyStarted {
  const parent = session.index;
  const started = session.startRekey(undefined, harness.now);
  if (started.kind !== 'packet') throw new Error(started.reason);
  const kk1 = started.packet.slice();
  const kk2 = onlyReply(harness.packet(started.packet));
  const received = session.receive(kk2.slice(), harness.now);
  if (received.kind !== 'rekeyed') throw new Error(received.kind);
  return { kk1, kk2, ready: received.packets[0]!.slice(), parent };
}

export function answerIndex(harness: ShardHarness, key: number, granted: boolean): Effect[] {
  return harness.answer(key, ANSWER.index, Uint8Array.of(granted ? 1 : 0));
}

/** A whole rekeying, its index granted. */
export function rekeyV1(ground: Ground, session: ClientSessionV1): RekeyStarted {
  const started = startRekey(ground, session);
  answerIndex(ground.harness, onlyRequest(ground.harness.packet(started.ready.slice())).key, true);
  return started;
}
