/**
 * What an operator takes on by admitting LP1, in one sentence each; logged once at the start. They are properties of the
 * protocol (lp1.md §10, items 5, 6, 8, 9, 10 and 17), which no implementation that speaks it can mend.
 */
import type { Logger } from '../ops/log.ts';

export const LP1_WEAKNESSES: readonly string[] = [
  'Both directions seal with one key and the same counters, so an observer learns about the outer plaintexts and can forge control messages.',
  'A session made by rekeying gives its first successor its own outer key again, with counters from 0.',
  "Whoever gets the gateway's identity seed later can compute every past outer key from recordings.",
  'Key exchange and authentication are classical: recorded traffic is open to a quantum computer.',
  'One identity key signs, agrees on keys, serves Noise and stands in for the KEM key: losing it loses all four.',
  "The WireGuard preshared key that clients configure is the gateway's public identity key, and so protects nothing.",
];

export function warnOfLp1(log: Logger): void {
  log.warn({ weaknesses: LP1_WEAKNESSES }, 'LP1 is enabled');
}
