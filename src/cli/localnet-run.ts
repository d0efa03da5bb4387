/**
 * The work of `lewes localnet`: two gateways, a walk of a client through them, and the end of everything. Invariant:
 * whichever way it ends, both processes are gone and the temporary directory is removed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { NYM_ANNOUNCEMENT_PATH } from '../client/index.ts';
import { loadProvider } from '../lp/crypto/load.ts';
import { parseKey } from '../ops/base58.ts';
import { OperatorError } from '../ops/operator-error.ts';
import { EXIT, type ExitCode, tellError } from './exit.ts';
import { HopWalk, type WalkRegistration } from './hop-walk.ts';
import { onInterrupt } from './interrupt.ts';
import { allow, checkSet, type LocalGateway, type ReadyGateway, readyOf, startLocalGateway } from './local-gateway.ts';
import type { NymHopPlan } from './nym-probe-plan.ts';
import { NymWalk, type ShownNymNode, type ShownNymRegistration } from './nym-walk.ts';
import { createProgress, formatMs, printJson, printLine } from './output.ts';
import { type AnyProtocol, anyProtocolOf, type ProtocolVersion } from './protocol-option.ts';
import { failureLines, StepLog, type StepResult, stepTable } from './step-log.ts';
import { walletOf } from './token-options.ts';
import { wgQuickFiles, wgQuickPaths, writeWgQuick } from './wg-quick.ts';

/** For the client's steps together; they take a tenth of a second. */
const WALK_TIMEOUT_MS = 30_000;

export interface LocalnetFlags {
  readonly protocol: string;
  readonly keep?: boolean;
  readonly wireguard?: boolean;
  readonly set: readonly string[];
  readonly json?: boolean;
}

interface ShownGateway extends ReadyGateway {
  readonly pid: number;
  /** For `lewes status --data-dir`, as long as it runs. */
  readonly dataDir: string;
}

interface LocalnetReport {
  readonly ok: boolean;
  readonly entry: ShownGateway;
  readonly exit: ShownGateway;
  readonly registrations: Readonly<Record<string, WalkRegistration | ShownNymRegistration>>;
  /** With --protocol nym: what the gateways announce. */
  readonly nodes?: Readonly<Record<string, ShownNymNode>>;
  readonly steps: readonly StepResult[];
  /** The files of --wireguard; with --keep only. */
  readonly wgQuick?: readonly string[];
  /** The `lewes probe` that does the same again; with --keep only. */
  readonly probe?: string;
  readonly totalMs: number;
}

interface Network {
  readonly log: StepLog;
  readonly protocol: AnyProtocol;
  readonly gateways: readonly [exit: LocalGateway, entry: LocalGateway];
  readonly signal: AbortSignal;
}

export async function localnet(flags: LocalnetFlags): Promise<ExitCode> {
  const protocol = anyProtocolOf(flags.protocol);
  const { set } = flags;
  checkSet(set, protocol);
  using interruption = onInterrupt();
  const root = mkdtempSync(join(tmpdir(), 'lewes-localnet-'));
  const remove = () => rmSync(root, { recursive: true, force: true });
  process.once('exit', remove);
  const log = new StepLog(createProgress({ json: flags.json === true }));
  const started: LocalGateway[] = [];
  try {
    const start = (name: LocalGateway['name']) => {
      const onTrouble = (text: string) => process.stderr.write(`${text}\n`);
      const gateway = startLocalGateway({ name, root, protocol, set, onTrouble });
      started.push(gateway);
      return gateway;
    };
    const { signal } = interruption;
    return await run({ log, protocol, gateways: [start('exit'), start('entry')], signal }, flags);
  } catch (error) {
    throw interruption.signal.aborted ? interrupted() : error;
  } finally {
    await Promise.all(started.map((gateway) => gateway.process.stop()));
    remove();
    process.removeListener('exit', remove);
  }
}

async function run(network: Network, { keep, json, wireguard }: LocalnetFlags): Promise<ExitCode> {
  const { log, gateways, protocol } = network;
  const ready = await connectGateways(network);
  const wgQuick = wireguard === true ? wgQuickPaths(join(dirname(network.gateways[0].dataDir), 'lewes.conf'), 2) : [];
  const { registrations, nodes } =
    protocol === 'nym'
      ? await walkNym(network, ready, wgQuick)
      : { registrations: await walkThrough(network, protocol, ready, wgQuick), nodes: undefined };
  const [exit, entry] = gateways;
  const stays = keep === true && log.ok;
  if (!stays) await Promise.all(gateways.map((each) => log.run(each.name, 'stop', () => each.process.stop())));
  const report: LocalnetReport = {
    ok: log.ok,
    entry: { ...ready.entry, pid: entry.process.pid ?? 0, dataDir: entry.dataDir },
    exit: { ...ready.exit, pid: exit.process.pid ?? 0, dataDir: exit.dataDir },
    registrations,
    ...(nodes !== undefined && { nodes }),
    steps: log.steps,
    ...(stays && wgQuick.length > 0 && { wgQuick }),
    ...(stays && { probe: probeLine(ready, protocol) }),
    totalMs: log.totalMs,
  };
  if (json === true) printJson(report);
  else printReport(report);
  if (!report.ok) return EXIT.failed;
  return stays ? untilInterrupted(network) : EXIT.done;
}

interface Ready {
  readonly entry: ReadyGateway;
  readonly exit: ReadyGateway;
}

