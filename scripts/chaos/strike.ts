/** What a fault was. */
export interface Strike {
  readonly note: string;
  /** When it was over, so that clients had to recover from then on. */
  readonly endedMs: number;
}
