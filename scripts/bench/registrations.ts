/**
 * Requests for registrations that are paid already: each with a name, an owner and a token of its own, minted before the clock
 * runs. They ride in the handshake, so that a registration takes no more packets than an echo.
 */
import { randomBytes } from 'node:crypto';
import { parseBlindKey } from '../../src/issuer/blind-key.ts';
import { encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { encodeTokenChallenge, PRIVACY_PASS } from '../../src/lp/wire/privacy-pass.ts';
import { encodeRequest } from '../../src/lp/wire/registration-body.ts';
import { encodeBase58 } from '../../src/ops/base58.ts';
import { mintToken } from '../../test/support/mint.ts';

export const ISSUER_NAME = 'issuer.example';

/** Frames of `count` registrations. */
export function paidRegistrations(issuerKey: string, identity: Uint8Array, count: number): Uint8Array[] {
  const key = parseBlindKey(Buffer.from(issuerKey));
  if (key === undefined) throw new Error('this is no issuer key');
  const challenge = encodeTokenChallenge({ issuerName: ISSUER_NAME, originInfo: encodeBase58(identity) });
  return Array.from({ length: count }, () => {
    const body = encodeRequest({
      op: 'register',
      enrolment: { mode: 'dvpn', wgPublicKey: random32(), presharedKey: random32() },
      owner: random32(),
      credential: { kind: PRIVACY_PASS, token: mintToken(key, challenge) },
    });
    return encodeFrame(KIND.registrationRequest, 1, body);
  });
}

function random32(): Uint8Array {
  return Uint8Array.from(randomBytes(32));
}
