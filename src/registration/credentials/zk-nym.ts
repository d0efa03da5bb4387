/**
 * LP1's credential, a zk-nym, is an opaque blob here (lp1.md §2.7): whoever can judge one implements `ZkNymVerifier`. The
 * mock takes every blob and checks nothing, as the reference does in its own mock mode: for trials with LP1 clients only.
 */
import type { RandomSource } from '../../lp/crypto/provider.ts';
import type { CredentialVerifier, Grant, Verdict } from './verifier.ts';

const ZK_NYM_KIND = 'zk-nym';
const TOKEN_ID_LENGTH = 32;
/** Nothing was spent, so there is nothing to remember for long. */
const KEEP_S = 60;

export interface ZkNymVerifier {
  /** A hostile blob is a refusal, never a rejection. `now` is in unix seconds. */
  verify(blob: Uint8Array, now: number): Promise<Verdict>;
}

export function createMockZkNym(grant: Grant, random: RandomSource): ZkNymVerifier {
  return {
    async verify(_blob, now) {
      // Clients without a credential of their own all send the same blob, which must not count as spent.
      const tokenId = new Uint8Array(TOKEN_ID_LENGTH);
      random.fill(tokenId);
      return { kind: 'accepted', tokenId, keepUntil: now + KEEP_S, grant };
    },
  };
}

/** `main` sets the price and judges all other kinds. */
export function withZkNym<Main extends CredentialVerifier>(main: Main, zkNym: ZkNymVerifier): Main {
  return {
    ...main,
    verify: (credential, now) =>
      credential.kind === ZK_NYM_KIND ? zkNym.verify(credential.token, now) : main.verify(credential, now),
  };
}
