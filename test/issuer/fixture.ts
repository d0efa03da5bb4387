/** An issuer in a temporary directory with few keys, and the client's half of RFC 9578 by the library. */
import { publicVerif, TokenChallenge } from '@cloudflare/privacypass-ts';
import type { ExecutionContext } from 'ava';
import { type BlindKey, generateBlindKey } from '../../src/issuer/blind-key.ts';
import { type IssueOutcome, type IssuerAccess, type IssuerServer, startIssuer } from '../../src/issuer/http.ts';
import { IssuerKeys } from '../../src/issuer/issuer-keys.ts';
import { encodeTokenChallenge } from '../../src/lp/wire/privacy-pass.ts';
import { tempDir } from '../ops/temp-dir.ts';

export const START = 1_800_000_000;
export const ISSUER_NAME = 'issuer.example';
export const GATEWAY = 'GhL8CN9Pjvx1Xr3SVbCfQmHMKtqJmdUDJNvcfY9Wi1pW';
export const CHALLENGE = encodeTokenChallenge({ issuerName: ISSUER_NAME, originInfo: GATEWAY });

const { BlindRSAMode, Client } = publicVerif;

/** Keys made once per test file, in turn; a key takes a tenth of a second. */
const pool: BlindKey[] = [];
export function pooledKeys(): () => Promise<BlindKey> {
  let next = 0;
  return async () => {
    while (pool.length <= next) {
      const key = await generateBlindKey();
      if (!pool.some(({ truncatedId }) => truncatedId === key.truncatedId)) pool.push(key);
    }
    return pool[next++]!;
  };
}

export interface ClientHalf {
  readonly request: Uint8Array;
  finish(response: Uint8Array): Promise<Uint8Array>;
}

export async function clientHalf(spki: Uint8Array, challenge: Uint8Array = CHALLENGE): Promise<ClientHalf> {
  const client = new Client(BlindRSAMode.PSS);
  const request = await client.createTokenRequest(TokenChallenge.deserialize(Uint8Array.from(challenge)), spki);
  return {
    request: request.serialize(),
    finish: async (response) => (await client.finalize(client.deserializeTokenResponse(response))).serialize(),
  };
}

export interface IssuerFixture {
  readonly keys: IssuerKeys;
  readonly server: IssuerServer;
  readonly outcomes: IssueOutcome[];
  readonly errors: Error[];
  /** Unix seconds. */
  now: number;
}

export async function startFixture(
  t: ExecutionContext,
  access: IssuerAccess = { kind: 'open' },
): Promise<IssuerFixture> {
  const keys = await IssuerKeys.open({ directory: tempDir(t), generate: pooledKeys() }, START);
  const outcomes: IssueOutcome[] = [];
  const errors: Error[] = [];
  const fixture = { keys, outcomes, errors, now: START };
  const server = await startIssuer(
    { host: '127.0.0.1', port: 0 },
    {
      keys,
      access,
      now: () => fixture.now,
      onOutcome: (outcome) => outcomes.push(outcome),
      onError: (error) => errors.push(error),
    },
  );
  t.teardown(() => server.close());
  return Object.assign(fixture, { server });
}
