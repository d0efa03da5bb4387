/**
 * A session at the node (nym.md §7–§10): bound to its connection, with which it ends. One request at a time is served, in
 * the order of arrival, and each gets one answer; what a client sends ahead waits here, up to a bound. Registrations and
 * forwards leave through the effects, and their outcome comes back through `answer`. Whatever the reference closes the
 * connection for is closed here too.
 */
import { Redacted } from '../crypto/secret.ts';
import type { Now } from '../time.ts';
import { sameBytes } from '../wire/bytes.ts';
import { type NymChannel, WireScratch } from './channel.ts';
import type { NymDropReason } from './drop-reason.ts';
import { decodeNymForward, type NymForward, type NymForwardTarget } from './forward.ts';
import { FRAME_KIND, NO_ATTRIBUTES, type NymFrame } from './frame.ts';
import {
  decodeNymRequest,
  encodeNymResponse,
  isTimely,
  NYM_FAILURE_TEXT,
  type NymRegistrationRequest,
  type NymRegistrationResponse,
} from './registration.ts';

/** Packets that wait while another one is served: a client that pipelines both hops has four under way. */
const MAX_HELD_PACKETS = 8;
/** Two of the largest, or all of the usual ones. */
const MAX_HELD_BYTES = 2 * 65_536;

/** In milliseconds. The reference has none of them after the handshake (§15 B30). */
export interface NymLifetimes {
  /** From message 2 to the first packet. */
  readonly unusedMs: number;
  /** Without a packet. */
  readonly idleMs: number;
  readonly maxMs: number;
}

/** Registration is over in seconds; an exit's forwards and a user who pays in between may take minutes. */
export const DEFAULT_NYM_LIFETIMES: NymLifetimes = { unusedMs: 30_000, idleMs: 600_000, maxMs: 86_400_000 };

export type DvpnRequest = Exclude<NymRegistrationRequest, { kind: 'mixnet' }>;

/** Work that must wait. Its byte strings are the packet's: valid during the call, and to be copied in it. */
export type NymRequest =
  | { readonly kind: 'registration'; readonly request: DvpnRequest }
  | { readonly kind: 'forward'; readonly forward: NymForward };

export type NymAnswer =
  | { readonly kind: 'registration'; readonly response: NymRegistrationResponse }
  /** The exit's bytes; a packet without its length. */
  | { readonly kind: 'forward'; readonly bytes: Uint8Array }
  | { readonly kind: 'forward_failed' };

export interface NymEffects {
  /** A packet with its length before it. Copied during the call. */
  send(wire: Uint8Array): void;
  /** False when no more may wait, and then nothing was done. */
  request(request: NymRequest): boolean;
  /** The session is over and wiped; the connection is to be closed without a word. */
  close(reason: NymDropReason): void;
}

type Stage =
  | { readonly kind: 'idle' }
  | { readonly kind: 'serving'; readonly what: NymRequest['kind'] }
  | { readonly kind: 'over' };

const IDLE: Stage = { kind: 'idle' };
/** One packet at a time, which the effects copy. */
const SCRATCH = new WireScratch();

export interface NymSessionOptions {
  readonly channel: NymChannel;
  readonly lifetimes: NymLifetimes;
  /** This node gives tunnels. */
  readonly dvpn: boolean;
}

export class NymGatewaySession extends Redacted {
  private readonly channel: NymChannel;
  private readonly lifetimes: NymLifetimes;
  private readonly dvpn: boolean;
  private readonly createdMs: number;
  private lastValidMs: number | undefined;
  private stage: Stage = IDLE;
  private readonly held: Uint8Array[] = [];
  private heldBytes = 0;
  /** Of the first forward; the connection has no other (§9.4). */
  private target: NymForwardTarget | undefined;

  /** Takes the channel over. */
  constructor({ channel, lifetimes, dvpn }: NymSessionOptions, now: Now) {
    super();
    this.channel = channel;
    this.lifetimes = lifetimes;
    this.dvpn = dvpn;
    this.createdMs = now.monotonicMs;
  }

  get index(): number {
    return this.channel.index;
  }

  /** A request is being served, so what comes now is held. */
  get busy(): boolean {
    return this.stage.kind === 'serving';
  }

  /** A packet without its length; it is opened in place, or copied where it has to wait. */
  receive(packet: Uint8Array, now: Now, effects: NymEffects): void {
    if (this.stage.kind === 'over') return;
    if (this.expired(now.monotonicMs)) this.end('over', effects);
    else if (this.stage.kind === 'serving') this.hold(packet, effects);
    else this.open(packet, now, effects);
  }

