/** What the runner and a gateway's process say to each other, over Node's channel between them. */
import type { NymKeys } from '../../src/gateway/nym/nym-service.ts';
import type { Order } from './orders.ts';
import type { ClockJump } from './shared-clock.ts';

export interface ChildSetup {
  readonly configFile: string;
  /** Of the identity, 32 bytes. */
  readonly seed: Uint8Array;
  /** Of the issuer's key, where tokens are asked for. */
  readonly issuerSpki: Uint8Array | undefined;
  readonly storePath: string;
  readonly wireGuardSecret: Uint8Array;
  readonly nymKeys: NymKeys;
  /** Directory and beginning of the files of sealings. */
  readonly sealPath: string;
  readonly sealSalt: Uint8Array;
  /** Old generation of a shard's heap. */
  readonly shardHeapMb: number;
}

export interface ChildStatus {
  readonly rssBytes: number;
  /** By its own clock. */
  readonly monotonicMs: number;
  /** Every table and queue that has to be empty when nobody is there any more. */
  readonly tables: Readonly<Record<string, number>>;
  readonly ready: boolean;
  /** How often each shard and the registrar were replaced. */
  readonly epochs: readonly number[];
  readonly registrarEpoch: number;
  /** Parts that the registrar cannot use. */
  readonly alarms: readonly string[];
  readonly registrations: number;
  /** Registrations in the store, those in their grace included; 0 where it cannot say. */
  readonly stored: number;
  /** Threads whose order waits to be obeyed. */
  readonly ordersWaiting: readonly string[];
}

/** What can be asked: argument and answer. */
export interface Asks {
  status: [undefined, ChildStatus];
  order: [{ readonly thread: string; readonly order: Order }, undefined];
  jump: [ClockJump, undefined];
  /** Lets so many seconds go by on its monotonic clock, with ticks, in a fraction of the time. */
  age: [{ readonly seconds: number }, undefined];
  /** Moves the clock and ticks until every table is empty, or for some seconds. */
  settle: [ClockJump, ChildStatus];
  /** An orderly end; the process exits after the answer. */
  stop: [undefined, undefined];
}

export type Ask = {
  [K in keyof Asks]: { readonly id: number; readonly ask: K; readonly argument: Asks[K][0] };
}[keyof Asks];

export type ToChild =
  | { readonly kind: 'setup'; readonly setup: ChildSetup }
  | { readonly kind: 'ask'; readonly ask: Ask };

export type FromChild =
  | { readonly kind: 'ready'; readonly port: number; readonly nymPort: number }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  /** It would not start, or an ask went wrong. */
  | { readonly kind: 'failed'; readonly id: number; readonly reason: string };

export function shardThread(shard: number): string {
  return `shard ${shard}`;
}
export const REGISTRAR_THREAD = 'registrar';
