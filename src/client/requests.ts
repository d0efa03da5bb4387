/**
 * The requests of one link (lp2.md §5): their ids, which are unique in every session family the link ever has, and when
 * each is to be repeated or given up. Invariant: a request is settled once, and its frame, which may hold secrets, is
 * wiped then. Bounded by `max`.
 */
import { type ApplicationFrame, encodeFrame } from '../lp/wire/application-frame.ts';
import type { LewesError, Step } from './errors.ts';

export type RequestResult =
  | { readonly kind: 'answer'; readonly frame: ApplicationFrame }
  | { readonly kind: 'error'; readonly error: LewesError };

export interface RequestOptions {
  readonly kind: number;
  readonly body: Uint8Array;
  /** For errors and steps. */
  readonly step: Step;
  /** From its leaving to its answer. */
  readonly timeoutMs: number;
  /** Delays of the repeats with the same id and body on a live session; empty for none. */
  readonly repeatDelaysMs: readonly number[];
  /** Whether it may be sent again where nobody knows if it was executed: after a lost connection or attempt. */
  readonly idempotent: boolean;
  readonly sent?: () => void;
  settle(result: RequestResult): void;
}

export interface PendingRequest extends RequestOptions {
  readonly id: number;
  readonly frame: Uint8Array;
  state: 'queued' | 'early' | 'sent';
  /** Monotonic; when it left for the first time. */
  sentMs: number | undefined;
  deadlineMs: number;
  repeats: number;
  nextRepeatMs: number;
  /** It has met a session that could not seal it. */
  metSpent: boolean;
}

const NEVER = Number.POSITIVE_INFINITY;
const ID_LIMIT = 2 ** 32;

export class RequestTable {
  readonly #pending = new Map<number, PendingRequest>();
  readonly #max: number;
  #lastId = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#pending.size;
  }

  get full(): boolean {
    return this.#pending.size >= this.#max;
  }

  /** The table is not full. */
  add(options: RequestOptions): PendingRequest {
    const id = this.#nextId();
    const pending: PendingRequest = {
      ...options,
      id,
      frame: encodeFrame(options.kind, id, options.body),
      state: 'queued',
      sentMs: undefined,
      deadlineMs: NEVER,
      repeats: 0,
      nextRepeatMs: NEVER,
      metSpent: false,
    };
    this.#pending.set(id, pending);
    return pending;
  }

  get(id: number): PendingRequest | undefined {
    return this.#pending.get(id);
  }

  /** Lazily, in order: the table may change in between, and what was added then is taken, too. */
  *queued(): Generator<PendingRequest, undefined> {
    for (const request of this.#pending.values()) if (request.state === 'queued') yield request;
  }

  /** The first whose frame is not longer than that. */
  firstQueued(maxFrameLength: number): PendingRequest | undefined {
    for (const request of this.queued()) if (request.frame.length <= maxFrameLength) return request;
    return undefined;
  }

  get waiting(): boolean {
    return this.queued().next().value !== undefined;
  }

  /** Those that have left and have no answer. */
  sent(): PendingRequest[] {
    return [...this.#pending.values()].filter((request) => request.state !== 'queued');
  }

  /** It has left on a session; the time that it is given begins. Returns when to look at it again. */
  markSent(request: PendingRequest, nowMs: number): number {
    request.state = 'sent';
    if (request.deadlineMs === NEVER) request.deadlineMs = nowMs + request.timeoutMs;
    const delay = request.repeatDelaysMs[request.repeats];
    request.nextRepeatMs = delay === undefined ? NEVER : nowMs + delay;
    this.markLeft(request, nowMs);
    return dueMs(request);
  }

  /** Those that wait for a connection of a live session: their time runs. Returns when to look at them again. */
  startClocks(nowMs: number): number {
    for (const request of this.#pending.values()) {
      if (request.deadlineMs === NEVER) request.deadlineMs = nowMs + request.timeoutMs;
    }
    return this.nextDueMs();
  }

  markLeft(request: PendingRequest, nowMs: number): void {
    if (request.sentMs !== undefined) return;
    request.sentMs = nowMs;
    request.sent?.();
  }

  /** What was on its way when the connection or the attempt was lost: queued again, or failed where that is not safe. */
  requeue(error: LewesError): void {
    for (const request of this.sent()) {
      if (request.idempotent) request.state = 'queued';
      else this.settle(request, { kind: 'error', error });
    }
  }

  settle(request: PendingRequest, result: RequestResult): void {
    if (!this.#pending.delete(request.id)) return;
    request.frame.fill(0);
    request.settle(result);
  }

  failSent(error: LewesError): void {
    for (const request of this.sent()) this.settle(request, { kind: 'error', error });
  }

  failAll(error: LewesError): void {
    for (const request of [...this.#pending.values()]) this.settle(request, { kind: 'error', error });
  }

  /** What is due now: requests to repeat (their next repeat is set) and requests whose time is over. */
  due(nowMs: number): { readonly repeats: PendingRequest[]; readonly expired: PendingRequest[] } {
    const repeats: PendingRequest[] = [];
    const expired: PendingRequest[] = [];
    for (const request of this.#pending.values()) {
      if (request.deadlineMs <= nowMs) expired.push(request);
      else if (request.state === 'sent' && request.nextRepeatMs <= nowMs) {
        request.repeats++;
        const delay = request.repeatDelaysMs[request.repeats];
        request.nextRepeatMs = delay === undefined ? NEVER : nowMs + delay;
        repeats.push(request);
      }
    }
    return { repeats, expired };
  }

  nextDueMs(): number {
    let next = NEVER;
    for (const request of this.#pending.values()) next = Math.min(next, dueMs(request));
    return next;
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId + 1) % ID_LIMIT;
    while (this.#lastId === 0 || this.#pending.has(this.#lastId));
    return this.#lastId;
  }
}

function dueMs(request: PendingRequest): number {
  return Math.min(request.deadlineMs, request.state === 'sent' ? request.nextRepeatMs : NEVER);
}
