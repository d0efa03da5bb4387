/**
 * Connections that sent too much of what is refused or passed over unread: they rest, unread, and are read on a few at a time.
 * So all rubbish together takes a bounded part of the acceptor, however many connections pour it; live packets on other
 * connections are not behind it (lp2.md §4.5).
 */
import type { CancelTimer } from '../system/timers.ts';
import type { Connection } from './connection.ts';

/** 1,600 connections a second: some tens of milliseconds of the acceptor's time. */
const STEP_MS = 10;
const PER_STEP = 16;
/** A quarter of a second: a client can bear it that has lost its session and sends on an index that names nothing any more. */
const REST_STEPS = 25;

interface Resting {
  readonly connection: Connection;
  readonly untilStep: number;
}

export interface RestRoomHost {
  after(ms: number, action: () => void): CancelTimer;
  /** The connection is read on. */
  rested(connection: Connection): void;
}

export class RestRoom {
  private readonly host: RestRoomHost;
  /** In the order of their times; as many at most as there are connections. */
  private readonly resting: Resting[] = [];
  private steps = 0;

  constructor(host: RestRoomHost) {
    this.host = host;
  }

  get size(): number {
    return this.resting.length;
  }

  add(connection: Connection): void {
    this.resting.push({ connection, untilStep: this.steps + REST_STEPS });
    if (this.resting.length === 1) this.schedule();
  }

  private schedule(): void {
    this.host.after(STEP_MS, () => this.step());
  }

  private step(): void {
    this.steps++;
    let due = 0;
    while (due < PER_STEP && (this.resting[due]?.untilStep ?? Number.POSITIVE_INFINITY) <= this.steps) due++;
    const rested = this.resting.splice(0, due);
    if (this.resting.length > 0) this.schedule();
    for (const { connection } of rested) this.host.rested(connection);
  }
}
