/**
 * The runner's end of a gateway's process: started under a limit of file descriptors, asked over its channel,
 * stopped and killed by its own id. Its log and its last words go to whoever watches.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { atExit } from '../e2e/at-exit.ts';
import type { Ask, Asks, ChildSetup, ChildStatus, FromChild, ToChild } from './child-messages.ts';
import type { LogLine } from './invariants.ts';

const CHILD = fileURLToPath(new URL('./gateway-child.ts', import.meta.url));
const READY_WITHIN_MS = 30_000;
const ANSWER_WITHIN_MS = 30_000;
/** Lines that are kept for when it ends by itself. */
const LAST_WORDS = 40;

export interface ProcessSetting {
  /** `ulimit -n`; Node itself needs some sixty. */
  readonly descriptors: number;
  /** A directory. */
  readonly compileCache: string;
}

export interface ProcessWatch {
  line(line: LogLine): void;
  /** What is no line of the log. */
  said(text: string): void;
  /** It ended, and nobody had told it to; with the last lines that were none of the log. */
  endedByItself(how: string, lastWords: string): void;
}

export class ChaosGateway {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #watch: ProcessWatch;
  #port = 0;
  #nymPort = 0;
  #lastId = 0;
  #told = false;
  #paused = false;
  readonly #lastWords: string[] = [];

  private constructor(name: string, child: ChildProcess, watch: ProcessWatch) {
    this.name = name;
    this.#child = child;
    this.#watch = watch;
    child.on('exit', (code, signal) => this.#exited(String(signal ?? code)));
    // Later than its exit: all that it said has been read by then.
    child.on('close', (code, signal) => {
      if (!this.#told) this.#watch.endedByItself(String(signal ?? code), this.#lastWords.join('\n'));
    });
    child.on('message', (message: FromChild) => this.#receive(message));
    this.#listen();
  }

  /** Resolves when it is ready. */
  static async start(name: string, setup: ChildSetup, setting: ProcessSetting, watch: ProcessWatch) {
    const node = [process.execPath, CHILD];
    const child = spawn('sh', ['-c', 'ulimit -n "$0" && exec "$@"', String(setting.descriptors), ...node], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      serialization: 'advanced',
      // The same modules again and again: a start is a second faster with them compiled.
      env: { ...process.env, NODE_COMPILE_CACHE: setting.compileCache },
    });
    await once(child, 'spawn');
    atExit(child, ['kill', '-KILL', String(child.pid)]);
    child.once('exit', () => atExit(child, undefined));
    const gateway = new ChaosGateway(name, child, watch);
    await gateway.#ready(setup);
    return gateway;
  }

  get port(): number {
    return this.#port;
  }

  get nymPort(): number {
    return this.#nymPort;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** It cannot answer. */
  get paused(): boolean {
    return this.#paused;
  }

  get over(): boolean {
    return this.#told || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  ask<K extends keyof Asks>(ask: K, argument: Asks[K][0]): Promise<Asks[K][1]> {
    const id = ++this.#lastId;
    if (this.#gone) return Promise.reject(new Error(`${this.name}: it has ended`));
    // Each `ask` has its own argument: the pair is one of the union's members.
    this.#send({ kind: 'ask', ask: { id, ask, argument } as Ask });
    return this.#answer(id) as Promise<Asks[K][1]>;
  }

  status(): Promise<ChildStatus> {
    return this.ask('status', undefined);
  }

  /** SIGKILL. Resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#gone) return;
    this.#told = true;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }

  /** An orderly end. */
  async stop(): Promise<void> {
    if (this.#gone) return;
    this.#told = true;
    const exit = once(this.#child, 'exit');
    await this.ask('stop', undefined);
    await exit;
  }

  pause(): void {
    this.#paused = true;
    this.#child.kill('SIGSTOP');
  }

  proceed(): void {
    this.#paused = false;
    this.#child.kill('SIGCONT');
  }

  get #gone(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async #ready(setup: ChildSetup): Promise<void> {
    const ready = this.#answer(0, READY_WITHIN_MS);
    this.#send({ kind: 'setup', setup });
    try {
      await ready;
    } catch (error) {
      this.#told = true;
      this.#child.kill('SIGKILL');
      throw error;
    }
  }

  #send(message: ToChild): void {
    // What became of it shows in the answer.
    this.#child.send(message, () => undefined);
  }

  #answer(id: number, withinMs = ANSWER_WITHIN_MS): Promise<unknown> {
    const result = Promise.withResolvers<unknown>();
    this.#waiting.set(id, result);
    const late = setTimeout(() => this.#settle(id, `no answer within ${withinMs} ms`), withinMs);
    return result.promise.finally(() => clearTimeout(late));
  }

  #receive(message: FromChild): void {
    switch (message.kind) {
      case 'ready':
        this.#port = message.port;
        this.#nymPort = message.nymPort;
        this.#settle(0, undefined);
        break;
      case 'answer':
        this.#settle(message.id, undefined, message.value);
        break;
      case 'failed':
        this.#settle(message.id, message.reason);
        break;
    }
  }

  #settle(id: number, failure: string | undefined, value?: unknown): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (failure === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(`${this.name}: ${failure}`));
  }

  #exited(how: string): void {
    for (const id of [...this.#waiting.keys()]) this.#settle(id, `it ended (${how})`);
  }

  #listen(): void {
    const { stdout, stderr } = this.#child;
    if (stdout === null || stderr === null) throw new Error('assertion: its output is piped');
    createInterface({ input: stdout }).on('line', (text) => {
      const line = parseLine(text);
      if (line === undefined) this.#said(text);
      else this.#watch.line(line);
    });
    createInterface({ input: stderr }).on('line', (text) => this.#said(text));
  }

  #said(text: string): void {
    if (this.#lastWords.push(text) > LAST_WORDS) this.#lastWords.shift();
    this.#watch.said(text);
  }
}

function parseLine(text: string): LogLine | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const { level, msg } = { level: undefined, msg: undefined, ...value };
    return typeof level === 'string' && typeof msg === 'string' ? { ...value, level, msg } : undefined;
  } catch {
    return undefined;
  }
}
