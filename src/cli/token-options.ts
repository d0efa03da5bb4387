/** The options with which a command is told where tokens come from, and the file with an access key. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { TokenError } from '../client/token-error.ts';
import { checkTokenFile, fileTokenSource } from '../client/token-file.ts';
import { type HttpTokenSourceOptions, httpTokenSource, type TokenSource } from '../client/token-source.ts';
import { decodeTokenChallenge } from '../lp/wire/privacy-pass.ts';
import { parseSocketAddress, rangeOf } from '../ops/config/addresses.ts';
import { OperatorError, reasonOf } from '../ops/operator-error.ts';
import { UsageError } from './exit.ts';

export interface TokenOptions {
  readonly tokenFile?: string;
  readonly issuer?: string;
  readonly accessKeyFile?: string;
}

/** The source for a gateway at an address (`host:port`). */
export type Wallet = (gatewayAddress: string) => TokenSource;

const MAX_KEY_FILE_BYTES = 1_024;

/** Throws UsageError, OperatorError or TokenError. */
export function walletOf({ tokenFile, issuer, accessKeyFile }: TokenOptions, signal: AbortSignal): Wallet {
  if (tokenFile !== undefined && issuer !== undefined) {
    throw new UsageError('tokens come from --token-file or from --issuer', 'leave one of them out');
  }
  if (accessKeyFile !== undefined && issuer === undefined) {
    throw new UsageError('--access-key-file is for an issuer', 'give --issuer URL as well, or leave it out');
  }
  if (tokenFile !== undefined) {
    checkTokenFile(tokenFile);
    const source = fileTokenSource(tokenFile, { signal });
    return () => source;
  }
  if (issuer === undefined) return (gateway) => localSource(gateway, signal);
  const accessKey = accessKeyFile === undefined ? undefined : readAccessKey(accessKeyFile);
  const source = issuerSource({ issuerUrl: issuer, signal, ...(accessKey !== undefined && { accessKey }) });
  return () => source;
}

/** What is wrong with an option of the source was given as an option of the command. */
export function issuerSource(options: HttpTokenSourceOptions): TokenSource {
  try {
    return httpTokenSource(options);
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    throw new UsageError(error.message, '');
  }
}

export function readAccessKey(path: string): string {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    throw keyFileError(`${path} cannot be read (${reasonOf(cause)})`, 'correct the path', cause);
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile() || stat.size > MAX_KEY_FILE_BYTES) {
      throw keyFileError(`${path} is no file with an access key`, 'correct the path');
    }
    if ((stat.mode & 0o077) !== 0) throw keyFileError(`other users can read ${path}`, `run: chmod 600 ${path}`);
    return readFileSync(file, 'utf8').trim();
  } finally {
    closeSync(file);
  }
}

function keyFileError(what: string, remedy: string, cause?: unknown): OperatorError {
  return new OperatorError('ERR_ACCESS_KEY_FILE', what, remedy, { cause });
}

/**
 * Without any option: a gateway of this machine that issues its tokens itself names its admin port as the issuer. Only for a
 * gateway on loopback, since a stranger's must not choose which local port this program sends requests to.
 */
function localSource(gatewayAddress: string, signal: AbortSignal): TokenSource {
  return {
    async token(challenge) {
      const { issuerName = '?', originInfo = '?' } = decodeTokenChallenge(challenge) ?? {};
      const issuer = parseSocketAddress(issuerName);
      if (isLoopback(hostOf(gatewayAddress)) && issuer.ok && isLoopback(issuer.value.host)) {
        return httpTokenSource({ issuerUrl: `http://${issuerName}`, signal }).token(challenge);
      }
      throw new TokenError(
        'no_tokens',
        `the gateway asks for a token of the issuer ${printable(issuerName)}; give --issuer URL, or fetch some with "lewes token --issuer URL --gateway ${printable(originInfo)} --out FILE" and give --token-file FILE`,
      );
    },
  };
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || (isIP(host) !== 0 && rangeOf(host) === 'loopback');
}

/** A peer's text may end up on a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\x21-\x7e]/g, '').slice(0, 120);
}
