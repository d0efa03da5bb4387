/**
 * Children of the benchmarks: servers and clients run in processes of their own, so that each one's CPU is its own. They
 * talk over Node's IPC channel, one request at a time.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { TASKSET } from './pinning.ts';

export interface Child {
  readonly pid: number;
  /** Sends a request and resolves to the child's next message. */
  ask<T>(request: object): Promise<T>;
  stop(): Promise<void>;
}

/** Those that were started and not stopped: a bench that fails leaves some behind. */
const running = new Set<Child>();

export async function stopRunning(): Promise<void> {
  await stopAll(...running);
}

/** Starts `scripts/bench/<name>.ts`, on these cores if any are named, and waits for its first message. */
export async function startChild<T>(
  name: string,
  args: readonly string[],
  execArgv: readonly string[] = [],
  cpus?: string,
): Promise<{ child: Child; first: T }> {
  const pinned = cpus === undefined ? {} : { execPath: TASKSET };
  const process_: ChildProcess = fork(new URL(`./${name}.ts`, import.meta.url), [...args], {
    serialization: 'advanced',
    ...pinned,
    // The same process, with the channel to it.
    execArgv: cpus === undefined ? [...execArgv] : ['-c', cpus, process.execPath, ...execArgv],
  });
  const first = await message<T>(process_, name);
  const child: Child = {
    pid: process_.pid ?? 0,
    ask(request) {
      const answer = message<never>(process_, name);
      process_.send(request);
      return answer;
    },
    async stop() {
      running.delete(child);
      if (process_.exitCode !== null || process_.signalCode !== null) return;
      const exit = once(process_, 'exit');
      process_.send({ stop: true });
      await exit;
    },
  };
  running.add(child);
  return { child, first };
}

export async function stopAll(...children: readonly Child[]): Promise<void> {
  await Promise.all(children.map((child) => child.stop()));
}

async function message<T>(child: ChildProcess, name: string): Promise<T> {
  const controller = new AbortController();
  const { signal } = controller;
  try {
    const exit = once(child, 'exit', { signal }).then(() => Promise.reject(new Error(`${name} ended early`)));
    const [value] = await Promise.race([once(child, 'message', { signal }), exit]);
    return value as T;
  } finally {
    controller.abort();
  }
}

/** The child's side: `first` is sent at once, every request is answered, `stop` ends the process. */
export function serve(first: object, answer: (request: never) => Promise<object> | object): void {
  process.on('message', (request: { stop?: boolean }) => {
    if (request.stop === true) process.exit(0);
    void Promise.resolve(answer(request as never)).then((value) => process.send?.(value));
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.(first);
}
