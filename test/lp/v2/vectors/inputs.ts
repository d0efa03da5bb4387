/**
 * The inputs of lp2.json as the sides of a handshake need them: identities, clocks, KEM keys, and a shard whose
 * randomness is dictated.
 */
import type { CryptoProvider, KemName } from '../../../../src/lp/crypto/provider.ts';
import { checkAnnouncement, encodeKemBody, type KemAnnouncement } from '../../../../src/lp/v2/kem-key.ts';
import { concat, writeLe32 } from '../../../../src/lp/wire/bytes.ts';
import { seededRandom } from '../../../support/seeded-random.ts';
import { ShardHarness } from '../../../support/shard-harness.ts';
import type { VectorReader } from '../../../support/vectors.ts';

export const SUITES: readonly { readonly suite: 'xwing' | 'mlkem768'; readonly kem: KemName }[] = [
  { suite: 'xwing', kem: 'x-wing' },
  { suite: 'mlkem768', kem: 'ml-kem-768' },
];

export function le32(value: number): Uint8Array {
  const out = new Uint8Array(4);
  writeLe32(out, 0, value);
  return out;
}

export function startTime(v: VectorReader) {
  return { monotonicMs: 0, unixMs: v.top().number('inputs.gateway_unix_ms') };
}

export interface Identities {
  readonly clientSeed: Uint8Array;
  readonly clientSecret: Uint8Array;
  readonly clientX25519: Uint8Array;
  readonly gatewaySeed: Uint8Array;
  readonly gatewaySecret: Uint8Array;
  readonly gatewayEd25519: Uint8Array;
  readonly gatewayX25519: Uint8Array;
}

export function identities(v: VectorReader): Identities {
  const top = v.top();
  return {
    clientSeed: top.hex('inputs.client_ed25519_seed'),
    clientSecret: top.hex('identity.client.x25519_secret_unclamped'),
    clientX25519: top.hex('identity.client.x25519_public'),
    gatewaySeed: top.hex('inputs.gateway_ed25519_seed'),
    gatewaySecret: top.hex('identity.gateway.x25519_secret_unclamped'),
    gatewayEd25519: top.hex('identity.gateway.ed25519_public'),
    gatewayX25519: top.hex('identity.gateway.x25519_public'),
  };
}

/** The gateway of the vectors: both KEM keys; it draws the given bytes in their order and no others. */
export function gatewayOf(v: VectorReader, crypto: CryptoProvider, draws: readonly Uint8Array[]) {
  const top = v.top();
  const random = seededRandom(draws);
  const gatewaySeed = top.hex('inputs.gateway_ed25519_seed');
  const unixMs = top.number('inputs.gateway_unix_ms');
  const harness = new ShardHarness({ crypto, random, gatewaySeed, unixMs });
  const from = top.number('inputs.kem_key_not_before_unix_s');
  const until = top.number('inputs.kem_key_not_after_unix_s');
  for (const { suite, kem } of SUITES) harness.addKemKey(kem, top.hex(`suites.${suite}.kem_key_seed`), from, until);
  return { harness, random };
}

/** What the gateway draws for H2. */
export function h2Draws(v: VectorReader): Uint8Array[] {
  return [le32(v.number('h2.session_index')), v.top().hex('inputs.noise_ephemeral_gateway')];
}

/** The announced key of a suite, as a client that has it in its cache. */
export function announcementOf(v: VectorReader, crypto: CryptoProvider, kem: KemName): KemAnnouncement {
  const top = v.top();
  const from = top.number('inputs.kem_key_not_before_unix_s');
  const body = encodeKemBody(v.hex('kem_public_key'), from, top.number('inputs.kem_key_not_after_unix_s'));
  const checked = checkAnnouncement(crypto, kem, body, v.hex('kkt_response.signature'), {
    gatewayEd25519: top.hex('identity.gateway.ed25519_public'),
    unixSeconds: from,
    pinnedHashes: [],
  });
  if (checked.kind === 'refuse') throw new Error(`the key of ${kem} is refused: ${checked.reason}`);
  return checked.announcement;
}

/** What the client's KEM draws when it encapsulates. */
export function coinsOf(v: VectorReader): Uint8Array {
  const mlkem = v.hex('encapsulation_coins_mlkem');
  const x25519 = 'encapsulation_x25519_ephemeral_secret';
  if (v.has(x25519)) return concat(mlkem, v.hex(x25519));
  v.skip(x25519);
  return mlkem;
}

/** What the client draws before its first packet. */
export function clientDraws(v: VectorReader): Uint8Array[] {
  return [le32(v.top().number('inputs.handshake_index')), v.top().hex('inputs.salt_random')];
}

/** The rekey of the vectors that is the first on its session, without or with ML-KEM. */
export function kk1Path(withKem: boolean): string {
  return withKem ? 'subsession.first_with_kem' : 'subsession.first';
}
