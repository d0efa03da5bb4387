/**
 * One registration at one node, over as many connections as it takes (nym.md §8): Initial, a credential if the node wants
 * one, Finalise. Sans-IO: answers and times in, steps out. Invariants: a registration has at most one credential, the same
 * bytes however often they have to be sent; nothing is paid twice, for after a lost Finalise it is Initial, with the same
 * WireGuard key and preshared key, that tells whether it was paid.
 */
import { encodeClaim, NYM_TICKET } from '../../lp/nym/bandwidth-claim.ts';
import {
  decodeNymResponse,
  encodeNymRequest,
  NYM_FAILURE_TEXT,
  type NymRegistrationResponse,
  type NymTunnel,
} from '../../lp/nym/registration.ts';
import { ClockSearch } from './clock-search.ts';

/** A credential that a node would not have is not pressed upon it. */
const MAX_CLAIMS_SENT = 4;

export type EnrolmentFailureReason = 'malformed' | 'clock' | 'refused' | 'unpaid';

export interface EnrolmentFailure {
  readonly step: 'initial' | 'finalise';
  /** unpaid: the node wants a credential again, though it was sent several times. */
  readonly reason: EnrolmentFailureReason;
  /** The node's own text, for `refused`. */
  readonly text: string;
}

export type EnrolmentStep =
  /** The caller wipes the body when it is sealed. */
  | { readonly kind: 'send'; readonly step: 'initial' | 'finalise'; readonly body: Uint8Array }
  /** `pay` goes on. Later connections do not ask again. */
  | { readonly kind: 'credentialRequired' }
  | { readonly kind: 'completed'; readonly tunnel: NymTunnel }
  | { readonly kind: 'failed'; readonly failure: EnrolmentFailure };

type Stage =
  | { readonly kind: 'unstarted' }
  /** `refusal`: what was said to a Finalise that may have been executed before, so Initial is asked. */
  | { readonly kind: 'initialSent'; readonly refusal: string | undefined }
  | { readonly kind: 'credentialAwaited' }
  | { readonly kind: 'finaliseSent' }
  | { readonly kind: 'over' };

export interface EnrolmentOptions {
  readonly wgPublicKey: Uint8Array;
  readonly presharedKey: Uint8Array;
  readonly ticket: 'wireguard_entry' | 'wireguard_exit';
  readonly clock: { readonly guessS: number; readonly hintS: number | undefined; readonly search: boolean };
}

const TICKET = { wireguard_entry: NYM_TICKET.wireguardEntry, wireguard_exit: NYM_TICKET.wireguardExit } as const;

export class Enrolment {
  readonly #options: EnrolmentOptions;
  readonly #clock: ClockSearch;
  #stage: Stage = { kind: 'unstarted' };
  #claim: Uint8Array | undefined;
  #claimsSent = 0;
  #disclosed = false;
  #confirmedByInitial = false;

  constructor(options: EnrolmentOptions) {
    this.#options = options;
    this.#clock = new ClockSearch(options.clock);
  }

  get skewS(): number {
    return this.#clock.skewS;
  }

  get over(): boolean {
    return this.#stage.kind === 'over';
  }

  /** A credential has left, and no answer has said what became of it. */
  get uncertain(): boolean {
    return this.#claimsSent > 0 && !this.over;
  }

  /** The node has, or may have, seen it. */
  get credentialSent(): boolean {
    return this.#disclosed;
  }

  /** It was paid, and the answer was lost: an Initial said so. Nodes up to 2026.10 have lost the peer by that (§15 N4). */
  get confirmedByInitial(): boolean {
    return this.#confirmedByInitial;
  }

  /** The first thing on every connection. */
  begin(unixMs: number): EnrolmentStep {
    return this.#sendInitial(unixMs, undefined);
  }

  /** The answer to what was sent last: any bytes. */
  receive(content: Uint8Array, unixMs: number): EnrolmentStep {
    const { kind } = this.#stage;
    if (kind !== 'initialSent' && kind !== 'finaliseSent') throw new Error('assertion: no answer is awaited');
    const response = decodeNymResponse(content);
    if (response === undefined || response.kind === 'completed_mixnet') return this.#fail('malformed');
    if (response.kind === 'failed' && response.text === NYM_FAILURE_TEXT.timestamp) return this.#searchClock(unixMs);
    return kind === 'initialSent' ? this.#afterInitial(response, unixMs) : this.#afterFinalise(response, unixMs);
  }

