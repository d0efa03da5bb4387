/**
 * Announcements from where they are (nym.md §3.2): a node's HTTP port, or a file. Bounded in time and size, never
 * redirected; only the signature makes them worth something, so plain HTTP is as good as any. What comes back is checked
 * by node-data.ts.
 */
import { readFile, stat } from 'node:fs/promises';
import { loadProvider } from '../../lp/crypto/load.ts';
import type { CryptoProvider } from '../../lp/crypto/provider.ts';
import { MAX_ANNOUNCEMENT_LENGTH } from '../../lp/nym/announcement.ts';
import { type Clock, systemClock } from '../../system/clock.ts';
import { type Hop, invalidOption, LewesError } from '../errors.ts';
import { parseAddress, parseIdentity } from '../gateway-target.ts';
import { announcementError, type NymNodeData, nymNodeAnnounced } from './node-data.ts';

export const NYM_ANNOUNCEMENT_PATH = '/api/v1/lewes-protocol';
/** Of nym-node's HTTP API. */
export const NYM_HTTP_PORT = 8_080;
const TIMEOUT_MS = 10_000;

export interface NymAnnouncementOptions {
  /** An http(s) address, or a file's path; without a path in it, the usual one. */
  readonly from: string;
  /** The node's Ed25519 key: base58, 64 hex digits or 32 bytes. */
  readonly identity: string | Uint8Array;
  /**
   * `host:port` or a host alone, for which the announced port is taken. Default: the host of the HTTP address; a file says
   * no address, so there it has to be given.
   */
  readonly address?: string;
  /** Take addresses that are private or local. Default false. */
  readonly allowPrivate?: boolean;
  readonly hop?: Hop;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly crypto?: CryptoProvider;
  readonly clock?: Clock;
}

interface Fetched {
  readonly document: string;
  readonly clockHintS: number | undefined;
}

/** Rejects with LewesError `announcement`, `address`, `aborted` or `invalid_option`. */
export async function nymNodeFromAnnouncement(options: NymAnnouncementOptions): Promise<NymNodeData> {
  const { from, hop = 'direct', allowPrivate = false } = options;
  const crypto = options.crypto ?? (await loadProvider('auto'));
  const identity = parseIdentity(options.identity, hop);
  const url = announcementUrl(from);
  const { host, port } = placeOf(options.address, url, hop);
  const { document, clockHintS } =
    url === undefined ? await readDocument(from, hop) : await fetchDocument(url, options, hop);
  const source = url === undefined ? 'stored' : 'fetched';
  return nymNodeAnnounced(crypto, { document, identity, host, port, source, clockHintS, allowPrivate }, hop);
}

/** `undefined` for what is a path. */
function announcementUrl(from: string): URL | undefined {
  if (!/^https?:\/\//i.test(from) || !URL.canParse(from)) return undefined;
  const url = new URL(from);
  return url.pathname === '/' ? new URL(NYM_ANNOUNCEMENT_PATH, url) : url;
}

function placeOf(address: string | undefined, url: URL | undefined, hop: Hop) {
  if (address !== undefined) {
    const alone = /^(?:\[([^\]]+)\]|([^:[\]]+|[^[\]]*:[^[\]]*:[^[\]]*))$/.exec(address);
    const host = alone?.[1] ?? alone?.[2];
    return host === undefined ? parseAddress(address, hop) : { host, port: undefined };
  }
  if (url === undefined)
    throw invalidOption('an announcement in a file says no address; give the address as well', hop);
  return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: undefined };
}

async function readDocument(path: string, hop: Hop): Promise<Fetched> {
  try {
    const { size } = await stat(path);
    if (size > MAX_ANNOUNCEMENT_LENGTH)
      throw announcementError(hop, 'too_long', `${path} is too long for an announcement`);
    return { document: await readFile(path, 'utf8'), clockHintS: undefined };
  } catch (error) {
    if (error instanceof LewesError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw announcementError(hop, 'file', `the announcement cannot be read (${why}); check the path`, error);
  }
}

async function fetchDocument(
  url: URL,
  { signal, timeoutMs, clock }: NymAnnouncementOptions,
  hop: Hop,
): Promise<Fetched> {
  const limitMs = timeoutMs ?? TIMEOUT_MS;
  const timeout = AbortSignal.timeout(limitMs);
  try {
    const both = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
    // A kept connection would outlive its use.
    const headers = { accept: 'application/json', connection: 'close' };
    const response = await fetch(url, { redirect: 'error', signal: both, headers });
    const date = response.headers.get('date');
    const clockHintS = hintOf(date, (clock ?? systemClock).now().unixMs);
    const document = await readText(response, hop);
    if (response.status === 200) return { document, clockHintS };
    const message = `${url.href} answers with HTTP status ${response.status}: no nym-node since 1.27.0 is there; check the address`;
    throw announcementError(hop, 'http_status', message);
  } catch (error) {
    if (error instanceof LewesError) throw error;
    if (signal?.aborted === true) {
      const message = 'aborted while its announcement was fetched';
      throw new LewesError({ code: 'aborted', hop, step: 'announcement', message, cause: signal.reason });
    }
    const why = timeout.aborted ? `no answer within ${limitMs / 1_000} s` : reasonOf(error);
    const message = `no answer from ${url.href} (${why}): the node's HTTP port is closed, or the address is wrong; its LP port may be open all the same`;
    throw announcementError(hop, timeout.aborted ? 'timeout' : 'unreachable', message, error);
  }
}

async function readText(response: Response, hop: Hop): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > MAX_ANNOUNCEMENT_LENGTH) {
      throw announcementError(hop, 'too_long', 'the answer is too long for an announcement; check the address');
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** A Date has whole seconds, and the way takes some milliseconds: this is a hint, nothing more. */
function hintOf(date: string | null, unixMs: number): number | undefined {
  const nodeMs = date === null ? Number.NaN : Date.parse(date);
  return Number.isNaN(nodeMs) ? undefined : Math.round((nodeMs - unixMs) / 1_000);
}

/** fetch hides what happened ("ECONNREFUSED") in the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message;
}
