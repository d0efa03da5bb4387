/**
 * The directory of a Privacy Pass issuer (RFC 9578 §4): where requests go and which keys sign, as JSON. Keys of other
 * token types are left out. Decoding is total and bounded; that a key is a key is for its user to find out.
 */
import { TOKEN_TYPE } from './privacy-pass.ts';

export const DIRECTORY_PATH = '/.well-known/private-token-issuer-directory';
export const MEDIA_TYPE = {
  directory: 'application/private-token-issuer-directory',
  request: 'application/private-token-request',
  response: 'application/private-token-response',
} as const;
export const MAX_DIRECTORY_BYTES = 65_536;
/** Rotation needs three; what is behind them is not looked at. */
const MAX_DIRECTORY_KEYS = 32;
const MAX_URI_LENGTH = 2_048;
/** Groups of four letters, the last of at least two, since one alone is no byte. */
const BASE64URL = /^(?:[\w-]{4})*(?:[\w-]{4}|[\w-]{3}=?|[\w-]{2}(?:==)?)$/;
/** 2048-bit keys have 342 bytes. */
const MAX_KEY_TEXT_LENGTH = 1_024;

export interface DirectoryKey {
  /** DER-encoded SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  /** Unix seconds before which no token should be asked for with it. */
  readonly notBefore?: number;
}

export interface IssuerDirectory {
  /** Absolute, or relative to the directory. */
  readonly requestUri: string;
  /** The preferred one first. */
  readonly keys: readonly DirectoryKey[];
}

export function encodeDirectory({ requestUri, keys }: IssuerDirectory): string {
  return JSON.stringify({
    'issuer-request-uri': requestUri,
    'token-keys': keys.map(({ spki, notBefore }) => ({
      'token-type': TOKEN_TYPE,
      // 342 bytes are a multiple of three: with and without padding are the same.
      'token-key': Buffer.from(spki).toString('base64url'),
      ...(notBefore !== undefined && { 'not-before': notBefore }),
    })),
  });
}

/** `undefined` for what is no directory; one without keys of token type 2 has an empty list. */
export function decodeDirectory(text: string): IssuerDirectory | undefined {
  if (text.length > MAX_DIRECTORY_BYTES) return undefined;
  const directory = parseObject(text);
  const requestUri = directory?.['issuer-request-uri'];
  const listed = directory?.['token-keys'];
  if (typeof requestUri !== 'string' || requestUri.length > MAX_URI_LENGTH || !Array.isArray(listed)) return undefined;
  const keys: DirectoryKey[] = [];
  for (const item of listed.slice(0, MAX_DIRECTORY_KEYS)) {
    const key = keyOf(item);
    if (key === 'malformed') return undefined;
    if (key !== 'other type') keys.push(key);
  }
  return { requestUri, keys };
}

function keyOf(item: unknown): DirectoryKey | 'other type' | 'malformed' {
  if (typeof item !== 'object' || item === null) return 'malformed';
  const fields: Readonly<Record<string, unknown>> = { ...item };
  if (fields['token-type'] !== TOKEN_TYPE) return 'other type';
  const text = fields['token-key'];
  const notBefore = fields['not-before'];
  if (typeof text !== 'string' || text.length > MAX_KEY_TEXT_LENGTH || !BASE64URL.test(text)) return 'malformed';
  const spki = Uint8Array.from(Buffer.from(text, 'base64url'));
  if (notBefore === undefined) return { spki };
  return typeof notBefore === 'number' && Number.isFinite(notBefore) ? { spki, notBefore } : 'malformed';
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
