/**
 * Who signs the tokens that a gateway takes, and how the gateway learns of the keys. Without `credentials.issuer` it is the
 * gateway itself, on its admin port; otherwise the issuer's directory is fetched at the start and every day. Invariant: only
 * keys that a verifier takes are handed over, and free tokens are given out on a loopback address alone.
 */
import { join } from 'node:path';
import type { FastifyPluginAsync } from 'fastify';
import { type IssuerRequests, issuerRequests } from '../client/issuer-requests.ts';
import { FollowedKeys } from '../issuer/followed-keys.ts';
import { type IssuerAccess, issuerRoutes } from '../issuer/http.ts';
import { IssuerKeys } from '../issuer/issuer-keys.ts';
import { Quota } from '../issuer/quota.ts';
import { rangeOf } from '../ops/config/addresses.ts';
import { type Config, formatSocketAddress, type SocketAddress } from '../ops/config/index.ts';
import { readIssuerKeys } from '../ops/issuer-key-file.ts';
import type { Logger } from '../ops/log.ts';
import { OperatorError, systemCode } from '../ops/operator-error.ts';
import { sentence } from '../ops/sentence.ts';
import { createPrivacyPass, type IssuerPublicKey } from '../registration/credentials/privacy-pass.ts';
import { systemClock } from '../system/clock.ts';

export interface KeyTaker {
  setIssuerKeys(keys: readonly IssuerPublicKey[]): void;
}

export interface GatewayIssuer {
  /** For the admin port. */
  readonly routes: FastifyPluginAsync | undefined;
  /** The configuration with the issuer's name, which on port 0 is known only when the admin port is bound. */
  configFor(admin: SocketAddress | undefined): Config;
  /** Hands over the keys now and whenever they change. */
  supply(gateway: KeyTaker): void;
  close(): void;
}

/** Keys are announced days ahead, so an hour is soon enough. */
const MAINTAIN_MS = 3_600_000;
/** Far below the three days for which an issuer announces a key. */
const FETCH_MS = 86_400_000;
const FETCH_AGAIN_MS = 600_000;
const FETCH_TIMEOUT_MS = 10_000;
/** Before the tokens of every key of the issuer end: it does not rotate. */
const WARN_S = 30 * 86_400;

/** Keys are there when it resolves. Rejects with OperatorError. */
export async function openIssuer(config: Config, dataDir: string, log: Logger): Promise<GatewayIssuer> {
  const { kind, issuer, keys: files } = config.credentials;
  if (kind === 'none') return { routes: undefined, configFor: () => config, supply: () => {}, close: () => {} };
  const given = files.flatMap((file) => readIssuerKeys(file).map((spki) => ({ spki })));
  if (issuer !== undefined) return follow({ config, issuer, given, file: join(dataDir, 'issuer-directory.json'), log });
  if (config.admin.listen !== undefined) return serve(config, config.admin.listen, given, dataDir, log);
  return { routes: undefined, configFor: () => config, supply: (to) => to.setIssuerKeys(given), close: () => {} };
}

async function serve(
  config: Config,
  admin: SocketAddress,
  given: readonly IssuerPublicKey[],
  dataDir: string,
  log: Logger,
): Promise<GatewayIssuer> {
  const warn = (error: Error) => log.error({ code: systemCode(error) }, sentence(error.message));
  const access = accessOf(config, admin, dataDir, warn);
  const keys = await IssuerKeys.open({ directory: join(dataDir, 'issuer-keys') }, now());
  let timer: NodeJS.Timeout | undefined;
  return {
    routes: async (server) => {
      await server.register(issuerRoutes, { keys, access, now, onError: warn });
    },
    configFor: (bound) => {
      const { credentials } = config;
      if (bound === undefined || admin.port !== 0 || credentials.issuer_name !== 'localhost') return config;
      return { ...config, credentials: { ...credentials, issuer_name: formatSocketAddress(bound) } };
    },
    supply(gateway) {
      const hand = () => gateway.setIssuerKeys([...keys.verifierKeys(), ...given]);
      hand();
      if (access.kind === 'open') {
        log.warn('tokens are free: this gateway issues them itself, to anybody on this machine (credentials.issuer)');
      }
      timer = setInterval(() => {
        keys.maintain(now()).then((changed) => {
          if (!changed) return;
          hand();
          log.info({ keys: keys.status(now()) }, 'issuer keys changed');
        }, warn);
      }, MAINTAIN_MS);
    },
    close: () => clearInterval(timer),
  };
}

