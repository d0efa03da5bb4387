/**
 * Registration bodies: requests (frame kind 1) and answers (frame kind 2) of registration.md as typed unions, in both
 * directions. Decoding is total and strict: at most 4 KiB, exactly the keys of the operation and mode, exactly the
 * table's types. It decides nothing else: what a name or a credential is worth, the registrar says.
 *
 * `credential` may be absent wherever the table allows it at all: the registrar has a code for that (`credential_missing`).
 */
import { BodyFields, type MalformedBody } from './body-fields.ts';
import { decodeMap, type EncodableMap, encodeMap } from './strict-messagepack.ts';

const MAX_BODY_LENGTH = 4096;
const LIMITS = { bytes: MAX_BODY_LENGTH, depth: 4, textBytes: 256 } as const;
const BODY_VERSION = 1;
const KEY_LENGTH = 32;

export const REGISTRATION_MODES = ['dvpn', 'mixnet'] as const;
export type RegistrationMode = (typeof REGISTRATION_MODES)[number];

export const REGISTRATION_OPS = ['quote', 'finalise', 'register', 'balance', 'topup', 'release'] as const;
export type RegistrationOp = (typeof REGISTRATION_OPS)[number];

export const REGISTRATION_CODES = [
  'mode_not_offered',
  'bad_key',
  'not_owner',
  'no_quote',
  'credential_missing',
  'credential_kind',
  'credential_invalid',
  'credential_wrong_challenge',
  'credential_expired',
  'credential_spent',
  'pool_exhausted',
  'limit_reached',
  'try_later',
  'internal',
] as const;
export type RegistrationCode = (typeof REGISTRATION_CODES)[number];

/** What a registration is called: the client's WireGuard key or its mixnet id, 32 bytes each. */
export type RegistrationName =
  | { readonly mode: 'dvpn'; readonly wgPublicKey: Uint8Array }
  | { readonly mode: 'mixnet'; readonly clientId: Uint8Array };

/** A name with what the operation that opens a registration brings besides; it is a {@link RegistrationName}. */
export type Enrolment =
  | { readonly mode: 'dvpn'; readonly wgPublicKey: Uint8Array; readonly presharedKey: Uint8Array }
  | { readonly mode: 'mixnet'; readonly clientId: Uint8Array };

export interface Credential {
  readonly kind: string;
  readonly token: Uint8Array;
}

/** `owner`: 32 secret bytes. */
export type RequestBody =
  | { readonly op: 'quote'; readonly enrolment: Enrolment; readonly owner: Uint8Array }
  | {
      readonly op: 'register';
      readonly enrolment: Enrolment;
      readonly owner: Uint8Array;
      readonly credential?: Credential;
    }
  | {
      readonly op: 'finalise' | 'topup';
      readonly name: RegistrationName;
      readonly owner: Uint8Array;
      readonly credential?: Credential;
    }
  | { readonly op: 'balance' | 'release'; readonly name: RegistrationName; readonly owner: Uint8Array };

/** Addresses of 4 and 16 bytes, to be used as host routes. */
export interface TunnelAddresses {
  readonly ipv4: Uint8Array;
  readonly ipv6: Uint8Array;
}

/** What one token buys: `tokens` of them are asked for. */
export interface Price {
  readonly tokens: number;
  readonly bandwidth: number;
  readonly lifetime: number;
}

export type AnswerBody =
  | {
      readonly status: 'completed';
      readonly mode: 'dvpn';
      readonly wgPublicKey: Uint8Array;
      readonly endpoints: readonly string[];
      readonly addresses: TunnelAddresses;
      /** Seconds. */
      readonly keepalive: number;
      /** Bytes left. */
      readonly bandwidth: number;
      /** Unix seconds. */
      readonly expires: number;
    }
  | { readonly status: 'completed'; readonly mode: 'mixnet'; readonly bandwidth: number; readonly expires: number }
  | {
      readonly status: 'credential_required';
      /** Present for dvpn. */
      readonly addresses?: TunnelAddresses;
      readonly challenge: Uint8Array;
      readonly issuer: string;
      readonly price: Price;
      /** Unix seconds. */
      readonly heldUntil: number;
    }
  | {
      readonly status: 'failed';
      readonly code: RegistrationCode;
      readonly text: string;
      /** Seconds; present where waiting helps. */
      readonly retryAfter?: number;
    };

export { type BodyFault, isAnnouncedEndpoint, MAX_ENDPOINTS, type MalformedBody } from './body-fields.ts';
export type DecodedBody<T> = { readonly kind: 'value'; readonly value: T } | MalformedBody;

/** Byte strings of the result are views into `bytes`. */
export function decodeRequest(bytes: Uint8Array): DecodedBody<RequestBody> {
  return decodeBody(bytes, readRequest);
}

/** Byte strings of the result are views into `bytes`. */
export function decodeAnswer(bytes: Uint8Array): DecodedBody<AnswerBody> {
  return decodeBody(bytes, readAnswer);
}

function decodeBody<T>(bytes: Uint8Array, read: (fields: BodyFields) => T): DecodedBody<T> {
  const map = decodeMap(bytes, LIMITS);
  if (map.kind === 'malformed') return map;
  const fields = new BodyFields(map.value);
  if (fields.integer('v') !== BODY_VERSION) fields.fail('unknown_value', 'v');
  const value = read(fields);
  fields.finish();
  return fields.fault ?? { kind: 'value', value };
}

