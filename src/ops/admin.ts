/**
 * The operator's HTTP port: /metrics, /livez, /readyz and /status, and routes that others bring along. Its own only read:
 * what they tell comes from functions that the gateway supplies. No access control, hence loopback by default.
 */
import { type FastifyPluginAsync, fastify } from 'fastify';
import { formatSocketAddress, type SocketAddress } from './config/index.ts';
import type { Registry } from './metrics.ts';
import { OperatorError, reasonOf, systemCode } from './operator-error.ts';

export interface Readiness {
  readonly ready: boolean;
  /** Why not; empty when ready. */
  readonly reasons: readonly string[];
}

export interface AdminSources {
  readonly registry: Registry;
  ready(): Readiness;
  /** What the gateway says of itself; JSON values, no secrets. */
  status(): object;
  /** Routes of another room, with content types, errors and access of their own. They are there when the port opens. */
  readonly routes?: FastifyPluginAsync | undefined;
}

export interface AdminServer {
  /** As bound: port 0 is resolved. */
  readonly address: SocketAddress;
  /** `http://127.0.0.1:9464`. */
  readonly url: string;
  close(): Promise<void>;
}

/** Nobody sends a body here. */
const MAX_BODY_BYTES = 1_024;
const REQUEST_TIMEOUT_MS = 10_000;
/** Scrapers and people; a leak of connections must not take the gateway's descriptors. */
const MAX_CONNECTIONS = 256;

/** Throws an OperatorError: ERR_ADMIN_ADDRESS_IN_USE or ERR_ADMIN_LISTEN. */
export async function startAdmin(listen: SocketAddress, sources: AdminSources): Promise<AdminServer> {
  const server = fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: REQUEST_TIMEOUT_MS,
    // A scraper's kept connection must not hold up the gateway's end.
    forceCloseConnections: true,
  });
  server.server.maxConnections = MAX_CONNECTIONS;
  server.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
  });
  server.get('/metrics', async (_request, reply) => {
    const text = await sources.registry.metrics();
    return reply.type(sources.registry.contentType).send(text);
  });
  // That it answers is the fact: the event loop turns.
  server.get('/livez', async () => ({ live: true }));
  server.get('/readyz', async (_request, reply) => {
    const readiness = sources.ready();
    return reply.code(readiness.ready ? 200 : 503).send(readiness);
  });
  server.get('/status', async () => ({ ...sources.ready(), ...sources.status() }));

  try {
    if (sources.routes !== undefined) await server.register(sources.routes);
    await server.listen({ host: listen.host, port: listen.port });
  } catch (error) {
    await server.close();
    if (systemCode(error) === undefined) throw error;
    throw listenError(listen, error);
  }
  const bound = server.server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : listen.port;
  const address = { host: listen.host, port };
  return { address, url: `http://${formatSocketAddress(address)}`, close: () => server.close() };
}

function listenError(listen: SocketAddress, error: unknown): OperatorError {
  const shown = formatSocketAddress(listen);
  if (systemCode(error) === 'EADDRINUSE') {
    return new OperatorError(
      'ERR_ADMIN_ADDRESS_IN_USE',
      `the admin port ${shown} is taken by another process`,
      'stop that process, or set admin.listen to another port ("127.0.0.1:0" for a free one, "off" for none)',
      { cause: error },
    );
  }
  const remedy =
    systemCode(error) === 'EADDRNOTAVAIL'
      ? 'set admin.listen to an address of this machine'
      : 'set admin.listen to an address and port that this user may bind';
  return new OperatorError(
    'ERR_ADMIN_LISTEN',
    `the admin port ${shown} cannot be opened (${reasonOf(error)})`,
    remedy,
    {
      cause: error,
    },
  );
}
