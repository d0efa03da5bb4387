/**
 * Client, entry, exit and a server behind it, each in a network namespace, joined by cables in that order and by nothing
 * else: what the client exchanges with the server went through both gateways. The gateways have WireGuard interfaces, and
 * issue their own tokens. There is no NAT: each router has a route to the tunnels' addresses behind the one before.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from './agent.ts';
import type { ClientJobs } from './agents/client.ts';
import type { ServerJobs } from './agents/server.ts';
import { atExit } from './at-exit.ts';
import { type GatewayPlace, LewesGateway } from './gateway.ts';
import { cable, Namespace } from './namespace.ts';
import { WireGuardGo } from './wireguard-go.ts';

export type HopName = 'entry' | 'exit';

interface HopPlan {
  /** On the cable from the client's side. */
  readonly address: string;
  readonly pool4: string;
  readonly pool6: string;
  /** The gateway's own in the pools. */
  readonly inTunnel: readonly [string, string];
}

export const LP_PORT = 41_264;
const WIREGUARD_PORT = 51_820;
const ADMIN = '127.0.0.1:9464';
const HOPS: Readonly<Record<HopName, HopPlan>> = {
  entry: {
    address: '192.0.2.1',
    pool4: '10.71.0.0/16',
    pool6: 'fd71::/112',
    inTunnel: ['10.71.0.1/16', 'fd71::1/112'],
  },
  exit: {
    address: '198.51.100.2',
    pool4: '10.72.0.0/16',
    pool6: 'fd72::/112',
    inTunnel: ['10.72.0.1/16', 'fd72::1/112'],
  },
};
export const SERVER = { ipv4: '203.0.113.2', ipv6: 'fd73::2' } as const;

/**
 * Least, default and most bytes. These cables are faster than what empties the sockets of WireGuard: with more under way at
 * once some would be lost there, after the gateways counted it and before the client did.
 */
const CLIENT_TCP_BUFFER = '4096 32768 65536';

export interface TwoHopsOptions {
  /** Bytes that a token buys. */
  readonly bandwidth: Readonly<Record<HopName, number>>;
}

export class TwoHops {
  readonly directory: string;
  readonly tokenFile: string;
  #client: Namespace | undefined;
  #agent: Agent<ClientJobs> | undefined;
  readonly #gateways = new Map<HopName, { readonly gateway: LewesGateway; readonly interfaceName: string }>();
  readonly #undo: (() => Promise<void>)[] = [];

