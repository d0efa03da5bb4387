/**
 * One gateway of a local network: its directory, its configuration file and its process. It starts on free ports and
 * learns of the other gateway afterwards, by SIGHUP: so no port has to be guessed beforehand.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { parseSocketAddress, type SocketAddress } from '../ops/config/index.ts';
import { OperatorError } from '../ops/operator-error.ts';
import { UsageError } from './exit.ts';
import { GatewayProcess, type LogLine } from './gateway-process.ts';
import type { AnyProtocol } from './protocol-option.ts';

const READY_TIMEOUT_MS = 10_000;

/** What --set may not change: the network could not be built, or its log not be read. */
const OWN_KEYS = [
  ...['gateway.listen', 'gateway.identity', 'admin.listen', 'nym.listen', 'nym.announced_port'],
  ...['forward.allow', 'log.level', 'log.format'],
];

/** Its own with --protocol 1 only: without it, a network may serve LP1 to other clients. LP1 cannot carry a token. */
const LP1_KEYS = { 'gateway.min_protocol_version': '1', 'credentials.kind': 'none' } as const;
/** Nobody can make a zk-nym here. */
const NYM_KEYS = { 'nym.credentials': 'mock' } as const;

const ADDED: Readonly<Record<AnyProtocol, string>> = {
  1: '[credentials]\nkind = "none"',
  2: '',
  nym: '[nym]\nlisten = "127.0.0.1:0"\ncredentials = "mock"',
};

/** Defaults of a local network; whatever else --set says wins over them. All clients have one address, hence its limits. */
const configOf = (protocol: AnyProtocol) => `
[gateway]
listen = "127.0.0.1:0"
shards = 1
min_protocol_version = ${protocol === 1 ? 1 : 2}
${ADDED[protocol]}
[admin]
listen = "127.0.0.1:0"
[[limits.listed]]
cidr = "127.0.0.1/32"
handshakes_per_second = 2000
burst = 8000
sessions = 100000
quotes = 1000
`;

export interface LocalGateway {
  readonly name: 'entry' | 'exit';
  readonly process: GatewayProcess;
  readonly dataDir: string;
  readonly configFile: string;
  readonly protocol: AnyProtocol;
}

/** What a gateway says of itself when it is ready. */
export interface ReadyGateway {
  readonly listen: string;
  readonly admin: string;
  /** With --protocol nym: where its clients connect. */
  readonly nym?: string;
  /** Base58. */
  readonly identity: string;
}

/** Throws UsageError. */
export function checkSet(overrides: readonly string[], protocol: AnyProtocol): void {
  for (const text of overrides) {
    const key = text.split('=', 1)[0]?.trim() ?? '';
    const set = protocol === 1 ? LP1_KEYS : protocol === 'nym' ? NYM_KEYS : {};
    const [, value] = Object.entries(set).find(([own]) => own === key) ?? [];
    if (value !== undefined) {
      throw new UsageError(`--protocol ${protocol} sets ${key} to ${value}`, 'leave one of them out');
    }
    if (!OWN_KEYS.includes(key)) continue;
    throw new UsageError(`localnet sets ${key} itself`, 'leave it out, or run the gateways with "lewes gateway"');
  }
}

export interface LocalGatewayOptions extends Pick<LocalGateway, 'name' | 'protocol'> {
  /** Directory of the whole network. */
  readonly root: string;
  readonly set: readonly string[];
  /** Errors, as they are logged. */
  readonly onTrouble: (text: string) => void;
}

export function startLocalGateway({ name, root, protocol, set, onTrouble }: LocalGatewayOptions): LocalGateway {
  const dataDir = join(root, name);
  const configFile = join(root, `${name}.toml`);
  mkdirSync(dataDir, { mode: 0o700 });
  writeFileSync(configFile, configOf(protocol), { mode: 0o600 });
  const overrides = set.flatMap((text) => ['--set', text]);
  const args = ['--config', configFile, '--data-dir', dataDir, ...overrides];
  return { name, protocol, dataDir, configFile, process: new GatewayProcess({ name, args, onTrouble }) };
}

export async function readyOf(gateway: LocalGateway, signal: AbortSignal): Promise<ReadyGateway> {
  const line = await gateway.process.line(({ msg }) => msg === 'ready', signal);
  const { listen, admin, identity } = line;
  const [address]: unknown[] = Array.isArray(listen) ? listen : [];
  if (typeof address !== 'string' || typeof admin !== 'string' || typeof identity !== 'string') {
    throw new Error(`assertion: the ready line of the ${gateway.name} has listen, admin and identity`);
  }
  // An answer also shows that its signal handlers are there.
  await isReady(gateway.name, admin, signal);
  const nym = nymListenOf(line);
  if (gateway.protocol !== 'nym') return { listen: address, admin, identity };
  if (nym === undefined) throw new Error(`assertion: the ready line of the ${gateway.name} has nym.listen`);
  return { listen: address, admin, identity, nym };
}

function nymListenOf({ nym }: LogLine): string | undefined {
  if (typeof nym !== 'object' || nym === null || !('listen' in nym)) return undefined;
  return typeof nym.listen === 'string' ? nym.listen : undefined;
}

/** Lets clients of the gateway reach the other one. */
export async function allow(gateway: LocalGateway, other: ReadyGateway, signal: AbortSignal): Promise<void> {
  const { host, port } = addressOf(other.nym ?? other.listen);
  const exit = `[[forward.allow]]\nidentity = "${other.identity}"\naddress = "${host}"\nport = ${port}\n`;
  writeFileSync(gateway.configFile, `${configOf(gateway.protocol)}${exit}`);
  const told = gateway.process.line(isReload, signal);
  gateway.process.signal('SIGHUP');
  const { msg, errors } = await told;
  if (msg.startsWith('configuration re-read')) return;
  const why = Array.isArray(errors) ? errors.join('; ') : msg;
  throw new OperatorError(
    'ERR_GATEWAY_RELOAD',
    `the ${gateway.name} gateway did not take its peer (${why})`,
    'correct --set',
  );
}

function isReload({ msg }: LogLine): boolean {
  return msg.startsWith('configuration re-read') || msg.startsWith('configuration not re-read');
}

function addressOf(text: string): SocketAddress {
  const parsed = parseSocketAddress(text);
  if (!parsed.ok) throw new Error(`assertion: a gateway logs its address: ${text} ${parsed.error}`);
  return parsed.value;
}

function isReady(name: string, admin: string, signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(READY_TIMEOUT_MS)]);
  return new Promise((resolve, reject) => {
    const refuse = (why: string) =>
      reject(
        new OperatorError(
          'ERR_GATEWAY_NOT_READY',
          `the ${name} gateway is not ready (${why})`,
          'try again; its log tells more with "lewes gateway"',
        ),
      );
    // Without an agent: a connection that is kept would hold up the gateway's end.
    const request = get(`http://${admin}/readyz`, { agent: false, signal: limit }, (response) => {
      response.resume();
      if (response.statusCode === 200) response.once('end', resolve);
      else refuse(`HTTP status ${response.statusCode}`);
    });
    request.once('error', (error) => refuse(error.message));
  });
}
