/**
 * Chaos: gateways under load while faults strike, and what must hold meanwhile. See `USAGE` in options.ts, and ARCHITECTURE.md for
 * what is checked: npm run chaos -- --minutes 1
 */
import { spawnSync } from 'node:child_process';
import { existsSync, writeSync } from 'node:fs';
import process from 'node:process';
import type { Need } from './kinds.ts';
import { needsOneOf, parseOptions, USAGE } from './options.ts';
import { run } from './run.ts';

/** Written when it returns, so that nothing is lost at the end. */
const print = (line: string) => writeSync(1, `${line}\n`);

/** Why something that faults need is not there, if it is not. */
function missing(need: Need): string | undefined {
  if (process.getuid?.() !== 0) return 'it needs root';
  const tools = need === 'wireguard' ? ['ip', 'wg', 'wireguard-go'] : ['mount', 'umount'];
  const lacking = tools.filter((tool) => spawnSync('sh', ['-c', 'command -v "$0"', tool]).status !== 0);
  if (lacking.length > 0) return `${lacking.join(', ')} not found (bash scripts/e2e/setup)`;
  return need === 'wireguard' && !existsSync('/dev/net/tun') ? '/dev/net/tun is missing' : undefined;
}

async function main(): Promise<number> {
  if (process.argv.includes('--help')) {
    print(USAGE);
    return 0;
  }
  const options = parseOptions(process.argv.slice(2), Date.now());
  if (typeof options === 'string') {
    process.stderr.write(`chaos: ${options}\n\n${USAGE}\n`);
    return 2;
  }
  // The last words of what was started are heard before this process goes.
  process.once('SIGINT', () => process.exit(130));
  const lacking: Need[] = [];
  for (const need of ['wireguard', 'disk'] as const) {
    const why = options.without.includes(need) ? undefined : missing(need);
    if (why === undefined) continue;
    lacking.push(need);
    print(`LEFT OUT: faults of ${need}, for ${why}. This run will not end with 0.`);
  }
  const faults = options.faults.filter((fault) => !needsOneOf(fault, lacking));
  if (faults.length === 0) return 3;
  print(`chaos: --seed ${options.seed}, ${faults.length} kinds of faults, at least ${options.minutes} min`);
  const { violation } = await run({ ...options, faults, without: [...options.without, ...lacking] }, print);
  if (violation !== undefined) return 1;
  print(lacking.length > 0 ? 'nothing was violated, but faults were LEFT OUT' : 'nothing was violated');
  return lacking.length > 0 ? 3 : 0;
}

// Whatever a run that failed has left is ended with it.
process.exit(await main());