  /** The outcome of what `request` asked for. One that comes when nothing is served is nobody's. */
  answer(answer: NymAnswer, now: Now, effects: NymEffects): void {
    const { stage } = this;
    if (stage.kind !== 'serving') return;
    this.stage = IDLE;
    if (answer.kind === 'registration' && stage.what === 'registration') this.respond(answer.response, effects);
    else if (answer.kind === 'forward' && stage.what === 'forward') this.relay(answer.bytes, effects);
    else this.end('forward_failed', effects);
    this.openHeld(now, effects);
  }

  expired(nowMs: number): boolean {
    const { unusedMs, idleMs, maxMs } = this.lifetimes;
    if (nowMs - this.createdMs >= maxMs) return true;
    if (this.lastValidMs === undefined) return nowMs - this.createdMs >= unusedMs;
    return nowMs - this.lastValidMs >= idleMs && this.stage.kind !== 'serving';
  }

  /** The connection has ended, or the session's time has. */
  wipe(): void {
    this.stage = { kind: 'over' };
    this.held.length = 0;
    this.heldBytes = 0;
    this.channel.wipe();
  }

  private hold(packet: Uint8Array, effects: NymEffects): void {
    if (this.held.length >= MAX_HELD_PACKETS || this.heldBytes + packet.length > MAX_HELD_BYTES) {
      this.end('too_many_frames', effects);
      return;
    }
    this.held.push(packet.slice());
    this.heldBytes += packet.length;
  }

  private openHeld(now: Now, effects: NymEffects): void {
    while (this.stage.kind === 'idle') {
      const packet = this.held.shift();
      if (packet === undefined) return;
      this.heldBytes -= packet.length;
      this.open(packet, now, effects);
      packet.fill(0);
    }
  }

  private open(packet: Uint8Array, now: Now, effects: NymEffects): void {
    const opened = this.channel.open(packet);
    if (opened.kind === 'refuse') {
      this.end(opened.reason, effects);
      return;
    }
    this.lastValidMs = now.monotonicMs;
    const refused = this.serve(opened.frame, now, effects);
    if (refused !== undefined) this.end(refused, effects);
  }

  private serve({ kind, content }: NymFrame, now: Now, effects: NymEffects): NymDropReason | undefined {
    switch (kind) {
      case FRAME_KIND.registration: {
        const request = decodeNymRequest(content);
        return request === undefined ? 'registration_body' : this.serveRegistration(request, now, effects);
      }
      case FRAME_KIND.forward: {
        const forward = decodeNymForward(content);
        return forward === undefined ? 'forward_body' : this.serveForward(forward, effects);
      }
      default:
        return 'frame_not_accepted';
    }
  }

  /** What needs no registrar is answered here, in the reference's order (§8.5). */
  private serveRegistration(request: NymRegistrationRequest, now: Now, effects: NymEffects): undefined {
    if (!isTimely(request.time, now.unixMs)) {
      const mode = request.kind === 'mixnet' ? 'mixnet' : 'dvpn';
      this.respond({ kind: 'failed', mode, text: NYM_FAILURE_TEXT.timestamp }, effects);
    } else if (request.kind === 'mixnet') {
      this.respond({ kind: 'failed', mode: 'mixnet', text: NYM_FAILURE_TEXT.mixnet }, effects);
    } else if (!this.dvpn) {
      this.respond({ kind: 'failed', mode: 'dvpn', text: NYM_FAILURE_TEXT.noDvpn }, effects);
    } else if (!this.ask({ kind: 'registration', request }, effects)) {
      this.respond({ kind: 'failed', mode: 'dvpn', text: NYM_FAILURE_TEXT.tryLater }, effects);
    }
    return undefined;
  }

  private serveForward(forward: NymForward, effects: NymEffects): NymDropReason | undefined {
    this.target ??= forward.target;
    if (!sameTarget(this.target, forward.target)) return 'other_target';
    return this.ask({ kind: 'forward', forward }, effects) ? undefined : 'forward_failed';
  }

  private ask(request: NymRequest, effects: NymEffects): boolean {
    this.stage = { kind: 'serving', what: request.kind };
    if (effects.request(request)) return true;
    this.stage = IDLE;
    return false;
  }

  private respond(response: NymRegistrationResponse, effects: NymEffects): void {
    this.write(FRAME_KIND.registration, encodeNymResponse(response), effects);
  }

  private relay(bytes: Uint8Array, effects: NymEffects): void {
    this.write(FRAME_KIND.forward, bytes, effects);
  }

  private write(kind: 1 | 2, content: Uint8Array, effects: NymEffects): void {
    const wire = this.channel.seal(kind, content, NO_ATTRIBUTES, SCRATCH);
    if (wire === undefined) this.end('forward_failed', effects);
    else effects.send(wire);
  }

  private end(reason: NymDropReason, effects: NymEffects): void {
    this.wipe();
    effects.close(reason);
  }
}

function sameTarget(a: NymForwardTarget, b: NymForwardTarget): boolean {
  return a.family === b.family && a.port === b.port && sameBytes(a.ip, b.ip);
}
