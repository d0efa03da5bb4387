/**
 * One LP1 session of a family: its transport, whether it has a successor, and its age (lp1.md §7.1, §8.1).
 */
import type { TransportV1 } from './transport.ts';

/** demoted: has a successor; it opens data, and starts nothing. ended: wiped. */
export type PlaceV1 =
  | { readonly kind: 'current' }
  | { readonly kind: 'demoted'; readonly atMs: number }
  | { readonly kind: 'ended' };

const CURRENT: PlaceV1 = { kind: 'current' };
const ENDED: PlaceV1 = { kind: 'ended' };

export class SessionV1 {
  readonly transport: TransportV1;
  place: PlaceV1 = CURRENT;
  private lastValidMs: number;

  constructor(transport: TransportV1, createdMs: number) {
    this.transport = transport;
    this.lastValidMs = createdMs;
  }

  get index(): number {
    return this.transport.index;
  }

  /** A packet was accepted. What is dropped keeps nothing alive (§10-C 26). */
  touch(nowMs: number): void {
    this.lastValidMs = nowMs;
  }

  demote(nowMs: number): void {
    this.place = { kind: 'demoted', atMs: nowMs };
  }

  /** A demoted session's time runs from its demotion, whatever still comes. */
  expired(nowMs: number, idleMs: number, demotedMs: number): boolean {
    switch (this.place.kind) {
      case 'current':
        return nowMs - this.lastValidMs >= idleMs;
      case 'demoted':
        return nowMs - this.place.atMs >= demotedMs;
      case 'ended':
        return true;
    }
  }

  wipe(): void {
    this.place = ENDED;
    this.transport.wipe();
  }
}