  /** `undefined`, with nothing changed, where these bytes are no zk-nym. Copied. */
  pay(credential: Uint8Array, unixMs: number): EnrolmentStep | undefined {
    if (this.#stage.kind !== 'credentialAwaited') throw new Error('assertion: no credential is awaited');
    const claim = encodeClaim('zk_nym', credential, TICKET[this.#options.ticket]);
    if (claim === undefined) return undefined;
    this.#claim = claim;
    return this.#sendFinalise(unixMs);
  }

  wipe(): void {
    this.#stage = { kind: 'over' };
    this.#claim?.fill(0);
    this.#claim = undefined;
  }

  #afterInitial(response: NymRegistrationResponse, unixMs: number): EnrolmentStep {
    const refusal = this.#stage.kind === 'initialSent' ? this.#stage.refusal : undefined;
    switch (response.kind) {
      case 'completed':
        this.#confirmedByInitial = this.#claimsSent > 0;
        return this.#complete(response.tunnel);
      case 'credential_required':
        if (refusal !== undefined && refusal !== NYM_FAILURE_TEXT.notInProgress) return this.#fail('refused', refusal);
        if (this.#claim !== undefined) return this.#sendFinalise(unixMs);
        this.#stage = { kind: 'credentialAwaited' };
        return { kind: 'credentialRequired' };
      case 'failed':
        return this.#fail('refused', refusal ?? response.text);
      case 'completed_mixnet':
        return this.#fail('malformed');
    }
  }

  #afterFinalise(response: NymRegistrationResponse, unixMs: number): EnrolmentStep {
    if (response.kind === 'completed') return this.#complete(response.tunnel);
    if (response.kind !== 'failed') return this.#fail('malformed');
    // An earlier Finalise may have been executed while its answer was lost; or the node has forgotten the Initial.
    const mayBePaid = this.#claimsSent > 1 || response.text === NYM_FAILURE_TEXT.notInProgress;
    return mayBePaid ? this.#sendInitial(unixMs, response.text) : this.#fail('refused', response.text);
  }

  /** What was refused for its time has done nothing, so it is sent again with another one. */
  #searchClock(unixMs: number): EnrolmentStep {
    if (!this.#clock.refused()) return this.#fail('clock');
    if (this.#stage.kind === 'initialSent') return this.#sendInitial(unixMs, this.#stage.refusal);
    this.#claimsSent--;
    return this.#sendFinalise(unixMs);
  }

  #sendInitial(unixMs: number, refusal: string | undefined): EnrolmentStep {
    if (this.over) throw new Error('assertion: the registration is over');
    this.#stage = { kind: 'initialSent', refusal };
    const { wgPublicKey, presharedKey } = this.#options;
    const time = this.#clock.timeAt(unixMs);
    return {
      kind: 'send',
      step: 'initial',
      body: encodeNymRequest({ kind: 'initial', wgPublicKey, presharedKey, time }),
    };
  }

  #sendFinalise(unixMs: number): EnrolmentStep {
    if (this.#claim === undefined) throw new Error('assertion: there is a credential');
    this.#stage = { kind: 'finaliseSent' };
    if (this.#claimsSent >= MAX_CLAIMS_SENT) return this.#fail('unpaid');
    this.#claimsSent++;
    this.#disclosed = true;
    const request = { kind: 'finalise', claim: { bytes: this.#claim }, time: this.#clock.timeAt(unixMs) } as const;
    return { kind: 'send', step: 'finalise', body: encodeNymRequest(request) };
  }

  /** The answer's bytes lie in a packet that is gone soon. */
  #complete(tunnel: NymTunnel): EnrolmentStep {
    this.wipe();
    const { wgPublicKey, port, ipv4, ipv6, upgradeMode } = tunnel;
    return {
      kind: 'completed',
      tunnel: { wgPublicKey: wgPublicKey.slice(), port, ipv4: ipv4.slice(), ipv6: ipv6.slice(), upgradeMode },
    };
  }

  #fail(reason: EnrolmentFailureReason, text = ''): EnrolmentStep {
    const step = this.#stage.kind === 'finaliseSent' ? 'finalise' : 'initial';
    this.wipe();
    return { kind: 'failed', failure: { step, reason, text } };
  }
}
