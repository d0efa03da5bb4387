/**
 * A generator thread as the run sees it: messages in, messages out, and its end. The real one is a worker thread; it is the
 * only file here that knows.
 */
import { Worker } from 'node:worker_threads';
import { workerEntry } from '../system/entry.ts';
import type { FromThread, LoadWorkerData, ToThread } from './messages.ts';

export interface ThreadPort {
  send(message: ToThread): void;
  /** Ends it at once. */
  terminate(): Promise<void>;
}

export interface ThreadEvents {
  message(message: FromThread): void;
  /** It ended by itself; an error where it was a mistake of ours. */
  ended(error: Error | undefined): void;
}

export type StartThread = (data: LoadWorkerData, events: ThreadEvents) => ThreadPort;

export const startLoadThread: StartThread = (data, events) => {
  const worker = new Worker(workerEntry('load'), { workerData: data });
  worker.on('message', (message: FromThread) => events.message(message));
  let fault: Error | undefined;
  worker.on('error', (error) => {
    fault = error instanceof Error ? error : new Error(String(error));
  });
  worker.once('exit', () => events.ended(fault));
  return {
    send: (message) => worker.postMessage(message),
    terminate: async () => {
      await worker.terminate();
    },
  };
};
