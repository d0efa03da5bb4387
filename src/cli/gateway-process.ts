/**
 * A gateway as a child process, run with this very command line: its log is read for what it says (`ready`, `configuration
 * re-read`), and what it complains of becomes the error. Invariant: it is ended by its own pid, at the latest when this
 * process exits.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { OperatorError } from '../ops/operator-error.ts';

const SOURCE = import.meta.url.endsWith('.ts');
const MAIN = fileURLToPath(new URL(SOURCE ? './main.ts' : './main.js', import.meta.url));
/** Starting takes a second; on a machine with much else to do, several. */
const ANSWER_TIMEOUT_MS = 30_000;
/** After SIGTERM; a gateway without clients stops in milliseconds. */
const STOP_TIMEOUT_MS = 5_000;
const MAX_STDERR_CHARACTERS = 16_384;

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface GatewayProcessOptions {
  /** For messages. */
  readonly name: string;
  /** Arguments of `lewes gateway`. */
  readonly args: readonly string[];
  /** Errors and what is fatal, as they are logged. */
  readonly onTrouble: (text: string) => void;
}

export class GatewayProcess {
  readonly name: string;
  /** Resolves, and never rejects, when the process is gone; with what it had to say. */
  readonly gone: Promise<OperatorError>;
  readonly #child: ChildProcess;
  readonly #listeners = new Set<(line: LogLine) => void>();
  readonly #killAtExit: () => void;
  #stderr = '';
  #running = true;

  constructor({ name, args, onTrouble }: GatewayProcessOptions) {
    this.name = name;
    this.#child = spawn(process.execPath, [MAIN, 'gateway', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#killAtExit = () => this.#child.kill('SIGKILL');
    process.once('exit', this.#killAtExit);
    this.gone = new Promise((resolve) => {
      // `close` comes when its output has been read to the end as well.
      this.#child.once('close', (code, signal) => resolve(this.#ended(code, signal)));
      this.#child.once('error', (error) => resolve(this.#ended(null, null, error)));
    });
    this.#read(onTrouble);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /**
   * The next log line that `wanted` says yes to. Rejects with an OperatorError when the process ends or takes too long, and
   * with the signal's reason.
   */
  async line(wanted: (line: LogLine) => boolean, signal: AbortSignal): Promise<LogLine> {
    signal.throwIfAborted();
    const found = Promise.withResolvers<LogLine>();
    const listener = (line: LogLine) => {
      if (wanted(line)) found.resolve(line);
    };
    const late = setTimeout(() => found.reject(this.#tooLate()), ANSWER_TIMEOUT_MS);
    const abort = () => found.reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    this.#listeners.add(listener);
    void this.gone.then((error) => found.reject(error));
    try {
      return await found.promise;
    } finally {
      clearTimeout(late);
      signal.removeEventListener('abort', abort);
      this.#listeners.delete(listener);
    }
  }

  signal(name: NodeJS.Signals): void {
    if (this.#running) this.#child.kill(name);
  }

  /** Resolves when it is gone: after SIGTERM, or SIGKILL if that does not help. */
  async stop(): Promise<void> {
    this.signal('SIGTERM');
    const late = setTimeout(() => this.signal('SIGKILL'), STOP_TIMEOUT_MS);
    await this.gone;
    clearTimeout(late);
  }

  #read(onTrouble: (text: string) => void): void {
    const { stdout, stderr } = this.#child;
    if (stdout === null || stderr === null) throw new Error('assertion: the output of the child is piped');
    createInterface({ input: stdout }).on('line', (text) => {
      const line = parseLine(text);
      if (line === undefined) return;
      if (line.level === 'error' || line.level === 'fatal') onTrouble(`${this.name}: ${text}`);
      for (const listener of [...this.#listeners]) listener(line);
    });
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-MAX_STDERR_CHARACTERS);
    });
  }

  #ended(code: number | null, signal: NodeJS.Signals | null, cause?: Error): OperatorError {
    this.#running = false;
    process.removeListener('exit', this.#killAtExit);
    const said = this.#stderr.trim().replaceAll(/^lewes: /gm, '');
    const how = cause?.message ?? (signal === null ? `exit code ${code}` : `signal ${signal}`);
    const message = `the ${this.name} gateway ended (${how})${said === '' ? '' : `: ${said.replace(/\.$/, '')}`}`;
    return new OperatorError('ERR_GATEWAY_ENDED', message, 'correct what it complains of and start again', { cause });
  }

  #tooLate(): OperatorError {
    return new OperatorError(
      'ERR_GATEWAY_SILENT',
      `the ${this.name} gateway did not answer within ${ANSWER_TIMEOUT_MS / 1_000} s`,
      'see what else keeps this machine busy, and try again',
    );
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
