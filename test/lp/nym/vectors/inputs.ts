/**
 * The inputs of nym.json as the sides of a handshake need them, and a record of what the primitives were given: the vectors
 * have the exact inputs of every hash and key derivation.
 */
import type { NymCrypto } from '../../../../src/lp/crypto/nym-provider.ts';
import { NymChannel, type NymRole } from '../../../../src/lp/nym/channel.ts';
import { NymInitiator, type NymInitiatorOptions, type NymStep } from '../../../../src/lp/nym/initiator.ts';
import type { NymHop } from '../../../../src/lp/nym/peer-config.ts';
import { type NymNode, NymResponder, type NymResponderStep } from '../../../../src/lp/nym/responder.ts';
import { seededRandom } from '../../../support/seeded-random.ts';
import { toHex, type VectorReader } from '../../../support/vectors.ts';

export const NOW = { monotonicMs: 0, unixMs: 1_780_000_000_000 };
export const HOPS: readonly { readonly name: string; readonly path: string; readonly hop: NymHop }[] = [
  { name: 'client to entry', path: 'handshakes.0', hop: 'entry' },
  { name: 'client to exit', path: 'handshakes.1', hop: 'exit' },
];

export interface Recorded {
  readonly sha256: string[];
  readonly hkdf: { ikm: string; salt: string; info: string; out: string }[];
  readonly derived: { context: string; material: string; out: string }[];
  readonly sealed: string[];
}

/** The same primitives, which note what they are given. */
export function recording(crypto: NymCrypto): { crypto: NymCrypto; recorded: Recorded } {
  const recorded: Recorded = { sha256: [], hkdf: [], derived: [], sealed: [] };
  const { base } = crypto;
  const extracted = new WeakMap<Uint8Array, { ikm: string; salt: string }>();
  return {
    recorded,
    crypto: {
      ...crypto,
      base: {
        ...base,
        deriveKey(context, material) {
          const there = toHex(material);
          const out = base.deriveKey(context, material);
          recorded.derived.push({ context, material: there, out: toHex(out) });
          return out;
        },
        aeadSeal(out, plaintext, ...rest) {
          recorded.sealed.push(toHex(plaintext));
          base.aeadSeal(out, plaintext, ...rest);
        },
      },
      sha256(message) {
        recorded.sha256.push(toHex(message));
        return crypto.sha256(message);
      },
      hkdfExtract(salt, ikm) {
        const there = { ikm: toHex(ikm), salt: toHex(salt) };
        const out = crypto.hkdfExtract(salt, ikm);
        extracted.set(out, there);
        return out;
      },
      hkdfExpand(from, info, length) {
        const out = crypto.hkdfExpand(from, info, length);
        recorded.hkdf.push({ ...extracted.get(from)!, info: toHex(info), out: toHex(out) });
        return out;
      },
    },
  };
}

/** The node of a handshake, which draws its ephemeral and nothing else. */
function nodeOf(h: VectorReader, crypto: NymCrypto): NymNode {
  const kem = crypto.base.kems['ml-kem-768'].secretKeyFromSeed(h.hex('inputs.mlkem_key_seed_d_then_z'));
  return {
    crypto,
    random: seededRandom([h.hex('inputs.psq_responder_ephemeral_private_key')]),
    secret: h.hex('inputs.node_lp_private_key'),
    publicKey: h.hex('public_keys.node_lp_public_key'),
    kem,
  };
}

export function responderOf(h: VectorReader, crypto: NymCrypto): NymResponder {
  return new NymResponder(nodeOf(h, crypto), NOW);
}

/** What the reference draws for a client, in its order. */
function clientRandom(h: VectorReader) {
  const config = h.hex('inputs.peer_config');
  return seededRandom([
    config.subarray(4),
    config.subarray(1, 4),
    h.hex('inputs.kkt_ephemeral_private_key'),
    h.hex('inputs.psq_initiator_ephemeral_private_key'),
    h.hex('inputs.mlkem_encapsulation_randomness'),
  ]);
}

export function initiatorOf(
  h: VectorReader,
  crypto: NymCrypto,
  hop: NymHop,
  more: Partial<NymInitiatorOptions> = {},
): NymInitiator {
  const digest = h.hex('public_keys.mlkem_public_key_digests.blake3');
  return new NymInitiator({
    crypto,
    random: clientRandom(h),
    node: h.hex('public_keys.node_lp_public_key'),
    kemDigest: { hash: 'blake3', digest },
    hop,
    clientSecret: h.hex('inputs.client_lp_private_key'),
    ...more,
  });
}

/** A fresh end of the session of a handshake. */
export function channelOf(h: VectorReader, crypto: NymCrypto, role: NymRole): NymChannel {
  return new NymChannel(crypto, role, {
    index: h.number('session.receiver_index_number'),
    initiatorToResponder: h.hex('session.channel_key_i2r'),
    responderToInitiator: h.hex('session.channel_key_r2i'),
  });
}

export function sent(step: NymStep): string[] {
  return step.kind === 'send' ? step.messages.map(({ bytes }) => toHex(bytes)) : [step.kind];
}

export function replied(step: NymResponderStep): string {
  return step.kind === 'refuse' ? step.reason : toHex(step.message);
}

/** The bytes of a case: given, or made from a good message. */
export function caseBytes(c: VectorReader, good: Uint8Array): Uint8Array {
  if (c.has('message')) return c.hex('message');
  let bytes = good.slice();
  for (const [, change] of c.members('replace_bytes')) {
    const at = change.number('at');
    const replacement = change.hex('with');
    const grown = new Uint8Array(Math.max(bytes.length, at + replacement.length));
    grown.set(bytes);
    grown.set(replacement, at);
    bytes = grown;
  }
  return c.has('then_length') ? bytes.slice(0, c.number('then_length')) : bytes;
}

/** Passes over what the reference did: `required` is what counts. */
export function skipReference(c: VectorReader): void {
  for (const field of ['reference', 'note', 'reference_encodes_it_again_as', 'reference_answer']) {
    if (c.has(field)) c.skip(field);
  }
}
