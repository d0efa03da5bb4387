/**
 * The issuer over HTTP (RFC 9578 §4, §6): its directory and token requests, as a fastify plugin that the issuer's own
 * server and a gateway's admin port share. In order: access, body, charge, signature; a token is charged for when its
 * request is sound and never otherwise. Sizes and media types are bounded before anything is read.
 */
import {
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
  fastify,
} from 'fastify';
import { DIRECTORY_PATH, MEDIA_TYPE } from '../lp/wire/issuer-directory.ts';
import { TOKEN_REQUEST_LENGTH } from '../lp/wire/privacy-pass.ts';
import { formatSocketAddress, type SocketAddress } from '../ops/config/index.ts';
import { OperatorError, reasonOf, systemCode } from '../ops/operator-error.ts';
import { blindSign } from './blind-key.ts';
import { DIRECTORY_MAX_AGE_S, issuerDirectory, REQUEST_PATH } from './directory.ts';
import { checkTokenRequest, type IssueRefusal } from './issue.ts';
import type { IssuerKeys } from './issuer-keys.ts';
import type { Quota } from './quota.ts';

export type IssuerAccess =
  /** Anybody who reaches the port: for development, on loopback. */
  { readonly kind: 'open' } | { readonly kind: 'quota'; readonly quota: Quota };

/** What became of a request; for counting. */
export type IssueOutcome =
  | 'issued'
  | IssueRefusal
  | 'access_missing'
  | 'access_unknown'
  | 'quota_exhausted'
  | 'not_stored'
  | 'bad_request';

export interface IssuerRoutesOptions {
  readonly keys: IssuerKeys;
  readonly access: IssuerAccess;
  /** Unix seconds. */
  readonly now: () => number;
  readonly onOutcome?: (outcome: IssueOutcome) => void;
  /** What the operator has to know of: a count that cannot be written, a mistake of ours. Without secrets. */
  readonly onError?: (error: Error) => void;
}

export interface IssuerServer {
  /** As bound: port 0 is resolved. */
  readonly address: SocketAddress;
  readonly url: string;
  close(): Promise<void>;
}

const STATUS: Readonly<Record<Exclude<IssueOutcome, 'issued' | 'bad_request'>, number>> = {
  malformed: 422,
  unknown_key: 422,
  out_of_range: 422,
  access_missing: 401,
  access_unknown: 401,
  quota_exhausted: 403,
  not_stored: 503,
};
const RETRY_NOT_STORED_S = 10;
const REQUEST_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 1_024;
/** RFC 6750's b64token, bounded. */
const BEARER = /^Bearer +([A-Za-z0-9\-._~+/]{1,256}=*)$/i;

/** Registered without a prefix: the directory's path is well-known. */
export const issuerRoutes: FastifyPluginAsync<IssuerRoutesOptions> = async (server, options) => {
  const tell = (reply: FastifyReply, outcome: keyof typeof STATUS) => {
    options.onOutcome?.(outcome);
    if (STATUS[outcome] === 401) reply.header('www-authenticate', 'Bearer realm="lewes issuer"');
    if (STATUS[outcome] === 503) reply.header('retry-after', RETRY_NOT_STORED_S);
    return reply.code(STATUS[outcome]).send({ error: outcome });
  };
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(
    MEDIA_TYPE.request,
    { parseAs: 'buffer', bodyLimit: TOKEN_REQUEST_LENGTH },
    async (_request: FastifyRequest, body: Buffer) => body,
  );
  server.setErrorHandler((error: { readonly statusCode?: number }, _request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500 && error instanceof Error) options.onError?.(error);
    options.onOutcome?.('bad_request');
    return reply.code(status).send({ error: status >= 500 ? 'internal' : 'bad_request' });
  });
  server.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
  });

  server.get(DIRECTORY_PATH, async (_request, reply) => {
    reply.header('cache-control', `public, max-age=${DIRECTORY_MAX_AGE_S}`).type(MEDIA_TYPE.directory);
    return issuerDirectory(options.keys, options.now());
  });

  server.post(REQUEST_PATH, { onRequest: gate(options.access, tell) }, async (request, reply) => {
    const body = request.body instanceof Uint8Array ? request.body : new Uint8Array();
    const checked = checkTokenRequest(body, options.keys.finder(options.now()));
    if (checked.kind === 'refused') return tell(reply, checked.reason);
    if (options.access.kind === 'quota') {
      const charge = options.access.quota.charge(bearerOf(request) ?? '');
      if (charge.kind !== 'charged')
        return tell(reply, charge.kind === 'unknown' ? 'access_unknown' : 'quota_exhausted');
      try {
        await charge.settled;
      } catch (error) {
        if (error instanceof Error) options.onError?.(error);
        return tell(reply, 'not_stored');
      }
    }
    const response = blindSign(checked.key, checked.blinded);
    options.onOutcome?.('issued');
    return reply.type(MEDIA_TYPE.response).send(Buffer.from(response));
  });
};

/** Strangers are turned away before their body is read. */
function gate(access: IssuerAccess, tell: (reply: FastifyReply, outcome: keyof typeof STATUS) => unknown) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    if (access.kind === 'open') return undefined;
    const accessKey = bearerOf(request);
    if (accessKey === undefined) return tell(reply, 'access_missing');
    const left = access.quota.left(accessKey);
    if (left === undefined) return tell(reply, 'access_unknown');
    return left === 0 ? tell(reply, 'quota_exhausted') : undefined;
  };
}

function bearerOf(request: FastifyRequest): string | undefined {
  return BEARER.exec(request.headers.authorization ?? '')?.[1];
}

/** A server of its own. Throws OperatorError ERR_ISSUER_LISTEN. */
export async function startIssuer(listen: SocketAddress, options: IssuerRoutesOptions): Promise<IssuerServer> {
  const server: FastifyInstance = fastify({
    logger: false,
    bodyLimit: TOKEN_REQUEST_LENGTH,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
  });
  server.server.maxConnections = MAX_CONNECTIONS;
  try {
    await server.register(issuerRoutes, options);
    await server.listen({ host: listen.host, port: listen.port });
  } catch (cause) {
    await server.close();
    if (systemCode(cause) === undefined) throw cause;
    throw new OperatorError(
      'ERR_ISSUER_LISTEN',
      `the issuer cannot listen on ${formatSocketAddress(listen)} (${reasonOf(cause)})`,
      'give an address of this machine and a free port with --listen',
      { cause },
    );
  }
  const bound = server.server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : listen.port;
  const address = { host: listen.host, port };
  return { address, url: `http://${formatSocketAddress(address)}`, close: () => server.close() };
}
