/** The command line as a child process, with its end awaited. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves with standard output so far as soon as it matches; rejects when the process ends before. */
  output(pattern: RegExp): Promise<string>;
}

export function start(t: ExecutionContext, args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  t.teardown(() => child.kill('SIGKILL'));
  let [out, err] = ['', ''];
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, out, err })));
  const output = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => pattern.test(out) && resolve(out);
      child.stdout.on('data', look);
      void ended.then(() => reject(new Error(`ended without ${pattern}: ${out}${err}`)));
      look();
    });
  return { child, ended, output };
}

export function lewes(t: ExecutionContext, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ended> {
  return start(t, args, env).ended;
}

export interface ReportedStep {
  readonly hop: string;
  readonly step: string;
  readonly ok: boolean;
  readonly ms: number;
  readonly error?: { readonly code: string; readonly reason: string; readonly message: string };
}

/** `hop step` of every step, with `!reason` behind those that failed. */
export function outline(steps: readonly ReportedStep[]): readonly string[] {
  return steps.map(({ hop, step, error }) => `${hop} ${step}${error === undefined ? '' : ` !${error.reason}`}`);
}
