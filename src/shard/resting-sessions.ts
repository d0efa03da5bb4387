/**
 * Sessions at rest: idle ones of a family that has no other, kept as keys and numbers in the slab instead of as objects
 * (lp2.md §4.5: a million of them). Invariant: a session is either here or an object in the session table, never both,
 * for two that seal under one key would use a nonce twice. One whose time is over ends from its numbers.
 */
import type { RestingSession } from '../lp/session.ts';
import { NUMBERS_PER_PLACE, type SessionSlab } from './session-slab.ts';

/** The numbers of a place. `expires` is 0 where nothing rests; a free place has a link in place of the index. */
const AT = { index: 0, expires: 1, family: 2, source: 3, created: 4, lastValid: 5, sent: 6, received: 7 } as const;

/** A session at rest whose time is over: it is gone from its place. */
export type PastSession = Pick<RestingSession, 'index' | 'family' | 'source'>;

export class RestingSessions {
  private readonly slab: SessionSlab;
  private resting = 0;
  private swept = 0;

  constructor(slab: SessionSlab) {
    this.slab = slab;
  }

  get size(): number {
    return this.resting;
  }

  add(session: RestingSession): void {
    const { slot } = session.place;
    const { numbers } = this.slab.slabOf(slot);
    const at = this.slab.numbersAt(slot);
    numbers[at + AT.expires] = session.expiresMs;
    numbers[at + AT.index] = session.index;
    numbers[at + AT.family] = session.family;
    numbers[at + AT.source] = session.source;
    numbers[at + AT.created] = session.createdMs;
    numbers[at + AT.lastValid] = session.lastValidMs;
    numbers[at + AT.sent] = session.sent;
    numbers[at + AT.received] = session.received;
    this.resting++;
  }

  /** The session that rests in the slot. */
  read(slot: number): RestingSession {
    const { numbers } = this.slab.slabOf(slot);
    const at = this.slab.numbersAt(slot);
    const number = (field: number) => numbers[at + field] ?? 0;
    return {
      place: this.slab.place(slot),
      index: number(AT.index),
      family: number(AT.family),
      source: number(AT.source),
      createdMs: number(AT.created),
      lastValidMs: number(AT.lastValid),
      sent: number(AT.sent),
      received: number(AT.received),
      expiresMs: number(AT.expires),
    };
  }

  expired(slot: number, nowMs: number): boolean {
    return nowMs >= this.expiresMs(slot);
  }

  /** The session rests no more: whoever was told of it has its place. */
  forget(slot: number): void {
    const at = this.slab.numbersAt(slot);
    this.slab.slabOf(slot).numbers.fill(0, at, at + NUMBERS_PER_PLACE);
    this.resting--;
  }

  /** Ends the session in the slot: wiped, and its place is free. */
  end(slot: number): PastSession {
    const { numbers } = this.slab.slabOf(slot);
    const at = this.slab.numbersAt(slot);
    const past = {
      index: numbers[at + AT.index] ?? 0,
      family: numbers[at + AT.family] ?? 0,
      source: numbers[at + AT.source] ?? 0,
    };
    this.forget(slot);
    this.slab.wipe(slot);
    this.slab.release(slot);
    return past;
  }

  /** Looks at `budget` places, and ends sessions that are past their time, `most` of them. */
  sweep(nowMs: number, budget: number, most: number, ended: (past: PastSession) => void): void {
    const { slots } = this.slab;
    let left = most;
    for (let looks = Math.min(budget, slots); looks > 0 && left > 0; looks--) {
      const slot = this.swept < slots ? this.swept : 0;
      this.swept = slot + 1;
      const expiresMs = this.expiresMs(slot);
      if (expiresMs === 0 || nowMs < expiresMs) continue;
      ended(this.end(slot));
      left--;
    }
  }

  private expiresMs(slot: number): number {
    return this.slab.slabOf(slot).numbers[this.slab.numbersAt(slot) + AT.expires] ?? 0;
  }
}
