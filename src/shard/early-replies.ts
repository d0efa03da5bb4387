/**
 * Replies to H3 that wait for the answer to their early frame, at most a second (lp2.md §4). In order of their deadlines;
 * bounded by the requests that wait, each of which made one.
 */
import type { SessionFamily } from '../lp/session.ts';

export interface EarlyReply {
  readonly family: SessionFamily;
  readonly connection: number;
  readonly deadlineMs: number;
}

/** Those that are done leave the front in such lots, so that none is moved often. */
const LOT = 1_024;

export class EarlyReplies {
  private replies: EarlyReply[] = [];
  private done = 0;

  get length(): number {
    return this.replies.length - this.done;
  }

  /** All deadlines are equally far away when they are set. */
  add(reply: EarlyReply): void {
    this.replies.push(reply);
  }

  /** Takes the first one if its time has come. */
  takeDue(nowMs: number): EarlyReply | undefined {
    const first = this.replies[this.done];
    if (first === undefined || first.deadlineMs > nowMs) return undefined;
    this.done++;
    if (this.done === this.replies.length || this.done >= LOT) {
      this.replies = this.replies.slice(this.done);
      this.done = 0;
    }
    return first;
  }
}
