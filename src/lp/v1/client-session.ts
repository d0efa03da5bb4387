/**
 * The client's LP1 session and all that it was rekeyed to (lp1.md §7.6–7.9, §9.3). Payloads have no request ids, so one
 * exchange is under way at a time and the next payload that opens is its answer; whoever drives this takes a fresh
 * connection after an answer that he gave up. Requests are LP2's application frames, translated at this edge.
 *
 * A rekeying costs LP1's gateway two messages of which the second, Ready, is never acknowledged. It is sent once; only
 * when an exchange on the new session went unanswered does the same packet go ahead of the next ones, until the gateway
 * shows that it has the new session.
 */
import type { ClientReceived, ClientSession, SealedFrame, StartedRekey } from '../client-session.ts';
import type { Now } from '../time.ts';
import {
  type PendingTranslation,
  payloadToAnswer,
  requestToPayload,
  unansweredToAnswer,
} from './client-translation.ts';
import type { FamilyEvent, FamilyV1 } from './family.ts';
import type { IpAddress } from './socket-address.ts';

const DEMOTED_TTL_MS = 60_000;
const NEVER = Number.POSITIVE_INFINITY;
const NO_IP = new Uint8Array(0);
const OPENED: ClientReceived = { kind: 'opened' };

interface Exchange {
  readonly pending: PendingTranslation;
  /** What is still to be sent, the next one first. */
  readonly payloads: Uint8Array[];
  readonly replies: Uint8Array[];
}

export class ClientSessionV1 implements ClientSession {
  private readonly family: FamilyV1;
  private readonly staticSecret: Uint8Array;
  private readonly gatewayIp: IpAddress | undefined;
  private exchange: Exchange | undefined;
  /** The Ready of the current session, until the gateway has shown that it arrived. */
  private ready: Uint8Array | undefined;
  private readyDoubted = false;
  private ended = false;

  /** Takes over both: `staticSecret` is the family's. `gatewayIp`: 4 or 16 bytes, empty where it is not known. */
  constructor(family: FamilyV1, staticSecret: Uint8Array, gatewayIp: Uint8Array = NO_IP) {
    this.gatewayIp = gatewayIp.length === 0 ? undefined : { family: gatewayIp.length === 4 ? 4 : 6, ip: gatewayIp };
    this.family = family;
    this.staticSecret = staticSecret;
  }

  get index(): number {
    return this.family.current.index;
  }

  owns(index: number): boolean {
    return this.family.find(index) !== undefined;
  }

  get rekeying(): boolean {
    return this.family.rekeyStarted;
  }

  sealFrame(frame: Uint8Array, now: Now): SealedFrame {
    if (this.ended) return { kind: 'spent' };
    if (this.exchange !== undefined) return { kind: 'later' };
    this.forgetDemoted(now);
    const translated = requestToPayload(frame, now);
    if (translated.kind === 'answered') return translated;
    const { payloads, pending } = translated;
    this.exchange = { pending, payloads: [...payloads], replies: [] };
    const packet = this.sealNext(this.exchange);
    if (packet === undefined) {
      this.endExchange();
      return { kind: 'spent' };
    }
    const packets = this.ready !== undefined && this.readyDoubted ? [this.ready, packet] : [packet];
    return { kind: 'packets', packets };
  }

  abandonRequest(requestId: number): boolean {
    if (this.exchange?.pending.requestId !== requestId) return false;
    this.endExchange();
    this.readyDoubted = true;
    return true;
  }

  unanswered(requestId: number): Uint8Array | undefined {
    if (requestId === 0) {
      this.family.abandonRekey();
      return undefined;
    }
    const { exchange } = this;
    if (exchange?.pending.requestId !== requestId) return undefined;
    this.endExchange();
    this.readyDoubted = true;
    return unansweredToAnswer(exchange.pending, exchange.replies);
  }

  receive(packet: Uint8Array, now: Now): ClientReceived {
    if (this.ended) return { kind: 'drop', reason: 'unknown_index' };
    this.forgetDemoted(now);
    const event = this.family.receive(packet, now);
    switch (event.kind) {
      case 'drop':
        return event;
      case 'data':
        return this.data(event);
      case 'promoted':
        this.ready = event.ready;
        this.readyDoubted = false;
        return { kind: 'rekeyed', packets: [event.ready], replies: 0 };
      case 'send':
        return { kind: 'send', packets: [event.packet], requestId: 0, replies: 0 };
      case 'ready':
        // A gateway of today starts no rekeying; one that does picks an index among this client's, of which it has few.
        this.family.promote(event.index, now);
        return OPENED;
      case 'accepted':
        return OPENED;
      case 'aborted':
        return { kind: 'aborted' };
    }
  }

  startRekey(kem: boolean | undefined, now: Now): StartedRekey {
    if (kem === true) return { kind: 'refused', reason: 'kem_not_offered' };
    const packet = this.ended ? undefined : this.family.startRekey(now);
    return packet === undefined ? { kind: 'refused', reason: 'too_soon' } : { kind: 'packet', packet };
  }

  /** An own KK1 is never sent again: the reference would close the session for it. */
  tick(now: Now): Uint8Array[] {
    this.family.giveUp(now);
    this.forgetDemoted(now);
    return [];
  }

  nextTickMs(): number {
    return this.ended ? NEVER : this.family.giveUpMs;
  }

  /** LP1 has no packet for it: the gateway forgets the session in time. */
  close(): undefined {
    this.wipe();
    return undefined;
  }

  wipe(): void {
    this.ended = true;
    this.endExchange();
    this.family.wipe();
    this.staticSecret.fill(0);
  }

  private data({ session, payload }: FamilyEvent & { kind: 'data' }): ClientReceived {
    if (session === this.family.current) this.ready = undefined;
    const { exchange } = this;
    if (exchange === undefined) return OPENED;
    exchange.replies.push(payload);
    if (exchange.payloads.length > 0) {
      const packet = this.sealNext(exchange);
      const { requestId } = exchange.pending;
      if (packet !== undefined) return { kind: 'send', packets: [packet], requestId, replies: 1 };
    }
    this.endExchange();
    const frame = payloadToAnswer(exchange.pending, exchange.replies, this.gatewayIp);
    return frame === undefined ? { kind: 'drop', reason: 'unknown_payload' } : { kind: 'frame', bytes: frame };
  }

  private sealNext(exchange: Exchange): Uint8Array | undefined {
    const payload = exchange.payloads.shift();
    const packet = payload && this.family.current.transport.sealData(payload);
    payload?.fill(0);
    return packet;
  }

  private endExchange(): void {
    for (const payload of this.exchange?.payloads ?? []) payload.fill(0);
    this.exchange = undefined;
  }

  private forgetDemoted(now: Now): void {
    for (const session of [...this.family.all]) {
      if (session.expired(now.monotonicMs, NEVER, DEMOTED_TTL_MS)) this.family.remove(session);
    }
  }
}
