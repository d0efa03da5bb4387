/**
 * `lewes gateway` as an operator runs it: a process of its own, with a configuration file and a data directory, in a network
 * namespace or here. It is ended by its own id.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { atExit } from './at-exit.ts';
import type { Namespace } from './namespace.ts';

const execute = promisify(execFile);

const LEWES = fileURLToPath(new URL('../../bin/lewes.js', import.meta.url));
const READY_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 15_000;
/** For the message when something goes wrong. */
const LINES_KEPT = 20;

export interface GatewayPlace {
  /** Of the configuration and of the data directory; the same for a gateway that is started again. */
  readonly directory: string;
  readonly config: string;
  /** Default: that of the tests. */
  readonly namespace?: Namespace;
}

export interface ReadyLine {
  readonly identity: string;
  readonly listen: readonly [string, ...string[]];
  readonly admin: string;
}

export class LewesGateway {
  readonly ready: ReadyLine;
  readonly #child: ChildProcess;
  readonly #place: GatewayPlace;
  readonly #lines: readonly string[];

  private constructor(child: ChildProcess, place: GatewayPlace, lines: readonly string[], ready: ReadyLine) {
    this.#child = child;
    this.#place = place;
    this.#lines = lines;
    this.ready = ready;
  }

  /** Resolves when it is ready. */
  static async start(place: GatewayPlace): Promise<LewesGateway> {
    const { directory, config, namespace } = place;
    mkdirSync(directory, { recursive: true });
    chmodSync(directory, 0o700);
    const file = join(directory, 'lewes.toml');
    writeFileSync(file, config);
    const [command, args] = commandOf(namespace, 'gateway', '--config', file, '--data-dir', join(directory, 'data'));
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    await once(child, 'spawn');
    atExit(child, ['kill', '-KILL', String(child.pid)]);
    child.once('exit', () => atExit(child, undefined));
    const lines: string[] = [];
    try {
      return new LewesGateway(child, place, lines, await readyLine(child, lines));
    } catch (error) {
      await end(child, 'SIGKILL');
      throw error;
    }
  }

  /** What its log said last. */
  get log(): string {
    return this.#lines.join('\n');
  }

  /** Another `lewes` command beside it, such as `token`; its standard output. */
  async command(...args: readonly string[]): Promise<string> {
    const { stdout } = await execute(...commandOf(this.#place.namespace, ...args));
    return stdout;
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    await end(this.#child, signal);
  }
}

function commandOf(namespace: Namespace | undefined, ...args: readonly string[]): readonly [string, string[]] {
  return namespace === undefined ? [process.execPath, [LEWES, ...args]] : namespace.command(LEWES, ...args);
}

function readyLine(child: ChildProcess, lines: string[]): Promise<ReadyLine> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('the output of the gateway is piped');
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`the gateway ${why}:\n${lines.join('\n')}`));
    const late = setTimeout(() => fail(`was not ready within ${READY_WITHIN_MS} ms`), READY_WITHIN_MS);
    child.once('close', (code, signal) => {
      clearTimeout(late);
      fail(`ended (${signal ?? code})`);
    });
    const keep = (line: string) => {
      lines.push(line);
      if (lines.length > LINES_KEPT) lines.shift();
    };
    createInterface({ input: stderr }).on('line', keep);
    createInterface({ input: stdout }).on('line', (line) => {
      keep(line);
      if (!line.includes('"msg":"ready"')) return;
      clearTimeout(late);
      resolve(JSON.parse(line));
    });
  });
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  const late = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
  await ended;
  clearTimeout(late);
}
