/**
 * The client as its user holds it: requests and answers over one gateway's link, which makes sessions and connections as
 * they are needed. A client at an exit holds the entry's client, too.
 */
import type { EventEmitter } from 'node:events';
import { type ApplicationFrame, decodeForwardResponse, encodeForward, KIND } from '../lp/wire/application-frame.ts';
import { MAX_PACKET_LENGTH, MIN_PACKET_LENGTH } from '../lp/wire/packet.ts';
import type { AnswerBody, RequestBody } from '../lp/wire/registration-body.ts';
import { type Counter, enrolPaid, topupPaid } from './enrol.ts';
import { aborted, type Hop, invalidOption, LewesError, type Step } from './errors.ts';
import { type ForwardStatusName, forwardStatusName, malformedAnswer } from './explain.ts';
import { forwardTarget, parseAddress, parseIdentity } from './gateway-target.ts';
import type { Link } from './link.ts';
import {
  encodeBody,
  openingBody,
  type PaidRequest,
  type RegisterRequest,
  readAnswer,
  type StandingRequest,
  standingBody,
} from './registration.ts';
import type { TokenSource } from './token-source.ts';

/** lp2.md §5: the gateway keeps answers, so the same id and body is safe to send again. */
const REGISTRATION_REPEATS_MS = [1_000, 2_000, 4_000];

export interface ClientEvents {
  /** A session was made: at first, and after one that was lost. */
  session: [];
  /** A session was lost; the next request makes a new one. */
  lost: [error: LewesError];
  rekeyed: [];
  /** The last event. `code` is `closed`, `aborted` or `session_lost`; `reason` is `gateway` if that one closed. */
  closed: [error: LewesError];
}

export interface RequestSettings {
  readonly signal?: AbortSignal;
  /** Milliseconds from the request's leaving to its answer. */
  readonly timeoutMs?: number;
}

export interface ForwardAnswer {
  readonly status: ForwardStatusName;
  /** What came back until then. */
  readonly packets: readonly Uint8Array[];
}

export interface TopupSettings extends RequestSettings {
  /** Default: that of the client. */
  readonly tokenSource?: TokenSource;
  /** As the gateway's challenges have it; needed where this source has not paid for a registration there. */
  readonly issuerName?: string;
}

export interface ClientParts {
  readonly link: Link;
  /** The gateway's. */
  readonly identity: Uint8Array;
  readonly events: EventEmitter<ClientEvents>;
  readonly requestTimeoutMs: number;
  readonly entry: Client | undefined;
  readonly ownsEntry: boolean;
}

/** Made by `connect`. Every promise of it rejects with a LewesError and with nothing else. */
export class Client implements AsyncDisposable {
  readonly events: EventEmitter<ClientEvents>;
  /** Resolves, and never rejects, when the client is closed, with what closed it. */
  readonly closed: Promise<LewesError>;
  /** The client of the entry, where this one reaches its gateway through one. */
  readonly entry: Client | undefined;
  /** The answer to the `register` of the options. */
  registration: AnswerBody | undefined;
  /** The answer to the `early` of the options. */
  early: ApplicationFrame | undefined;
  /** What `enrol` and `topup` pay with, if they are not told. */
  tokenSource: TokenSource | undefined;
  readonly #link: Link;
  readonly #identity: Uint8Array;
  readonly #requestTimeoutMs: number;
  readonly #ownsEntry: boolean;

  /** Not for users: see `connect`. */
  constructor(parts: ClientParts) {
    this.#link = parts.link;
    this.#identity = parts.identity;
    this.events = parts.events;
    this.entry = parts.entry;
    this.#requestTimeoutMs = parts.requestTimeoutMs;
    this.#ownsEntry = parts.ownsEntry;
    this.closed = new Promise((resolve) => parts.events.once('closed', resolve));
  }

  /** Not for users: what a client behind this one is built on. */
  static linkOf(client: Client): Link {
    return client.#link;
  }

  get hop(): Hop {
    return this.#link.hop;
  }

  /** Whether the protocol version that is spoken with this gateway has frames of this kind (see KIND) for a client to send. */
  offers(kind: number): boolean {
    return this.#link.traits.requestKinds.includes(kind);
  }

