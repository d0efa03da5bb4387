/**
 * The client's repeats (lp2.md §4, §6 rule 6): the same content after 1, 2, 4 and 8 s without a reply, then the attempt is
 * given up, one shortest delay after the last repeat.
 */
export const REPEAT_DELAYS_MS = [1_000, 2_000, 4_000, 8_000] as const;
