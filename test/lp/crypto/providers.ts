/** Both providers for tests that run against each, and small helpers for bytes. */

import { readFileSync } from 'node:fs';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { portableProvider } from '../../../src/lp/crypto/portable.ts';

export const native = await loadProvider('native');
export const portable = portableProvider;
export const PROVIDERS = [native, portable] as const;

export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const ascii = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));
export const concat = (...parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));

interface IdentityVector {
  readonly ed25519_public: string;
  readonly x25519_secret_unclamped: string;
  readonly x25519_public: string;
}

export interface SuiteVector {
  readonly kem_id: number;
  readonly kem_key_seed: string;
  readonly kem_public_key: string;
  readonly kem_public_key_b3: string;
  readonly encapsulation_coins_mlkem: string;
  readonly encapsulation_x25519_ephemeral_secret: string | null;
  readonly ciphertext: string;
  readonly ciphertext_b3: string;
  readonly ss: string;
  readonly kkt_response: {
    readonly body_after_public_key: string;
    readonly signed_message_prefix: string;
    readonly signed_message_b3: string;
    readonly signature: string;
  };
}

interface Vectors {
  readonly inputs: { readonly client_ed25519_seed: string; readonly gateway_ed25519_seed: string };
  readonly identity: { readonly client: IdentityVector; readonly gateway: IdentityVector };
  readonly primitives: {
    readonly b3_of_abc: string;
    readonly kdf_label_psk_of_abc: string;
    readonly kdf_context_of_label_psk: string;
  };
  readonly suites: { readonly xwing: SuiteVector; readonly mlkem768: SuiteVector };
}

export const VECTORS: Vectors = JSON.parse(
  readFileSync(new URL('../../vectors/lp2.json', import.meta.url), 'utf8'),
) as Vectors;