/** Both start at once, and each is told of the other. */
async function connectGateways({ log, gateways, signal }: Network): Promise<Ready> {
  const [exit, entry] = gateways;
  const start = (gateway: LocalGateway) => log.run(gateway.name, 'start', () => readyOf(gateway, signal));
  const [exitReady, entryReady] = await Promise.all([start(exit), start(entry)]);
  const reload = (gateway: LocalGateway, other: ReadyGateway) =>
    log.run(gateway.name, 'reload', () => allow(gateway, other, signal));
  await Promise.all([reload(exit, entryReady), reload(entry, exitReady)]);
  return { entry: entryReady, exit: exitReady };
}

/** `paths`: of the wg-quick files, empty for none. */
async function walkThrough(
  { log, signal }: Network,
  protocol: ProtocolVersion,
  { entry, exit }: Ready,
  paths: readonly string[],
): Promise<LocalnetReport['registrations']> {
  const crypto = await loadProvider('auto');
  const wallet = walletOf({}, signal);
  const walk = new HopWalk({ crypto, log, wallet, timeoutMs: WALK_TIMEOUT_MS, signal });
  const tasks = { register: true, rekey: true };
  const gateway = ({ listen, identity }: ReadyGateway) => ({
    address: listen,
    identity: identityOf(identity),
    protocol,
  });
  try {
    if (await walk.visit('entry', gateway(entry), tasks)) await walk.visit('exit', gateway(exit), tasks);
    const tunnels = walk.tunnels();
    if (paths.length > 0 && tunnels.length === paths.length) writeWgQuick(wgQuickFiles(tunnels, paths));
  } finally {
    // The registrations end with the gateways.
    await walk.finish({ release: false });
  }
  return walk.registrations;
}

/** Likewise by Nym's protocol: announced, verified, paid with credentials that are worth nothing. */
async function walkNym({ log, signal }: Network, { entry, exit }: Ready, paths: readonly string[]) {
  const crypto = await loadProvider('auto');
  const walk = new NymWalk({ crypto, log, timeoutMs: WALK_TIMEOUT_MS, signal });
  try {
    const [via, target] = [nymPlanOf('entry', entry), nymPlanOf('exit', exit)];
    await walk.visit({ target, via, extent: 'finalise', mockCredential: true });
    const tunnels = walk.tunnels();
    if (paths.length > 0 && tunnels.length === paths.length) writeWgQuick(wgQuickFiles(tunnels, paths));
  } finally {
    walk.finish();
  }
  return { registrations: walk.registrations, nodes: walk.nodes };
}

function nymPlanOf(hop: 'entry' | 'exit', ready: ReadyGateway): NymHopPlan {
  const { nym: address = '', identity } = ready;
  const data = { kind: 'announced', from: [announcementOf(ready)] } as const;
  return { hop, address, identity: identityOf(identity), data, credentialFile: undefined };
}

function announcementOf({ admin }: ReadyGateway): string {
  return `http://${admin}${NYM_ANNOUNCEMENT_PATH}`;
}

function identityOf(text: string): Uint8Array {
  const parsed = parseKey(text);
  if (!parsed.ok) throw new Error(`assertion: a gateway logs its identity, and it ${parsed.reason}`);
  return parsed.key;
}

/** A gateway that ends by itself is a failure, told on standard error since the report has been given. */
async function untilInterrupted({ gateways, signal }: Network): Promise<ExitCode> {
  const over = Promise.withResolvers<undefined>();
  const abort = () => over.resolve(undefined);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  const ended = await Promise.race([over.promise, ...gateways.map((gateway) => gateway.process.gone)]);
  // Ctrl-C reaches the gateways of a terminal as well, and they may be gone first.
  if (ended === undefined || signal.aborted) return EXIT.done;
  return tellError(ended, false);
}

function interrupted(): OperatorError {
  return new OperatorError('ERR_INTERRUPTED', 'interrupted', 'everything that was started has been stopped');
}

function probeLine({ entry, exit }: Ready, protocol: AnyProtocol): string {
  if (protocol === 'nym') {
    const at = `${exit.nym} --identity ${exit.identity} --announcement ${announcementOf(exit)}`;
    const by = `--via ${entry.nym}/${entry.identity} --via-announcement ${announcementOf(entry)}`;
    return `lewes probe ${at} ${by} --register --mock-credential --protocol nym`;
  }
  const via = `${entry.listen}/${entry.identity}`;
  const version = protocol === 2 ? '' : ` --protocol ${protocol}`;
  return `lewes probe ${exit.listen} --identity ${exit.identity} --via ${via} --register --rekey${version}`;
}

function printReport({ ok, entry, exit, registrations, steps, probe, wgQuick = [], totalMs }: LocalnetReport): void {
  for (const [name, { listen, nym, admin, identity }] of Object.entries({ entry, exit })) {
    printLine(`${name.padEnd(5)}  ${nym ?? listen}  ${identity}  http://${admin}`);
  }
  printLine(`\n${stepTable(steps)}\n`);
  for (const [hop, { ipv4, ipv6, endpoints }] of Object.entries(registrations)) {
    printLine(`registered at the ${hop}: ${ipv4}, ${ipv6}; WireGuard endpoints: ${endpoints.join(', ')}`);
  }
  printLine(`${ok ? 'ok' : 'failed'} in ${formatMs(totalMs).trim()}`);
  for (const line of failureLines(steps)) process.stderr.write(`${line}\n`);
  if (probe === undefined) return;
  for (const path of wgQuick) printLine(`tunnel: ${path}`);
  printLine(`\nThe gateways run until Ctrl-C. Try them with:\n  ${probe}\n  lewes status --data-dir ${entry.dataDir}`);
}
