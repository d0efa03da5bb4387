/**
 * Registration requests and answers (registration.md) as a client's user sees them: the typed bodies of the wire, with
 * what the user got wrong as `invalid_option` and what a gateway got wrong as `malformed_answer`.
 */
import { type ApplicationFrame, KIND } from '../lp/wire/application-frame.ts';
import {
  type AnswerBody,
  type Credential,
  decodeAnswer,
  type Enrolment,
  encodeRequest,
  type RegistrationName,
  type RequestBody,
} from '../lp/wire/registration-body.ts';
import { type Hop, invalidOption } from './errors.ts';
import { malformedAnswer } from './explain.ts';

/**
 * What opens a registration. `owner`: 32 random bytes, chosen once per registration and kept secret: whoever has them can
 * read its balance, replace its preshared key and end it. The preshared key is random, too, never a public value.
 */
export type RegisterRequest = Enrolment & { readonly owner: Uint8Array; readonly credential?: Credential };

/** What names a registration that stands. */
export type StandingRequest = RegistrationName & { readonly owner: Uint8Array };

export type PaidRequest = StandingRequest & { readonly credential?: Credential };

export function openingBody(op: 'quote' | 'register', request: RegisterRequest): RequestBody {
  const { owner, credential, ...enrolment } = request;
  return op === 'register' && credential !== undefined
    ? { op, enrolment, owner, credential }
    : { op, enrolment, owner };
}

export function standingBody(op: 'finalise' | 'topup' | 'balance' | 'release', request: PaidRequest): RequestBody {
  const { owner, credential, ...name } = request;
  if (op === 'balance' || op === 'release') return { op, name, owner };
  return credential === undefined ? { op, name, owner } : { op, name, owner, credential };
}

/** Holds secrets; the caller wipes it. */
export function encodeBody(body: RequestBody, hop: Hop): Uint8Array {
  for (const [what, bytes] of Object.entries(keysOf(body))) {
    if (!(bytes instanceof Uint8Array) || bytes.length !== 32) throw invalidOption(`${what} has to be 32 bytes`, hop);
  }
  try {
    return encodeRequest(body);
  } catch (cause) {
    throw invalidOption('the registration does not fit into 4 KiB', hop, cause);
  }
}

function keysOf(body: RequestBody): Readonly<Record<string, Uint8Array>> {
  const { owner } = body;
  if ('name' in body) {
    return body.name.mode === 'dvpn'
      ? { owner, wgPublicKey: body.name.wgPublicKey }
      : { owner, clientId: body.name.clientId };
  }
  const { enrolment } = body;
  if (enrolment.mode !== 'dvpn') return { owner, clientId: enrolment.clientId };
  return { owner, wgPublicKey: enrolment.wgPublicKey, presharedKey: enrolment.presharedKey };
}

/** Byte strings of the answer are views into the frame's body. */
export function readAnswer(frame: ApplicationFrame, hop: Hop): AnswerBody {
  if (frame.kind !== KIND.registrationResponse)
    throw malformedAnswer(hop, 'registration', 'it is no registration answer');
  const decoded = decodeAnswer(frame.body);
  if (decoded.kind === 'value') return decoded.value;
  throw malformedAnswer(
    hop,
    'registration',
    `its body has a fault (${decoded.reason}${decoded.key ? `: ${decoded.key}` : ''})`,
  );
}
