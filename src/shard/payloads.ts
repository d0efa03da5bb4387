/**
 * Bodies inside the seam's records: answers in the wire form of their frames, and KEM keys. Both sides are this program;
 * a body that does not decode is an assertion.
 */
import { KEM_ID, type KemName } from '../lp/crypto/provider.ts';
import type { ApplicationAnswer } from '../lp/session.ts';
import type { KemKeyMaterial } from '../lp/v2/kem-key.ts';
import { decodeFailure, decodeForwardResponse } from '../lp/wire/application-frame.ts';
import { concat, readLe16, writeLe16 } from '../lp/wire/bytes.ts';
import { ANSWER } from './messages.ts';

export function unpackAnswer(kind: number, body: Uint8Array): ApplicationAnswer {
  if (kind === ANSWER.registration) return { kind: 'registration', body };
  if (kind === ANSWER.index) return { kind: 'index', granted: body[0] === 1 };
  if (kind === ANSWER.forward) {
    const response = decodeForwardResponse(body);
    if (response !== undefined) return { kind: 'forward', response };
  }
  const failure = kind === ANSWER.failure ? decodeFailure(body) : undefined;
  if (failure === undefined) throw new Error(`an answer of kind ${kind} does not decode`);
  return { kind: 'failure', ...failure };
}

const SIGNATURE_LENGTH = 64;

/** KEM id ‖ LE16 seed length ‖ seed ‖ signature ‖ body. Holds a secret: whoever has it wipes it. */
export function packKemKey(material: KemKeyMaterial): Uint8Array {
  const head = new Uint8Array(3);
  head[0] = KEM_ID[material.kem];
  writeLe16(head, 1, material.seed.length);
  return concat(head, material.seed, material.signature, material.body);
}

export function unpackKemKey(bytes: Uint8Array): KemKeyMaterial {
  const kem = (Object.keys(KEM_ID) as KemName[]).find((name) => KEM_ID[name] === bytes[0]);
  if (kem === undefined) throw new Error(`a KEM key of suite ${bytes[0]} does not decode`);
  const seedEnd = 3 + readLe16(bytes, 1);
  return {
    kem,
    seed: bytes.slice(3, seedEnd),
    signature: bytes.slice(seedEnd, seedEnd + SIGNATURE_LENGTH),
    body: bytes.slice(seedEnd + SIGNATURE_LENGTH),
  };
}
