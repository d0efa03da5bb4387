/**
 * Cold start to ready of `bin/lewes.js gateway`, from the start of the process to the line that says so: with and without the
 * cache of compiled sources, and the first start of all, which makes the keys. The peer is Node doing nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Figure, figure, ratioFigure, type Series, series } from './figures.ts';

const LEWES = fileURLToPath(new URL('../../bin/lewes.js', import.meta.url));
/** Long enough for a busy machine to make an RSA key. */
const TIMEOUT_MS = 60_000;

interface Place {
  readonly dataDir: string;
  readonly cache: string;
}

function makePlace(): Place {
  const root = mkdtempSync(join(tmpdir(), 'lewes-bench-start-'));
  process.once('exit', () => rmSync(root, { recursive: true, force: true }));
  return { dataDir: join(root, 'data'), cache: join(root, 'cache') };
}

/** Milliseconds until it is ready; then it is stopped. */
async function start({ dataDir, cache }: Place, cached: boolean): Promise<number> {
  const { NODE_COMPILE_CACHE: _cache, NODE_DISABLE_COMPILE_CACHE: _disable, ...env } = process.env;
  const started = performance.now();
  const args = ['gateway', '--data-dir', dataDir, '--listen', '127.0.0.1:0', '--set', 'admin.listen=127.0.0.1:0'];
  const child = spawn(process.execPath, [LEWES, ...args, '--set', 'log.format=json'], {
    env: { ...env, NODE_COMPILE_CACHE: cache, ...(!cached && { NODE_DISABLE_COMPILE_CACHE: '1' }) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  try {
    await ready(child);
    return performance.now() - started;
  } finally {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  }
}

async function ready(child: ChildProcess): Promise<void> {
  const said: string[] = [];
  const isReady = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        said.push(line);
        if (line.includes('"msg":"ready"')) resolve();
      });
    }
  });
  const ended = once(child, 'exit', { signal: AbortSignal.timeout(TIMEOUT_MS) }).then(() => {
    throw new Error(`the gateway ended before it was ready: ${said.slice(-3).join(' / ')}`);
  });
  await Promise.race([isReady, ended]);
  ended.catch(() => undefined);
}

async function bareNode(): Promise<number> {
  const started = performance.now();
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
  return performance.now() - started;
}

export async function startUpFigures(quick: boolean): Promise<Figure[]> {
  const rounds = quick ? 3 : 7;
  const place = makePlace();
  // The first one makes the keys, the second leaves a full cache behind.
  const firstMs = await start(place, true);
  await start(place, true);
  const times = { cached: [] as number[], uncached: [] as number[], bare: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    times.cached.push(await start(place, true));
    times.uncached.push(await start(place, false));
    times.bare.push(await bareNode());
  }
  const of = (name: string, values: readonly number[]): Series => series(name, 'ms', values);
  return [
    figure('start-up/ready', 'ms', times.cached, { note: 'sources compiled before' }),
    figure('start-up/ready-uncached', 'ms', times.uncached),
    ratioFigure('start-up/ready-vs-node', of('gateway', times.cached), of('node -e 0', times.bare)),
    figure('start-up/first', 'ms', [firstMs], { note: 'makes its keys, nothing compiled' }),
  ];
}
