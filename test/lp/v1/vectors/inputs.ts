/** The inputs of lp1.json as the two sides need them, and what every check compares with. */
import type { ExecutionContext } from 'ava';
import { writeLe64 } from '../../../../src/lp/wire/bytes.ts';
import { encodeFrames } from '../../../../src/lp/wire/framing.ts';
import { toHex, type VectorReader } from '../../../support/vectors.ts';

export function sameHex(t: ExecutionContext, actual: Uint8Array | undefined, v: VectorReader, path: string): void {
  t.is(actual && toHex(actual), v.text(path), path);
}

/** `BE32 length ‖ packet` is what the vectors call framed. */
export function sameFrame(t: ExecutionContext, packet: Uint8Array | undefined, v: VectorReader, path: string): void {
  sameHex(t, packet && encodeFrames('be32', [packet]), v, path);
}

export function packetOf(v: VectorReader, path: string): Uint8Array {
  return v.hex(path).slice(4);
}

export function identities(v: VectorReader) {
  return {
    clientSeed: v.hex('client_ed25519_seed'),
    clientEd25519: v.hex('client_ed25519_pub'),
    clientSecret: v.hex('client_x25519_priv_unclamped'),
    clientX25519: v.hex('client_x25519_pub'),
    gatewaySeed: v.hex('gateway_ed25519_seed'),
    gatewayEd25519: v.hex('gateway_ed25519_pub'),
    gatewaySecret: v.hex('gateway_x25519_priv_unclamped'),
    gatewayX25519: v.hex('gateway_x25519_pub'),
  };
}

export function psqTimeMs(v: VectorReader): number {
  return v.number('psq_ts_secs') * 1_000 + v.number('psq_ts_millis');
}

export function le64(value: number): Uint8Array {
  const out = new Uint8Array(8);
  writeLe64(out, 0, value);
  return out;
}
