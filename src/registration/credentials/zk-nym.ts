/**
 * A zk-nym, LP1's credential and that of the Nym network, is an opaque blob here (lp1.md §2.7, nym.md §8.3): whoever can
 * judge one implements `ZkNymVerifier`. The mock takes every blob and checks nothing, as the reference does in its own mock
 * mode: for trials only. A token of the network's upgrade mode has no verifier, and is refused.
 */
import type { RandomSource } from '../../lp/crypto/provider.ts';
import type { CredentialVerifier, Grant, Verdict } from './verifier.ts';

const ZK_NYM_KIND = 'zk-nym';
/** The blob is a claim: the zk-nym as it is on the wire, and a byte that says what the ticket is for (nym.md §8.2). */
export const NYM_ZK_NYM_KIND = 'nym-zk-nym';
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
export function withZkNym<Main extends CredentialVerifier>(main: Main, zkNym: ZkNymVerifier, kind = ZK_NYM_KIND): Main {
  return {
    ...main,
    verify: (credential, now) =>
      credential.kind === kind ? zkNym.verify(credential.token, now) : main.verify(credential, now),
  };
}
