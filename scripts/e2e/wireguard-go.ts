/**
 * A real wireguard-go in a network namespace of its own, under a name that is used nowhere else (its socket is a file, which
 * namespaces do not separate). What was made is removed by `remove`, whatever happened before; only own processes are ended.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import process from 'node:process';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { atExit } from './at-exit.ts';

const execute = promisify(execFile);

/** Node's own `/proc` figures are in these; the same on every Linux that runs Node. */
const TICKS_PER_SECOND = 100;
const READY_WITHIN_MS = 10_000;

export interface WireGuardGoOptions {
  /** Default: one of its own, which is called like the interface. */
  readonly namespace?: string;
  /** With the length of their networks. */
  readonly addresses?: readonly string[];
}

export class WireGuardGo {
  /** Of the interface, and of the namespace unless that is somebody else's: at most 15 letters. */
  readonly name: string;
  readonly namespace: string;
  readonly socketPath: string;
  #process: ChildProcess | undefined;

  private constructor(name: string, namespace: string) {
    this.name = name;
    this.namespace = namespace;
    this.socketPath = `/var/run/wireguard/${name}.sock`;
  }

  /** A namespace unless one is given, the process in it, and the interface up with its addresses. */
  static async create({ namespace, addresses }: WireGuardGoOptions = {}): Promise<WireGuardGo> {
    const name = `lw${randomBytes(5).toString('hex')}`;
    const wireguard = new WireGuardGo(name, namespace ?? name);
    if (namespace === undefined) {
      await execute('ip', ['netns', 'add', name]);
      atExit(wireguard, ['ip', 'netns', 'delete', name]);
    }
    try {
      await wireguard.start(addresses);
    } catch (error) {
      await wireguard.remove();
      throw error;
    }
    return wireguard;
  }

  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error('wireguard-go does not run');
    return pid;
  }

  /** As its unit would: the process, then its addresses. Resolves with the time at which the socket was there. */
  async start(addresses: readonly string[] = ['10.200.0.1/16']): Promise<number> {
    const child = spawn('ip', ['netns', 'exec', this.namespace, 'wireguard-go', '--foreground', this.name], {
      stdio: 'ignore',
      env: { ...process.env, LOG_LEVEL: 'error' },
    });
    this.#process = child;
    await once(child, 'spawn');
    atExit(child, ['sh', '-c', 'kill -KILL "$0"; rm -f "$1"', String(child.pid), this.socketPath]);
    child.once('exit', () => atExit(child, undefined));
    const deadline = performance.now() + READY_WITHIN_MS;
    while (!(await accepts(this.socketPath))) {
      if (performance.now() > deadline)
        throw new Error('wireguard-go did not open its socket: is it installed, and this root?');
      await wait(5);
    }
    const there = performance.now();
    for (const address of addresses) await this.ip('address', 'add', address, 'dev', this.name);
    await this.ip('link', 'set', this.name, 'up');
    return there;
  }

  /** SIGKILL, to this very process. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  ip(...args: readonly string[]): Promise<unknown> {
    return execute('ip', ['-netns', this.namespace, ...args]);
  }

  /** What a command in the namespace says. */
  async run(command: string, ...args: readonly string[]): Promise<string> {
    const { stdout } = await execute('ip', ['netns', 'exec', this.namespace, command, ...args], { maxBuffer: 2 ** 26 });
    return stdout;
  }

  wg(...args: readonly string[]): Promise<string> {
    return this.run('wg', ...args);
  }

  /** Seconds of processor time so far, and MiB in memory. */
  usage(): { cpuSeconds: number; memoryMiB: number } {
    // The name in parentheses may hold spaces; what follows does not.
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    const pages = Number(readFileSync(`/proc/${this.pid}/statm`, 'utf8').split(' ')[1]);
    return { cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND, memoryMiB: pages / 256 };
  }

  async remove(): Promise<void> {
    await this.kill();
    if (this.namespace === this.name) await execute('ip', ['netns', 'delete', this.name]).catch(() => undefined);
    atExit(this, undefined);
    rmSync(this.socketPath, { force: true });
  }
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
