/**
 * The last 16 registrations of a session family with `B3(request body)` (lp2.md §5): the same id and body gets the same
 * answer for 120 s, one that still runs is dropped, another body is refused. Bounded; a family that never registers has
 * none.
 */
import { sameBytes } from '../wire/bytes.ts';

const MAX_ENTRIES = 16;
const KEEP_MS = 120_000;

interface Entry {
  readonly requestId: number;
  readonly bodyHash: Uint8Array;
  state: { readonly kind: 'running' } | { readonly kind: 'answered'; readonly frame: Uint8Array };
  atMs: number;
}

export type Recalled =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'running' }
  | { readonly kind: 'reused' }
  | { readonly kind: 'answered'; readonly frame: Uint8Array };

export class AnswerCache {
  private entries: Entry[] = [];

  recall(requestId: number, bodyHash: Uint8Array, nowMs: number): Recalled {
    this.dropOld(nowMs);
    const entry = this.entries.find((e) => e.requestId === requestId);
    if (entry === undefined) return { kind: 'unknown' };
    if (!sameBytes(entry.bodyHash, bodyHash)) return { kind: 'reused' };
    return entry.state;
  }

  /** False when 16 requests of the family are running. */
  begin(requestId: number, bodyHash: Uint8Array, nowMs: number): boolean {
    this.dropOld(nowMs);
    if (this.entries.length >= MAX_ENTRIES) {
      const oldest = this.entries.findIndex((e) => e.state.kind === 'answered');
      if (oldest < 0) return false;
      this.entries.splice(oldest, 1);
    }
    this.entries.push({ requestId, bodyHash, state: { kind: 'running' }, atMs: nowMs });
    return true;
  }

  finish(requestId: number, frame: Uint8Array, nowMs: number): void {
    const entry = this.entries.find((e) => e.requestId === requestId);
    if (entry === undefined) return;
    entry.state = { kind: 'answered', frame };
    entry.atMs = nowMs;
  }

  /** A request that was refused has no answer to repeat. An answer that is kept stays. */
  forget(requestId: number): void {
    this.entries = this.entries.filter((e) => e.requestId !== requestId || e.state.kind === 'answered');
  }

  isEmpty(nowMs: number): boolean {
    this.dropOld(nowMs);
    return this.entries.length === 0;
  }

  private dropOld(nowMs: number): void {
    this.entries = this.entries.filter((e) => e.state.kind === 'running' || nowMs - e.atMs < KEEP_MS);
  }
}
