/** What crosses between the main thread and a generator thread: plain data, one union for each direction. */
import type { LoadPlan, ThreadShare } from './plan.ts';
import type { RegistrationCounts } from './registrations.ts';
import type { MeasuredCounts, SecondCounts } from './statistics.ts';

export interface LoadWorkerData {
  readonly plan: LoadPlan;
  readonly share: ThreadShare;
}

export type ToThread =
  /** All threads are ready: the run begins. */
  | { readonly kind: 'go' }
  /** Ends the run before its time; what is under way has a moment to be answered. */
  | { readonly kind: 'stop' }
  | { readonly kind: 'token'; readonly token: Uint8Array }
  | { readonly kind: 'noToken'; readonly code: string; readonly message: string };

export type FromThread =
  /** Sessions that are open, of those that are wanted. */
  | { readonly kind: 'ready'; readonly open: number; readonly wanted: number; readonly crypto: string }
  | {
      readonly kind: 'second';
      readonly counts: SecondCounts;
      readonly connections: number;
      readonly sessions: number;
    }
  | { readonly kind: 'done'; readonly report: ThreadReport }
  | { readonly kind: 'askToken'; readonly challenge: Uint8Array }
  | { readonly kind: 'giveBack'; readonly token: Uint8Array };

export interface ThreadReport {
  readonly counts: MeasuredCounts;
  readonly measuredMs: number;
  /** Share of the measured time in which the thread was not waiting for events. */
  readonly busyShare: number;
  /** Of a core, in the measured time. */
  readonly cpuShare: number;
  readonly loopDelayP99Ms: number;
  /** Operations that waited for a session that nobody else used. */
  readonly waitedForSessions: number;
  /** Operations that waited for a token. */
  readonly waitedForTokens: number;
  /** Of the scenario that registers. */
  readonly registrations?: RegistrationCounts;
}