  /** Whether registrations can be read, topped up and released, or only made; the rest rejects with `refused`. */
  get managesRegistrations(): boolean {
    return this.#link.traits.managesRegistrations;
  }

  /** Requests without an answer so far. */
  get inFlight(): number {
    return this.#link.inFlight;
  }

  /** Sends bytes that the gateway sends back: liveness and measuring. At most 65,496 bytes. */
  async echo(bytes: Uint8Array, settings: RequestSettings = {}): Promise<Uint8Array> {
    const answer = await this.request(KIND.opaque, bytes, settings);
    if (answer.kind !== KIND.opaque) throw malformedAnswer(this.hop, 'request', 'it is no echo');
    return answer.body;
  }

  /** Registers, paying with the credential where the gateway asks for one: quote and finalise in one. */
  register(request: RegisterRequest, settings?: RequestSettings): Promise<AnswerBody> {
    return this.#register(openingBody('register', request), settings);
  }

  /**
   * Registers, and pays with a token of the source where the gateway asks for it: a quote, the token, `finalise`. Without a
   * source the answer may be `credential_required`. Repeated with the same request and source after an error, also with
   * another client, it sends the token that may have been lost again, so that nothing is paid twice. `payment_failed`: no
   * token was spent. A protocol version that only makes registrations carries no token: there it is `register`.
   */
  async enrol(
    request: RegisterRequest,
    tokenSource: TokenSource | undefined = this.tokenSource,
    settings: RequestSettings = {},
  ): Promise<AnswerBody> {
    if (request.credential !== undefined || !this.managesRegistrations) return this.register(request, settings);
    if (tokenSource === undefined) return this.quote(request, settings);
    return enrolPaid(this.#counter(settings), request, tokenSource, settings.signal);
  }

  /** Asks for a price, and holds addresses for 120 s; a gateway without a price registers at once. */
  quote(request: RegisterRequest, settings?: RequestSettings): Promise<AnswerBody> {
    return this.#register(openingBody('quote', request), settings);
  }

  finalise(request: PaidRequest, settings?: RequestSettings): Promise<AnswerBody> {
    return this.#register(standingBody('finalise', request), settings);
  }

  /** Buys bandwidth and lifetime, with the credential or, without one, with a token of the source, as `enrol` does. */
  async topup(request: PaidRequest, settings: TopupSettings = {}): Promise<AnswerBody> {
    const { tokenSource = this.tokenSource, issuerName, ...rest } = settings;
    const counter = this.#counter(rest);
    const alone = request.credential !== undefined || tokenSource === undefined || !this.managesRegistrations;
    if (alone) return counter.topup(request);
    return topupPaid(counter, request, tokenSource, issuerName, rest.signal);
  }

  balance(request: StandingRequest, settings?: RequestSettings): Promise<AnswerBody> {
    return this.#register(standingBody('balance', request), settings);
  }

  /** Ends the registration; what is left of it is forfeited. */
  release(request: StandingRequest, settings?: RequestSettings): Promise<AnswerBody> {
    return this.#register(standingBody('release', request), settings);
  }

  /**
   * Any application frame (lp2.md §5): `kind` 0 … 255 and a body of at most 65,496 bytes. Resolves with the frame that
   * answers its id; a Failure rejects with `refused`.
   */
  request(kind: number, body: Uint8Array, settings: RequestSettings = {}): Promise<ApplicationFrame> {
    if (!Number.isInteger(kind) || kind < 0 || kind > 255) {
      return Promise.reject(invalidOption('the kind of a frame is 0 … 255', this.hop));
    }
    const step = kind === KIND.registrationRequest ? 'registration' : kind === KIND.forward ? 'forward' : 'request';
    return this.#ask(kind, body, step, settings);
  }

  /**
   * Hands packets to a gateway that this one lists, and waits for so many packets in answer (0 … 255). Whatever the exchange
   * came to is a status, not an error. It is never repeated: on `connection_lost` nobody knows whether it was executed.
   */
  async forward(
    target: { readonly address?: string; readonly identity: string | Uint8Array },
    packets: readonly Uint8Array[],
    replies: number,
    settings: RequestSettings = {},
  ): Promise<ForwardAnswer> {
    if (packets.length === 0 || packets.some((packet) => !isPacketLength(packet.length))) {
      throw invalidOption(`a Forward has packets of ${MIN_PACKET_LENGTH} … ${MAX_PACKET_LENGTH} bytes`, this.hop);
    }
    if (!Number.isInteger(replies) || replies < 0 || replies > 255) {
      throw invalidOption('replies is 0 … 255', this.hop);
    }
    const address = target.address === undefined ? undefined : parseAddress(target.address, this.hop);
    const to = forwardTarget(parseIdentity(target.identity, this.hop), address, this.hop);
    const answer = await this.#ask(KIND.forward, encodeForward({ target: to, replies, packets }), 'forward', settings);
    const response = answer.kind === KIND.forwardResponse ? decodeForwardResponse(answer.body) : undefined;
    const status = response && forwardStatusName(response.status);
    if (response === undefined || status === undefined) {
      throw malformedAnswer(this.hop, 'forward', 'it is no ForwardResponse');
    }
    return { status, packets: response.packets };
  }

  /**
   * Makes fresh keys, with `kem` by a fresh ML-KEM exchange as well. Default: what the protocol version offers; one that has
   * no such exchange refuses to be asked for it. At most every 10 s: `rekey_refused` before.
   * Resolves when everything from then on is sealed with the new keys. One that is under way is joined, whatever its `kem`;
   * `signal` ends the waiting only.
   */
  rekey(settings: { readonly kem?: boolean; readonly signal?: AbortSignal } = {}): Promise<void> {
    const { kem, signal } = settings;
    if (signal?.aborted) return Promise.reject(aborted(this.hop, 'rekey', signal));
    return new Promise((resolve, reject) => {
      const abort = () => signal !== undefined && reject(aborted(this.hop, 'rekey', signal));
      signal?.addEventListener('abort', abort, { once: true });
      const rekeyed = this.#link.rekey(kem).finally(() => signal?.removeEventListener('abort', abort));
      rekeyed.then(resolve, reject);
    });
  }

  /** Frees the session at the gateway, fails what is unanswered, and ends the connection; of an own entry, too. */
  async close(): Promise<void> {
    const message = 'the client is closed';
    const error = new LewesError({ code: 'closed', hop: this.hop, step: 'request', message });
    await Promise.all([this.#link.close(error), this.#ownsEntry ? this.entry?.close() : undefined]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #counter(settings: RequestSettings): Counter {
    return {
      hop: this.hop,
      identity: this.#identity,
      quote: (request) => this.quote(request, settings),
      finalise: (request) => this.finalise(request, settings),
      topup: (request) => this.#register(standingBody('topup', request), settings),
    };
  }

  async #register(body: RequestBody, settings: RequestSettings = {}): Promise<AnswerBody> {
    const bytes = encodeBody(body, this.hop);
    const answer = this.#ask(KIND.registrationRequest, bytes, 'registration', settings);
    bytes.fill(0);
    return readAnswer(await answer, this.hop);
  }

  /** Copies the body before it returns. */
  #ask(kind: number, body: Uint8Array, step: Step, settings: RequestSettings): Promise<ApplicationFrame> {
    const { signal } = settings;
    if (signal?.aborted) return Promise.reject(aborted(this.hop, step, signal));
    const { forwardTimeoutMs: forwardMs, traits } = this.#link;
    const idempotent = traits.toleratesRepeats && (step === 'registration' || kind === KIND.opaque);
    return new Promise((resolve, reject) => {
      const abort = () => signal !== undefined && this.#link.cancel(id, aborted(this.hop, step, signal));
      const id = this.#link.submit({
        kind,
        body,
        step,
        timeoutMs: settings.timeoutMs ?? (step === 'forward' ? forwardMs : this.#requestTimeoutMs),
        repeatDelaysMs: idempotent && step === 'registration' ? REGISTRATION_REPEATS_MS : [],
        idempotent,
        settle: (result) => {
          signal?.removeEventListener('abort', abort);
          if (result.kind === 'answer') resolve(result.frame);
          else reject(result.error);
        },
      });
      if (id !== 0) signal?.addEventListener('abort', abort, { once: true });
    });
  }
}

function isPacketLength(length: number): boolean {
  return length >= MIN_PACKET_LENGTH && length <= MAX_PACKET_LENGTH;
}
