/**
 * HTTP exchanges with a Privacy Pass issuer: bounded in time and size, never redirected, and over plain HTTP only to the
 * same machine, since the access key goes along. Failures are TokenErrors.
 */
import {
  DIRECTORY_PATH,
  decodeDirectory,
  type IssuerDirectory,
  MAX_DIRECTORY_BYTES,
  MEDIA_TYPE,
} from '../lp/wire/issuer-directory.ts';
import { MODULUS_LENGTH } from '../lp/wire/privacy-pass.ts';
import { TokenError } from './token-error.ts';

export interface FetchedDirectory extends IssuerDirectory {
  /** Absolute. */
  readonly requestUrl: URL;
  /** Seconds for which it may be kept. */
  readonly maxAge: number;
}

export type TokenAnswer =
  | { readonly kind: 'response'; readonly bytes: Uint8Array }
  /** The issuer does not know the key, or not any more: the directory has to be fetched again. */
  | { readonly kind: 'unprocessable' };

export interface IssuerRequests {
  directory(): Promise<FetchedDirectory>;
  issue(url: URL, request: Uint8Array): Promise<TokenAnswer>;
}

export interface IssuerRequestOptions {
  readonly issuerUrl: string;
  readonly accessKey: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number;
}

const DEFAULT_MAX_AGE_S = 3_600;
const MAX_MAX_AGE_S = 86_400;
const MAX_ERROR_BYTES = 4_096;
const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|\[::1\]|localhost)$/;

/** Throws TokenError invalid_option. */
export function issuerRequests({ issuerUrl, accessKey, signal, timeoutMs }: IssuerRequestOptions): IssuerRequests {
  const base = issuerAddress(issuerUrl);
  if (accessKey !== undefined && !/^[A-Za-z0-9\-._~+/]{1,256}=*$/.test(accessKey)) {
    throw new TokenError('invalid_option', 'the access key has characters that no access key has; copy it again');
  }
  const send = (url: URL, init: RequestInit) => exchange(url, { ...init, redirect: 'error' }, signal, timeoutMs);

  return {
    async directory() {
      const url = new URL(DIRECTORY_PATH, base);
      const { response, body } = await send(url, { headers: { accept: MEDIA_TYPE.directory } });
      if (response.status !== 200) {
        throw new TokenError(
          'issuer_answer',
          `${url.href} answers with status ${response.status}: no issuer is there; check the address`,
        );
      }
      const directory = decodeDirectory(Buffer.from(body).toString('utf8'));
      const requestUrl = directory === undefined ? undefined : requestAddress(directory.requestUri, url);
      if (directory === undefined || requestUrl === undefined) {
        throw new TokenError(
          'issuer_answer',
          `${url.href} is no directory of an issuer; check the address, or tell its operator`,
        );
      }
      return { ...directory, requestUrl, maxAge: maxAgeOf(response.headers.get('cache-control') ?? '') };
    },

    async issue(url, request) {
      const headers: Record<string, string> = { accept: MEDIA_TYPE.response, 'content-type': MEDIA_TYPE.request };
      if (accessKey !== undefined) headers.authorization = `Bearer ${accessKey}`;
      const { response, body } = await send(url, { method: 'POST', headers, body: Uint8Array.from(request) });
      if (response.status === 422) return { kind: 'unprocessable' };
      if (response.status !== 200) throw refusal(response.status, body, accessKey !== undefined);
      const type = response.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase();
      if (type !== MEDIA_TYPE.response || body.length !== MODULUS_LENGTH) {
        throw new TokenError('issuer_answer', 'the answer of the issuer is no token response; tell its operator');
      }
      return { kind: 'response', bytes: body };
    },
  };
}

function issuerAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !isSafe(url)) {
    const message = `the issuer's address ${JSON.stringify(text)} has to be https://HOST, or http:// on this machine`;
    throw new TokenError('invalid_option', message);
  }
  return url;
}

/** The issuer may name another host, but no weaker way to it. */
function requestAddress(uri: string, directory: URL): URL | undefined {
  const url = URL.canParse(uri, directory) ? new URL(uri, directory) : undefined;
  return url !== undefined && isSafe(url) ? url : undefined;
}

function isSafe({ protocol, hostname, username, password }: URL): boolean {
  if (username !== '' || password !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && LOOPBACK.test(hostname));
}

async function exchange(
  url: URL,
  init: RequestInit,
  signal: AbortSignal | undefined,
  timeoutMs: number,
): Promise<{ readonly response: Response; readonly body: Uint8Array }> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const both = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  try {
    const response = await fetch(url, { ...init, signal: both });
    const limit = response.status === 200 ? MAX_DIRECTORY_BYTES : MAX_ERROR_BYTES;
    return { response, body: await readBody(response, limit) };
  } catch (error) {
    if (error instanceof TokenError) throw error;
    if (signal?.aborted === true) throw new TokenError('aborted', 'aborted while asking the issuer', signal.reason);
    const why = timeout.aborted ? `no answer within ${timeoutMs / 1_000} s` : reasonOf(error);
    throw new TokenError(
      'issuer_unreachable',
      `no answer from ${url.href} (${why}); check that the issuer runs`,
      error,
    );
  }
}

async function readBody(response: Response, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > limit)
      throw new TokenError('issuer_answer', 'the answer of the issuer is too long; tell its operator');
    chunks.push(chunk);
  }
  return Uint8Array.from(Buffer.concat(chunks));
}

/** fetch hides what happened ("ECONNREFUSED") in the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}

function refusal(status: number, body: Uint8Array, hasKey: boolean): TokenError {
  if (status === 401) {
    const message = hasKey
      ? 'the issuer does not know this access key; ask its operator'
      : 'the issuer wants an access key; ask its operator for one';
    return new TokenError('access_denied', message);
  }
  if (status === 403 && Buffer.from(body).includes('"quota_exhausted"')) {
    return new TokenError(
      'quota_exhausted',
      'this access key has no tokens left; ask the operator of the issuer for more',
    );
  }
  const hint = status === 429 || status >= 500 ? 'try later' : 'tell its operator';
  return new TokenError('issuer_refused', `the issuer refuses the request with status ${status}; ${hint}`);
}

function maxAgeOf(cacheControl: string): number {
  if (/\bno-(?:store|cache)\b/i.test(cacheControl)) return 0;
  const seconds = /\bmax-age=(\d{1,9})\b/i.exec(cacheControl)?.[1];
  return seconds === undefined ? DEFAULT_MAX_AGE_S : Math.min(Number(seconds), MAX_MAX_AGE_S);
}
