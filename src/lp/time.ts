/**
 * Time as the core sees it: an argument, never a clock. Ages use the monotonic clock (lp2.md §7), only salts, KEM key
 * validity and hints use the wall clock.
 */
export interface Now {
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: number;
  /** Milliseconds since the Unix epoch. */
  readonly unixMs: number;
}
