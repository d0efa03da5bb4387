/**
 * A network namespace with a name of its own, and cables between namespaces. What is in it goes with it; the processes in it
 * are ended before by whoever started them.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import process from 'node:process';
import { promisify } from 'node:util';
import { atExit } from './at-exit.ts';

const execute = promisify(execFile);

export class Namespace {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  /** `label`: a few letters, for whoever looks at `ip netns`. */
  static async create(label: string): Promise<Namespace> {
    const namespace = new Namespace(`lw-${label}-${randomBytes(4).toString('hex')}`);
    await execute('ip', ['netns', 'add', namespace.name]);
    atExit(namespace, ['ip', 'netns', 'delete', namespace.name]);
    await namespace.ip('link', 'set', 'lo', 'up');
    return namespace;
  }

  ip(...args: readonly string[]): Promise<unknown> {
    return execute('ip', ['-netns', this.name, ...args]);
  }

  async run(command: string, ...args: readonly string[]): Promise<string> {
    const { stdout } = await execute('ip', ['netns', 'exec', this.name, command, ...args]);
    return stdout;
  }

  /** What `spawn` runs: the process is in the namespace and has the id of the child. */
  command(script: string, ...args: readonly string[]): readonly [command: string, args: string[]] {
    return ['ip', ['netns', 'exec', this.name, process.execPath, script, ...args]];
  }

  /** Between its interfaces, as a router does. */
  async forward(): Promise<void> {
    const on = 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding';
    await this.run('sh', '-e', '-c', on);
  }

  async remove(): Promise<void> {
    await execute('ip', ['netns', 'delete', this.name]);
    atExit(this, undefined);
  }
}

export interface CableEnd {
  readonly namespace: Namespace;
  /** Of the interface. */
  readonly name: string;
  /** With the length of the network. */
  readonly addresses: readonly string[];
}

export async function cable(a: CableEnd, b: CableEnd): Promise<void> {
  const peer = ['peer', 'name', b.name, 'netns', b.namespace.name];
  await a.namespace.ip('link', 'add', a.name, 'type', 'veth', ...peer);
  for (const { namespace, name, addresses } of [a, b]) {
    for (const address of addresses) {
      // An IPv6 address would otherwise be looked for elsewhere on the cable for a second before it is used.
      await namespace.ip('address', 'add', address, 'dev', name, ...(address.includes(':') ? ['nodad'] : []));
    }
    await namespace.ip('link', 'set', name, 'up');
  }
}
