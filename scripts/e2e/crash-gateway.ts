/**
 * A gateway process that is there to be killed: `lewes gateway` of this clone on one data directory, started again and again.
 * Invariant: only the process that was started here is signalled, and it is gone when `ended` has resolved.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const COMMAND = fileURLToPath(new URL('../../bin/lewes.js', import.meta.url));
const MAX_SAID_CHARACTERS = 8_192;

/** Where a gateway listens that is ready. */
export interface ReadyGateway {
  readonly address: string;
  readonly admin: string;
  /** Base58. */
  readonly identity: string;
}

export class CrashGateway {
  /** Rejects when the process ends before. */
  readonly ready: Promise<ReadyGateway>;
  /** Its last words, when it is gone. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  #killed = false;

  constructor(dataDir: string, args: readonly string[]) {
    const all = [COMMAND, 'gateway', '--data-dir', dataDir, ...args];
    this.#child = spawn(process.execPath, all, { stdio: ['ignore', 'pipe', 'pipe'] });
    const { stdout, stderr } = this.#child;
    if (stdout === null || stderr === null) throw new Error('assertion: its output is piped');
    let said = '';
    const hear = (text: string) => {
      said = `${said}${text}\n`.slice(-MAX_SAID_CHARACTERS);
    };
    const ready = Promise.withResolvers<ReadyGateway>();
    createInterface({ input: stdout }).on('line', (line) => {
      hear(line);
      const gateway = readyOf(line);
      if (gateway !== undefined) ready.resolve(gateway);
    });
    createInterface({ input: stderr }).on('line', hear);
    this.ended = new Promise((resolve) => this.#child.once('close', () => resolve(said)));
    void this.ended.then((words) => ready.reject(new Error(`the gateway ended: ${words}`)));
    this.ready = ready.promise;
    // Whoever kills it while it starts does not wait for it.
    this.ready.catch(() => undefined);
  }

  get killed(): boolean {
    return this.#killed;
  }

  /** At once, and once. */
  kill(): void {
    if (this.#killed) return;
    this.#killed = true;
    this.#child.kill('SIGKILL');
  }

  stop(): Promise<string> {
    this.#child.kill('SIGTERM');
    return this.ended;
  }
}

function readyOf(line: string): ReadyGateway | undefined {
  if (!line.includes('"ready"')) return undefined;
  const { listen, admin, identity } = JSON.parse(line) as { listen: string[]; admin: string; identity: string };
  return { address: listen[0] ?? '', admin, identity };
}
