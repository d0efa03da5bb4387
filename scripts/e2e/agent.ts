/**
 * A process in a network namespace that does what it is asked (agents/): a namespace belongs to a process, so whoever talks
 * from within one is a process of its own. Questions and answers are structured clones over Node's channel.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { atExit } from './at-exit.ts';
import type { Namespace } from './namespace.ts';

type Job = (question: never) => unknown;
export type Jobs = Readonly<Record<string, Job>>;

interface Question {
  readonly id: number;
  readonly job: string;
  readonly question: unknown;
}

type Reply = { readonly id: number } & ({ readonly answer: unknown } | { readonly error: string });

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** `J`: the jobs that its script serves. */
export class Agent<J extends Jobs> {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (reply: Reply) => {
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if ('error' in reply) waiting?.reject(new Error(reply.error));
      else waiting?.resolve(reply.answer);
    });
    child.once('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the agent has ended'));
      atExit(child, undefined);
    });
  }

  /** `script`: a file of agents/. */
  static async start<J extends Jobs>(namespace: Namespace, script: string): Promise<Agent<J>> {
    const path = fileURLToPath(new URL(`agents/${script}`, import.meta.url));
    const [command, args] = namespace.command(path);
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const;
    const child = spawn(command, args, { stdio: [...stdio], serialization: 'advanced' });
    await once(child, 'spawn');
    atExit(child, ['kill', '-KILL', String(child.pid)]);
    return new Agent<J>(child);
  }

  ask<K extends keyof J & string>(job: K, question: Parameters<J[K]>[0]): Promise<Awaited<ReturnType<J[K]>>> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      // Both sides have the type of the same jobs.
      this.#waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
      this.#child.send({ id, job, question } satisfies Question, (error) => error && reject(error));
    });
  }

  /** It has nothing to lose. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
}

/** For the agent's script: answers until whoever asks is gone. */
export function serve(jobs: Jobs): void {
  const answer = async ({ id, job, question }: Question): Promise<Reply> => {
    try {
      const found = jobs[job];
      if (found === undefined) throw new Error(`there is no job ${job}`);
      return { id, answer: await found(question as never) };
    } catch (error) {
      return { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
  };
  process.on('message', (question: Question) => void answer(question).then((reply) => process.send?.(reply)));
  process.once('disconnect', () => process.exit(0));
}
