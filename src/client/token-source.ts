/**
 * Where a client gets the tokens that pay for registrations (registration.md, RFC 9578 §6): from an issuer over HTTP, or
 * from a file filled ahead (token-file.ts). Invariant: a token is handed out once, and only if its signature is good.
 */
import { sameBytes } from '../lp/wire/bytes.ts';
import { decodeTokenChallenge, type TokenChallenge } from '../lp/wire/privacy-pass.ts';
import { type Clock, systemClock } from '../system/clock.ts';
import { type FetchedDirectory, type IssuerRequests, issuerRequests } from './issuer-requests.ts';
import { TokenError } from './token-error.ts';

export interface TokenSource {
  /** A token for a challenge as in a gateway's `credential_required`; rejects with TokenError. It is worth money. */
  token(challenge: Uint8Array): Promise<Uint8Array>;
  /** Takes back a token that has surely not been spent; a client keeps what cannot be given back. */
  giveBack?(token: Uint8Array): Promise<void>;
}

export interface HttpTokenSourceOptions {
  /** `https://issuer.example`; plain HTTP on loopback only. */
  readonly issuerUrl: string;
  /** What the operator of the issuer gave out. */
  readonly accessKey?: string;
  /** Only challenges of this issuer are answered; any by default. */
  readonly issuerName?: string;
  readonly signal?: AbortSignal;
  /** For each exchange with the issuer; 10 s by default. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}

type PrivacyPass = typeof import('@cloudflare/privacypass-ts');

const TIMEOUT_MS = 10_000;
/** With the directory that is there, and after the issuer did not know its key, with a new one. */
const TRIES = 2;

/** Throws TokenError invalid_option. */
export function httpTokenSource(options: HttpTokenSourceOptions): TokenSource {
  const { issuerUrl, accessKey, issuerName, signal, timeoutMs = TIMEOUT_MS, clock = systemClock } = options;
  const requests = issuerRequests({ issuerUrl, accessKey, signal, timeoutMs });
  const directories = new DirectoryCache(requests, clock);

  return {
    async token(challenge) {
      checkChallenge(challenge, issuerName);
      if (signal?.aborted === true) throw new TokenError('aborted', 'aborted before asking the issuer', signal.reason);
      // Loaded when it is needed: few programs that use this package fetch tokens.
      const library = await import('@cloudflare/privacypass-ts');
      for (let tries = 0; tries < TRIES; tries++) {
        const directory = await directories.get();
        const token = await fetchToken(library, requests, directory, challenge, clock.now().unixMs / 1_000);
        if (token !== undefined) return token;
        directories.forget(directory);
      }
      throw new TokenError('issuer_refused', 'the issuer does not know its own key; tell its operator');
    },
  };
}

/** `undefined` when the issuer does not take the request with a key of this directory. */
async function fetchToken(
  library: PrivacyPass,
  requests: IssuerRequests,
  directory: FetchedDirectory,
  challenge: Uint8Array,
  now: number,
): Promise<Uint8Array | undefined> {
  const key = directory.keys.find(({ notBefore }) => notBefore === undefined || notBefore <= now);
  if (key === undefined) {
    throw new TokenError(
      'issuer_answer',
      'the issuer offers no key of token type 2 that is valid now; tell its operator',
    );
  }
  const { Client, BlindRSAMode } = library.publicVerif;
  const client = new Client(BlindRSAMode.PSS);
  const request = await createRequest(library, client, challenge, key.spki);
  const answer = await requests.issue(directory.requestUrl, request);
  if (answer.kind === 'unprocessable') return undefined;
  try {
    const token = await client.finalize(client.deserializeTokenResponse(answer.bytes));
    return token.serialize();
  } catch (cause) {
    throw new TokenError('issuer_answer', 'the signature of the issuer is wrong; tell its operator', cause);
  }
}

async function createRequest(
  library: PrivacyPass,
  client: InstanceType<PrivacyPass['publicVerif']['Client']>,
  challenge: Uint8Array,
  spki: Uint8Array,
): Promise<Uint8Array> {
  // The library reads from the start of the buffer below, hence the copy.
  const parsed = library.TokenChallenge.deserialize(Uint8Array.from(challenge));
  if (!sameBytes(parsed.serialize(), challenge)) throw unfit();
  try {
    return (await client.createTokenRequest(parsed, spki)).serialize();
  } catch (cause) {
    throw new TokenError('issuer_answer', 'the key of the issuer cannot be used; tell its operator', cause);
  }
}

function checkChallenge(challenge: Uint8Array, issuerName: string | undefined): TokenChallenge {
  const decoded = decodeTokenChallenge(challenge);
  if (decoded === undefined) throw unfit();
  if (issuerName === undefined || decoded.issuerName === issuerName) return decoded;
  throw new TokenError('challenge', 'the gateway asks for a token of another issuer; use a source for that one');
}

function unfit(): TokenError {
  return new TokenError('challenge', 'the challenge is none of token type 2; update this client or tell the gateway');
}

/** The issuer's directory for as long as it allows; requests side by side share one fetch. */
class DirectoryCache {
  readonly #requests: IssuerRequests;
  readonly #clock: Clock;
  #cached: { readonly directory: FetchedDirectory; readonly untilMs: number } | undefined;
  #fetching: Promise<FetchedDirectory> | undefined;

  constructor(requests: IssuerRequests, clock: Clock) {
    this.#requests = requests;
    this.#clock = clock;
  }

  async get(): Promise<FetchedDirectory> {
    if (this.#cached !== undefined && this.#clock.now().monotonicMs < this.#cached.untilMs) {
      return this.#cached.directory;
    }
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  /** Unless a newer one is there already. */
  forget(directory: FetchedDirectory): void {
    if (this.#cached?.directory === directory) this.#cached = undefined;
  }

  async #fetch(): Promise<FetchedDirectory> {
    const directory = await this.#requests.directory();
    this.#cached = { directory, untilMs: this.#clock.now().monotonicMs + directory.maxAge * 1_000 };
    return directory;
  }
}
