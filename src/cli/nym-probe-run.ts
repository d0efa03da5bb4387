/**
 * The work of `lewes probe --protocol nym`: walks to a node, or through an entry to an exit, and reports. The JSON has the
 * fields of the other protocols' probe and `nodes` besides; scripts rely on it, so fields are only ever added.
 */
import { loadProvider } from '../lp/crypto/load.ts';
import { encodeBase58 } from '../ops/base58.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { onInterrupt } from './interrupt.ts';
import { type NymHopPlan, type NymProbePlan, planNymProbe } from './nym-probe-plan.ts';
import { NymWalk, type ShownNymNode, type ShownNymRegistration } from './nym-walk.ts';
import { createProgress, formatMs, printJson, printLine } from './output.ts';
import type { NymProbeFlags, ProbeFlags } from './probe-flags.ts';
import { failureLines, StepLog, type StepResult, stepTable } from './step-log.ts';
import { wgQuickFiles, writeWgQuick } from './wg-quick.ts';

interface ShownTarget {
  readonly address: string;
  /** Where it was told. */
  readonly identity?: string;
}

interface NymProbeReport {
  readonly ok: boolean;
  readonly target: ShownTarget;
  readonly via?: ShownTarget;
  readonly steps: readonly StepResult[];
  /** By hop, of nodes whose data was found. */
  readonly nodes: Readonly<Record<string, ShownNymNode>>;
  /** With --register: by hop, of nodes that registered. */
  readonly registrations?: Readonly<Record<string, ShownNymRegistration>>;
  readonly wgQuick?: readonly string[];
  readonly totalMs: number;
}

export async function probeNym(address: string, flags: ProbeFlags & NymProbeFlags): Promise<ExitCode> {
  using interruption = onInterrupt();
  const plan = planNymProbe(address, flags);
  const crypto = await loadProvider('auto');
  const log = new StepLog(createProgress({ json: flags.json === true }));
  const walk = new NymWalk({ crypto, log, signal: interruption.signal, timeoutMs: plan.timeoutMs });
  let wgQuick: readonly string[] = [];
  try {
    await walk.visit(plan);
    wgQuick = writeTunnels(walk, plan);
  } finally {
    walk.finish();
  }
  const { target, via, extent } = plan;
  const report: NymProbeReport = {
    ok: log.ok,
    target: shown(target),
    ...(via !== undefined && { via: shown(via) }),
    steps: log.steps,
    nodes: walk.nodes,
    ...(extent === 'finalise' && { registrations: walk.registrations }),
    ...(wgQuick.length > 0 && { wgQuick }),
    totalMs: log.totalMs,
  };
  if (flags.json === true) printJson(report);
  else printReport(report, extent);
  return report.ok ? EXIT.done : EXIT.failed;
}

/** Where one of the nodes did not register there is nothing to write. */
function writeTunnels(walk: NymWalk, { wgQuickPaths: paths }: NymProbePlan): readonly string[] {
  const tunnels = walk.tunnels();
  if (paths.length === 0 || tunnels.length < paths.length) return [];
  writeWgQuick(wgQuickFiles(tunnels, paths));
  return paths;
}

function shown({ address, identity }: NymHopPlan): ShownTarget {
  return { address, ...(identity !== undefined && { identity: encodeBase58(identity) }) };
}

function printReport(report: NymProbeReport, extent: NymProbePlan['extent']): void {
  const { ok, target, via, steps, nodes, registrations = {}, wgQuick = [], totalMs } = report;
  const through = via === undefined ? '' : ` through ${via.address}`;
  printLine(`${target.address}${through}\n\n${stepTable(steps)}\n`);
  for (const [hop, { wantsCredential, credential }] of Object.entries(nodes)) {
    const at = hop === 'direct' ? '' : ` at the ${hop}`;
    if (wantsCredential && extent !== 'finalise') printLine(`would register${at} for a credential; none was spent`);
    if (credential !== undefined && credential !== 'accepted') printLine(`the credential${at} is ${FATE[credential]}`);
  }
  for (const [hop, { ipv4, ipv6, endpoints }] of Object.entries(registrations)) {
    const at = hop === 'direct' ? '' : ` at the ${hop}`;
    printLine(`registered${at}: ${ipv4}, ${ipv6}; WireGuard endpoint: ${endpoints.join(', ')}`);
  }
  if (wgQuick.length > 0) printLine(`tunnels: ${wgQuick.map((path) => `wg-quick up ${path}`).join(' && ')}`);
  printLine(`${ok ? 'ok' : 'failed'} in ${formatMs(totalMs).trim()}`);
  for (const line of failureLines(steps)) process.stderr.write(`${line}\n`);
}

const FATE = {
  unused: 'unspent: it was not sent',
  refused: 'refused by the node; it may be spent all the same',
  unknown: 'perhaps spent: it was sent, and no answer came',
} as const;
