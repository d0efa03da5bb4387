/**
 * The work of `lewes probe`: walks through the gateways and reports. The JSON is a schema that scripts rely on; the table
 * goes to standard output, what failed also to standard error.
 */
import { loadProvider } from '../lp/crypto/load.ts';
import { encodeBase58 } from '../ops/base58.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { type HopTasks, HopWalk, type WalkRegistration } from './hop-walk.ts';
import { onInterrupt } from './interrupt.ts';
import { createProgress, formatMs, printJson, printLine } from './output.ts';
import type { NymProbeFlags, ProbeFlags } from './probe-flags.ts';
import { type GatewayPlan, type ProbePlan, planProbe } from './probe-plan.ts';
import { failureLines, StepLog, type StepResult, stepTable } from './step-log.ts';
import { walletOf } from './token-options.ts';
import { wgQuickFiles, writeWgQuick } from './wg-quick.ts';

interface ShownGateway {
  readonly address: string;
  readonly identity: string;
}

interface ProbeReport {
  readonly ok: boolean;
  readonly target: ShownGateway;
  readonly via?: ShownGateway;
  readonly steps: readonly StepResult[];
  /** With --register: by hop, of gateways that registered. */
  readonly registrations?: Readonly<Record<string, WalkRegistration>>;
  /** With --wg-quick, the files that were written. */
  readonly wgQuick?: readonly string[];
  readonly totalMs: number;
}

export async function probe(address: string, flags: ProbeFlags & NymProbeFlags): Promise<ExitCode> {
  using interruption = onInterrupt();
  const crypto = await loadProvider('auto');
  const plan = planProbe(address, flags, crypto);
  const log = new StepLog(createProgress({ json: flags.json === true }));
  const { timeoutMs } = plan;
  const { signal } = interruption;
  const wallet = walletOf(flags, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
  const keepConnections = flags.keepConnections === true;
  const walk = new HopWalk({ crypto, log, wallet, keepConnections, timeoutMs, signal });
  const wgQuick = await visitAll(walk, plan, flags);
  const { target, via } = plan;
  const report: ProbeReport = {
    ok: log.ok,
    target: shown(target),
    ...(via !== undefined && { via: shown(via) }),
    steps: log.steps,
    ...(flags.register === true && { registrations: walk.registrations }),
    ...(wgQuick.length > 0 && { wgQuick }),
    totalMs: log.totalMs,
  };
  if (flags.json === true) printJson(report);
  else printReport(report);
  return report.ok ? EXIT.done : EXIT.failed;
}

/** Returns the files that were written: then the registrations stay. */
async function visitAll(walk: HopWalk, plan: ProbePlan, flags: ProbeFlags): Promise<readonly string[]> {
  const { target, via, kem } = plan;
  let written: readonly string[] = [];
  const tasksAt = ({ protocol }: GatewayPlan): HopTasks => ({
    register: flags.register === true,
    rekey: flags.rekey === true,
    ...(protocol === 2 && kem !== undefined && { kem }),
  });
  try {
    if (via === undefined) await walk.visit('direct', target, tasksAt(target));
    else if (await walk.visit('entry', via, tasksAt(via))) await walk.visit('exit', target, tasksAt(target));
    written = writeTunnels(walk, plan.wgQuickPaths);
  } finally {
    await walk.finish({ release: written.length === 0 });
  }
  return written;
}

/** Where one of the gateways did not register there is nothing to write. */
function writeTunnels(walk: HopWalk, paths: readonly string[]): readonly string[] {
  const tunnels = walk.tunnels();
  if (paths.length === 0 || tunnels.length < paths.length) return [];
  writeWgQuick(wgQuickFiles(tunnels, paths));
  return paths;
}

function shown({ address, identity }: GatewayPlan): ShownGateway {
  return { address, identity: encodeBase58(identity) };
}

function printReport({ ok, target, via, steps, registrations = {}, wgQuick = [], totalMs }: ProbeReport): void {
  const through = via === undefined ? '' : ` through ${via.address}`;
  printLine(`${target.address}${through}\n\n${stepTable(steps)}\n`);
  for (const [hop, { ipv4, ipv6, endpoints, releasable }] of Object.entries(registrations)) {
    const at = hop === 'direct' ? '' : ` at the ${hop}`;
    printLine(`registered${at}: ${ipv4}, ${ipv6}; WireGuard endpoints: ${endpoints.join(', ') || 'none'}`);
    if (!releasable)
      printLine(`not released${at}: this version of the protocol cannot; the registration ends by itself`);
  }
  if (wgQuick.length > 0) printLine(`tunnels: ${wgQuick.map((path) => `wg-quick up ${path}`).join(' && ')}`);
  printLine(`${ok ? 'ok' : 'failed'} in ${formatMs(totalMs).trim()}`);
  for (const line of failureLines(steps)) process.stderr.write(`${line}\n`);
}