function accessOf(config: Config, admin: SocketAddress, dataDir: string, report: (error: Error) => void): IssuerAccess {
  const { quota } = config.credentials;
  if (quota !== undefined) {
    return { kind: 'quota', quota: new Quota({ file: quota, usedFile: join(dataDir, 'issued.json'), report }) };
  }
  if (rangeOf(admin.host) === 'loopback') return { kind: 'open' };
  throw new OperatorError(
    'ERR_ISSUER_OPEN',
    `tokens would be free for everybody who reaches admin.listen (${formatSocketAddress(admin)})`,
    'name a credentials.quota file, or another issuer in credentials.issuer, or set admin.listen to a loopback address',
  );
}

interface FollowOptions {
  readonly config: Config;
  readonly issuer: string;
  readonly given: readonly IssuerPublicKey[];
  readonly file: string;
  readonly log: Logger;
}

async function follow({ config, issuer, given, file, log }: FollowOptions): Promise<GatewayIssuer> {
  const keys = new FollowedKeys(file, issuer);
  const stopped = new AbortController();
  const requests = issuerRequests({
    issuerUrl: issuer,
    accessKey: undefined,
    signal: stopped.signal,
    timeoutMs: FETCH_TIMEOUT_MS,
  });
  let timer: NodeJS.Timeout | undefined;
  let taker: KeyTaker | undefined;
  const hand = () => taker?.setIssuerKeys([...keys.keys, ...given]);
  const refresh = async () => {
    const failure = await fetchKeys(requests, keys, log);
    if (stopped.signal.aborted) return failure;
    if (failure !== undefined) {
      const known = keys.keys.filter(({ retired }) => !retired).length;
      log.error({ issuer, known, reason: failure.message }, 'the issuer cannot be asked; its known keys stay in force');
    } else hand();
    timer = setTimeout(() => void refresh(), failure === undefined ? FETCH_MS : FETCH_AGAIN_MS);
    return failure;
  };
  const failure = await refresh();
  const close = () => {
    stopped.abort();
    clearTimeout(timer);
  };
  if (failure !== undefined && keys.keys.length + given.length === 0) {
    close();
    throw new OperatorError(
      'ERR_ISSUER_UNREACHABLE',
      `nothing is known of the issuer of the tokens: ${failure.message}`,
      'correct credentials.issuer, or give its public key in credentials.keys',
      { cause: failure },
    );
  }
  return {
    routes: undefined,
    configFor: () => config,
    supply(gateway) {
      taker = gateway;
      hand();
    },
    close,
  };
}

/** Returns what went wrong. */
async function fetchKeys(requests: IssuerRequests, keys: FollowedKeys, log: Logger): Promise<Error | undefined> {
  try {
    const listed = (await requests.directory()).keys.filter(({ spki }) => isUsable(spki));
    if (listed.length === 0) return new Error('the directory of the issuer has no key of token type 2');
    if (keys.update(listed, now())) log.info({ keys: listed.length }, 'issuer keys changed');
    const end = Math.max(...keys.keys.filter(({ retired }) => !retired).map(({ notAfter }) => notAfter));
    if (end - now() < WARN_S) {
      const until = new Date(end * 1_000).toISOString();
      log.warn({ until }, 'the issuer has not changed its key for a year: from then on no token is taken');
    }
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** As the verifier finds it, which takes all keys or none. */
function isUsable(spki: Uint8Array): boolean {
  try {
    const price = { tokens: 1, bandwidth: 1, lifetime: 1 } as const;
    createPrivacyPass({ issuerName: '-', originInfo: '-', keys: [{ spki }], price });
    return true;
  } catch {
    return false;
  }
}

function now(): number {
  return Math.floor(systemClock.now().unixMs / 1_000);
}