function readRequest(fields: BodyFields): RequestBody {
  const op = fields.choice('op', REGISTRATION_OPS);
  const owner = fields.bytes('owner', KEY_LENGTH);
  switch (op) {
    case 'quote':
      return { op, enrolment: readEnrolment(fields), owner };
    case 'register':
      return { op, enrolment: readEnrolment(fields), owner, ...readCredential(fields) };
    case 'finalise':
    case 'topup':
      return { op, name: readName(fields), owner, ...readCredential(fields) };
    case 'balance':
    case 'release':
      return { op, name: readName(fields), owner };
  }
}

function readEnrolment(fields: BodyFields): Enrolment {
  return fields.choice('mode', REGISTRATION_MODES) === 'dvpn'
    ? {
        mode: 'dvpn',
        wgPublicKey: fields.bytes('wg_public_key', KEY_LENGTH),
        presharedKey: fields.bytes('preshared_key', KEY_LENGTH),
      }
    : { mode: 'mixnet', clientId: fields.bytes('client_id', KEY_LENGTH) };
}

/** Both names at once leave one of them as a superfluous key. */
function readName(fields: BodyFields): RegistrationName {
  return fields.has('client_id')
    ? { mode: 'mixnet', clientId: fields.bytes('client_id', KEY_LENGTH) }
    : { mode: 'dvpn', wgPublicKey: fields.bytes('wg_public_key', KEY_LENGTH) };
}

function readCredential(fields: BodyFields): { credential?: Credential } {
  if (!fields.has('credential')) return {};
  return {
    credential: fields.map('credential', (inner) => ({ kind: inner.text('kind'), token: inner.bytes('token') })),
  };
}

function readAnswer(fields: BodyFields): AnswerBody {
  const status = fields.choice('status', ['completed', 'credential_required', 'failed'] as const);
  switch (status) {
    case 'completed':
      return readCompleted(fields);
    case 'credential_required':
      return {
        status,
        ...(fields.has('ipv4') || fields.has('ipv6') ? { addresses: readAddresses(fields) } : {}),
        challenge: fields.bytes('challenge'),
        issuer: fields.text('issuer'),
        price: fields.map('price', (inner) => ({
          tokens: inner.integer('tokens'),
          bandwidth: inner.integer('bandwidth'),
          lifetime: inner.integer('lifetime'),
        })),
        heldUntil: fields.integer('held_until'),
      };
    case 'failed':
      return {
        status,
        code: fields.choice('code', REGISTRATION_CODES),
        text: fields.text('text'),
        ...(fields.has('retry_after') ? { retryAfter: fields.integer('retry_after') } : {}),
      };
  }
}

function readCompleted(fields: BodyFields): AnswerBody {
  const rest = { bandwidth: fields.integer('bandwidth'), expires: fields.integer('expires') };
  if (!fields.has('wg_public_key')) return { status: 'completed', mode: 'mixnet', ...rest };
  return {
    status: 'completed',
    mode: 'dvpn',
    wgPublicKey: fields.bytes('wg_public_key', KEY_LENGTH),
    endpoints: fields.endpoints('endpoints'),
    addresses: readAddresses(fields),
    keepalive: fields.integer('keepalive'),
    ...rest,
  };
}

function readAddresses(fields: BodyFields): TunnelAddresses {
  return { ipv4: fields.bytes('ipv4', 4), ipv6: fields.bytes('ipv6', 16) };
}

/** The result holds secrets (owner, preshared key): the caller wipes it when it has been sealed. */
export function encodeRequest(request: RequestBody): Uint8Array {
  const name = 'name' in request ? request.name : request.enrolment;
  const credential = 'credential' in request ? request.credential : undefined;
  return encodeBody({
    v: BODY_VERSION,
    op: request.op,
    mode: 'enrolment' in request ? request.enrolment.mode : undefined,
    wg_public_key: name.mode === 'dvpn' ? key32(name.wgPublicKey) : undefined,
    preshared_key:
      'enrolment' in request && request.enrolment.mode === 'dvpn' ? key32(request.enrolment.presharedKey) : undefined,
    client_id: name.mode === 'mixnet' ? key32(name.clientId) : undefined,
    credential: credential && { kind: credential.kind, token: credential.token },
    owner: key32(request.owner),
  });
}

export function encodeAnswer(answer: AnswerBody): Uint8Array {
  return encodeBody({ v: BODY_VERSION, status: answer.status, ...answerFields(answer) });
}

function answerFields(answer: AnswerBody): EncodableMap {
  switch (answer.status) {
    case 'completed':
      return {
        ...(answer.mode === 'dvpn' && {
          wg_public_key: key32(answer.wgPublicKey),
          endpoints: answer.endpoints,
          ipv4: answer.addresses.ipv4,
          ipv6: answer.addresses.ipv6,
          keepalive: answer.keepalive,
        }),
        bandwidth: answer.bandwidth,
        expires: answer.expires,
      };
    case 'credential_required':
      return {
        ipv4: answer.addresses?.ipv4,
        ipv6: answer.addresses?.ipv6,
        challenge: answer.challenge,
        issuer: answer.issuer,
        price: { ...answer.price },
        held_until: answer.heldUntil,
      };
    case 'failed':
      return { code: answer.code, text: answer.text, retry_after: answer.retryAfter };
  }
}

function encodeBody(map: EncodableMap): Uint8Array {
  const body = encodeMap(map);
  if (body.length > MAX_BODY_LENGTH) throw new Error('assertion: a registration body has at most 4096 bytes');
  return body;
}

function key32(bytes: Uint8Array): Uint8Array {
  if (bytes.length !== KEY_LENGTH) throw new Error('assertion: keys, ids and owners have 32 bytes');
  return bytes;
}
