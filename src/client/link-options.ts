/** What a link is made with, and what it tells (see link.ts). */
import type { Secret } from '../lp/crypto/secret.ts';
import type { LewesError } from './errors.ts';
import type { OpeningOptions } from './opening.ts';

export interface LinkOptions extends Omit<OpeningOptions, 'clientSeed'> {
  /** Taken over: wiped when the link is closed. */
  readonly clientSeed: Secret;
  readonly ratchet: boolean;
  readonly reconnect: boolean;
  readonly openTimeoutMs: number;
  readonly forwardTimeoutMs: number;
  readonly maxInFlight: number;
  readonly maxWriteBufferBytes: number;
}

export interface LinkEvents {
  opened(): void;
  lost(error: LewesError): void;
  rekeyed(): void;
  closed(error: LewesError): void;
}
