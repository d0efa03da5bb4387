/**
 * The registrar's thread as the main thread sees it: messages both ways, in order. A real one, or its twin on the caller's
 * thread for tests. A plain Worker: see workers/registrar.ts.
 */
import { Worker } from 'node:worker_threads';
import { type FromRegistrar, type ToRegistrar, transferOf } from '../registration/registrar-messages.ts';
import { RegistrarWorker, type RegistrarWorkerDependencies } from '../registration/registrar-worker.ts';

export interface RegistrarThread {
  /** Buffers of the message may be gone afterwards. */
  post(message: ToRegistrar): void;
  onMessage(received: (message: FromRegistrar) => void): void;
  /** Called at most once, when the thread ended without being told to close or to end. */
  onLost(lost: (reason: Error) => void): void;
  /** Ends the thread, whatever it does. */
  destroy(): Promise<void>;
}

export function startRegistrarThread(entry: URL, extra?: unknown): RegistrarThread {
  const worker = new Worker(entry, { workerData: extra });
  let over = false;
  let received: (message: FromRegistrar) => void = () => undefined;
  let lost: (reason: Error) => void = () => undefined;
  const end = (reason: Error) => {
    if (over) return;
    over = true;
    lost(reason);
  };
  worker.on('message', (message: FromRegistrar) => {
    // What a thread says last is its word: its end is no loss then.
    if (message.kind === 'closed' || message.kind === 'refused') over = true;
    received(message);
  });
  worker.on('messageerror', end);
  worker.on('error', (error: unknown) => end(error instanceof Error ? error : new Error(String(error))));
  worker.on('exit', (code) => end(new Error(`the thread exited with code ${code}`)));
  return {
    post: (message) => worker.postMessage(message, [...transferOf(message)]),
    onMessage(callback) {
      received = callback;
    },
    onLost(callback) {
      lost = callback;
    },
    async destroy() {
      over = true;
      await worker.terminate();
    },
  };
}

/** Messages cross in a microtask of their own, and nothing is copied or transferred. */
export function startRegistrarInThread(dependencies: Omit<RegistrarWorkerDependencies, 'post'>): RegistrarThread {
  let received: (message: FromRegistrar) => void = () => undefined;
  const registrar = new RegistrarWorker({
    ...dependencies,
    post: (message) => queueMicrotask(() => received(message)),
  });
  return {
    post: (message) => queueMicrotask(() => registrar.receive(message)),
    onMessage(callback) {
      received = callback;
    },
    onLost: () => undefined,
    async destroy() {
      received = () => undefined;
    },
  };
}
