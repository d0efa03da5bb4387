/**
 * What crosses between the main thread and the registrar's. Requests of one turn of the loop are one message, and so are
 * answers: their bodies in one byte string, which is transferred, so that secrets in them have one copy
 * (registration.md; design §2). Errors cross as plain values, because a thread boundary takes class and code from them.
 */
import type { ProviderChoice } from '../lp/crypto/load.ts';
import type { Alarm, AlarmPart } from './alarms.ts';
import type { IssuerPublicKey, PrivacyPassOptions } from './credentials/privacy-pass.ts';
import type { RegistrarOptions } from './options.ts';
import type { RegistrarFault, RegistrarStatus, RegistrationOutcome, RegistrationRequest } from './registrar.ts';

interface StoreBounds {
  readonly maxRegistrations: number;
  readonly maxTokens: number;
}

export type StoreChoice =
  | ({ readonly kind: 'memory' } & StoreBounds)
  /** `path`: absolute, a directory. */
  | ({ readonly kind: 'lmdb'; readonly path: string } & StoreBounds);

export type WireGuardChoice =
  | { readonly kind: 'memory' }
  | {
      readonly kind: 'uapi';
      readonly interfaceName: string;
      /** Default: where wireguard-go and boringtun put it. */
      readonly socketPath?: string;
      readonly listenPort: number;
      /** 32 bytes in a buffer of their own, which is transferred. */
      readonly privateKey: Uint8Array<ArrayBuffer>;
    };

export type CredentialChoice =
  | { readonly kind: 'none' }
  /** `zkNym`, `nym`: whether LP1's credentials and those of the Nym network are taken unchecked. */
  | ({
      readonly kind: 'privacy-pass';
      readonly zkNym: 'off' | 'mock';
      readonly nym: 'off' | 'mock';
    } & PrivacyPassOptions);

/** What a registrar's thread begins with. It comes as a message, not as worker data, which would stay there for ever. */
export interface RegistrarInit {
  readonly options: RegistrarOptions;
  readonly crypto: ProviderChoice;
  readonly store: StoreChoice;
  readonly wireguard: WireGuardChoice;
  readonly credentials: CredentialChoice;
}

export interface PackedRequest extends Omit<RegistrationRequest, 'body'> {
  readonly id: number;
  /** Of its body, which stands behind those of the requests before it. */
  readonly length: number;
}

export type PackedAnswer =
  | { readonly kind: 'answer'; readonly id: number; readonly length: number }
  | { readonly kind: 'failure'; readonly id: number; readonly code: 1 | 4; readonly text: string };

export type ToRegistrar =
  | { readonly kind: 'open'; readonly init: RegistrarInit }
  | { readonly kind: 'requests'; readonly requests: readonly PackedRequest[]; readonly bodies: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'sweep' }
  /** Asks for a snapshot: the sign of life. */
  | { readonly kind: 'tick' }
  | { readonly kind: 'keys'; readonly keys: readonly IssuerPublicKey[] }
  | { readonly kind: 'close' };

/** An error without its class: `code` is its own, or its name where it has none. */
export interface CrossedError {
  readonly code: string;
  readonly message: string;
}

export interface RegistrarSnapshot {
  readonly status: RegistrarStatus;
  /** `undefined` while the store cannot say, or does not count. */
  readonly stored: { readonly registrations: number; readonly tokens: number } | undefined;
  readonly alarms: readonly Alarm[];
  /** Issuer keys that are known; 0 where nothing is to be paid. */
  readonly issuerKeys: number;
}

/** What the operator should see. */
export type RegistrarEvent =
  | { readonly kind: 'alarm'; readonly alarm: Alarm }
  | { readonly kind: 'recovered'; readonly part: AlarmPart }
  | { readonly kind: 'fault'; readonly during: RegistrarFault['during']; readonly error: CrossedError }
  | { readonly kind: 'keysRefused'; readonly error: CrossedError }
  | { readonly kind: 'note'; readonly part: AlarmPart; readonly text: string };

export type FromRegistrar =
  | { readonly kind: 'opened'; readonly snapshot: RegistrarSnapshot }
  /** It cannot work like this: nothing is open, and the thread may end. */
  | { readonly kind: 'refused'; readonly error: CrossedError }
  | {
      readonly kind: 'answers';
      readonly answers: readonly PackedAnswer[];
      readonly bodies: Uint8Array<ArrayBuffer>;
      /** When nothing waits any more. */
      readonly snapshot?: RegistrarSnapshot;
    }
  | { readonly kind: 'swept'; readonly snapshot: RegistrarSnapshot }
  | { readonly kind: 'snapshot'; readonly snapshot: RegistrarSnapshot }
  | { readonly kind: 'event'; readonly event: RegistrarEvent }
  | { readonly kind: 'closed' };

export function packRequests(
  requests: readonly { readonly id: number; readonly request: RegistrationRequest }[],
): Extract<ToRegistrar, { kind: 'requests' }> {
  return {
    kind: 'requests',
    requests: requests.map(({ id, request: { body, source, family, quotesAllowed } }) => {
      return { id, length: body.length, source, family, quotesAllowed };
    }),
    bodies: concatenated(requests.map(({ request }) => request.body)),
  };
}

/** The bodies are views: who handles a request wipes its own. */
export function unpackRequests({ requests, bodies }: Extract<ToRegistrar, { kind: 'requests' }>): readonly {
  readonly id: number;
  readonly request: RegistrationRequest;
}[] {
  const body = cutter(bodies);
  return requests.map(({ id, length, ...rest }) => ({ id, request: { ...rest, body: body(length) } }));
}

export function packAnswers(
  answers: readonly { readonly id: number; readonly outcome: RegistrationOutcome }[],
): Pick<Extract<FromRegistrar, { kind: 'answers' }>, 'answers' | 'bodies'> {
  return {
    answers: answers.map(({ id, outcome }) =>
      outcome.kind === 'answer' ? { kind: 'answer', id, length: outcome.body.length } : { ...outcome, id },
    ),
    bodies: concatenated(answers.flatMap(({ outcome }) => (outcome.kind === 'answer' ? [outcome.body] : []))),
  };
}

/** The bodies are views. */
export function unpackAnswers({
  answers,
  bodies,
}: Pick<Extract<FromRegistrar, { kind: 'answers' }>, 'answers' | 'bodies'>): readonly {
  readonly id: number;
  readonly outcome: RegistrationOutcome;
}[] {
  const body = cutter(bodies);
  return answers.map((packed) => {
    if (packed.kind === 'answer') return { id: packed.id, outcome: { kind: 'answer', body: body(packed.length) } };
    const { id, code, text } = packed;
    return { id, outcome: { kind: 'failure', code, text } };
  });
}

/** What may be moved instead of copied. */
export function transferOf(message: ToRegistrar | FromRegistrar): readonly ArrayBuffer[] {
  if (message.kind === 'requests' || message.kind === 'answers') return [message.bodies.buffer];
  if (message.kind === 'open' && message.init.wireguard.kind === 'uapi') {
    return [message.init.wireguard.privateKey.buffer];
  }
  return [];
}

export function crossed(error: unknown): CrossedError {
  if (!(error instanceof Error)) return { code: 'unknown', message: String(error) };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  return { code, message: error.message };
}

/** With a buffer of its own, so that it can be transferred. */
function concatenated(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function cutter(whole: Uint8Array): (length: number) => Uint8Array {
  let at = 0;
  return (length) => {
    if (at + length > whole.length) throw new Error('assertion: a message between threads is as long as it says');
    at += length;
    return whole.subarray(at - length, at);
  };
}
