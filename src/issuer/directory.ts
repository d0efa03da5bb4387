/**
 * What the issuer tells of its keys (RFC 9578 §4). The newest key comes first and carries its `not-before`, so that a
 * client with a cached directory changes over by itself; older ones follow for gateways that verify.
 */
import { encodeDirectory } from '../lp/wire/issuer-directory.ts';
import type { IssuerKeys } from './issuer-keys.ts';

export const REQUEST_PATH = '/token-request';
/** Far below the time that a new key is announced ahead, and what keeps issuing after its end. */
export const DIRECTORY_MAX_AGE_S = 3_600;

/** JSON. */
export function issuerDirectory(keys: IssuerKeys, now: number): string {
  return encodeDirectory({ requestUri: REQUEST_PATH, keys: keys.announced(now) });
}