  private constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'lewes-e2e-'));
    this.tokenFile = join(this.directory, 'tokens');
    atExit(this, ['rm', '-rf', this.directory]);
  }

  static async create(options: TwoHopsOptions): Promise<TwoHops> {
    const world = new TwoHops();
    try {
      await world.#build(options);
      return world;
    } catch (error) {
      await world.remove();
      throw error;
    }
  }

  get agent(): Agent<ClientJobs> {
    return there(this.#agent);
  }

  gateway(hop: HopName): LewesGateway {
    return there(this.#gateways.get(hop)).gateway;
  }

  /** What the gateway's interface has of its peers, as `wg` tells it. */
  async peers(hop: HopName): Promise<readonly string[]> {
    const { interfaceName } = there(this.#gateways.get(hop));
    const shown = await there(this.#client).run('wg', 'show', interfaceName, 'peers');
    return shown.split('\n').filter((line) => line !== '');
  }

  /** For `connect`. */
  address(hop: HopName): { readonly address: string; readonly identity: string } {
    return { address: `${HOPS[hop].address}:${LP_PORT}`, identity: this.gateway(hop).ready.identity };
  }

  /** A token is to be had on the gateway's own machine alone. */
  async fetchTokens(hop: HopName, count: number): Promise<void> {
    const gateway = this.gateway(hop);
    const where = ['--issuer', `http://${ADMIN}`, '--gateway', gateway.ready.identity];
    await gateway.command('token', ...where, '--count', String(count), '--out', this.tokenFile);
  }

  /** A tunnel of the client from a file for wg-quick; what is routed into it is the caller's to say. */
  async clientTunnel(path: string, config: string, routes: readonly string[]): Promise<WireGuardGo> {
    const namespace = there(this.#client);
    const value = (key: string) => new RegExp(`^${key} = (.*)$`, 'm').exec(config)?.[1] ?? '';
    const tunnel = await WireGuardGo.create({ namespace: namespace.name, addresses: value('Address').split(', ') });
    this.#undo.push(() => tunnel.remove());
    await tunnel.ip('link', 'set', tunnel.name, 'mtu', value('MTU'));
    // wg-quick itself would want a firewall for its default routes.
    const strip = 'wg-quick strip "$0" | wg setconf "$1" /dev/stdin';
    await namespace.run('bash', '-o', 'pipefail', '-c', strip, path, tunnel.name);
    for (const route of routes) await tunnel.ip('route', 'add', route, 'dev', tunnel.name);
    return tunnel;
  }

  /** Everything, the last made first; an error of one holds up none of the others. */
  async remove(): Promise<void> {
    const errors: unknown[] = [];
    for (const undo of this.#undo.splice(0).reverse()) await undo().catch((error: unknown) => errors.push(error));
    rmSync(this.directory, { recursive: true, force: true });
    atExit(this, undefined);
    if (errors.length > 0) throw new AggregateError(errors, 'not everything could be removed');
  }

  async #build({ bandwidth }: TwoHopsOptions): Promise<void> {
    const [client, entry, exit, server] = [
      await this.#namespace('client'),
      await this.#namespace('entry'),
      await this.#namespace('exit'),
      await this.#namespace('server'),
    ];
    this.#client = client;
    const end = (namespace: Namespace, name: string, ...addresses: string[]) => ({ namespace, name, addresses });
    await cable(end(client, 'uplink', '192.0.2.2/24'), end(entry, 'downlink', `${HOPS.entry.address}/24`));
    await cable(end(entry, 'uplink', '198.51.100.1/24'), end(exit, 'downlink', `${HOPS.exit.address}/24`));
    const behind = end(exit, 'uplink', '203.0.113.1/24', 'fd73::1/64');
    await cable(behind, end(server, 'downlink', `${SERVER.ipv4}/24`, `${SERVER.ipv6}/64`));
    await Promise.all([entry.forward(), exit.forward()]);
    await client.run('sh', '-c', `echo ${CLIENT_TCP_BUFFER} >/proc/sys/net/ipv4/tcp_rmem`);
    await exit.ip('route', 'add', HOPS.entry.pool4, 'via', '198.51.100.1');
    await server.ip('route', 'add', HOPS.exit.pool4, 'via', '203.0.113.1');
    await server.ip('route', 'add', HOPS.exit.pool6, 'via', 'fd73::1');
    const serving = await this.#started(Agent.start<ServerJobs>(server, 'server.ts'));
    await serving.ask('listen', undefined);
    this.#agent = await this.#started(Agent.start<ClientJobs>(client, 'client.ts'));
    const { ready } = await this.#gateway('exit', exit, bandwidth.exit, '');
    const listed = `[[forward.allow]]\nidentity = "${ready.identity}"\naddress = "${HOPS.exit.address}"\nport = ${LP_PORT}\n`;
    await this.#gateway('entry', entry, bandwidth.entry, listed);
  }

  async #namespace(label: string): Promise<Namespace> {
    const namespace = await Namespace.create(label);
    this.#undo.push(() => namespace.remove());
    return namespace;
  }

  async #started<T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T> {
    const started = await starting;
    this.#undo.push(() => started.stop());
    return started;
  }

  async #gateway(hop: HopName, namespace: Namespace, bandwidth: number, more: string): Promise<LewesGateway> {
    const { inTunnel } = HOPS[hop];
    const wireguard = await WireGuardGo.create({ namespace: namespace.name, addresses: inTunnel });
    this.#undo.push(() => wireguard.remove());
    const config = `${configOf(hop, wireguard.name, bandwidth)}${more}`;
    const place: GatewayPlace = { directory: join(this.directory, hop), config, namespace };
    const gateway = await this.#started(LewesGateway.start(place));
    this.#gateways.set(hop, { gateway, interfaceName: wireguard.name });
    return gateway;
  }
}

function configOf(hop: HopName, interfaceName: string, bandwidth: number): string {
  const { address, pool4, pool6 } = HOPS[hop];
  return `
[gateway]
listen = "${address}:${LP_PORT}"
shards = 1
[admin]
listen = "${ADMIN}"
[registration]
ipv4_pool = "${pool4}"
ipv6_pool = "${pool6}"
endpoints = ["${address}:${WIREGUARD_PORT}"]
bandwidth = ${bandwidth}
[store]
kind = "lmdb"
[wireguard]
kind = "uapi"
interface = "${interfaceName}"
port = ${WIREGUARD_PORT}
[metering]
interval = 1
[credentials]
kind = "privacy-pass"
`;
}

function there<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the world is not built yet');
  return value;
}
