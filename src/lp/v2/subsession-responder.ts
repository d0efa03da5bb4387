/**
 * The gateway's half of a subsession's handshake (lp2.md §6): reads KK1's Noise message, makes KK2. Nothing changes when
 * the reading fails, and no randomness is drawn.
 */
import type { DropReason } from '../drop-reason.ts';
import { KkResponder } from '../noise/kk.ts';
import type { ResponderContext } from '../responder-context.ts';
import { concat, writeLe32 } from '../wire/bytes.ts';
import {
  type SessionSecrets,
  sessionSecrets,
  subsessionPrologue,
  subsessionPsk,
  subsessionRoot,
} from './key-schedule.ts';
import type { Transport } from './transport.ts';

const FLAG_KEM_KEY = 1;

export type Kk1Response =
  | { readonly kind: 'drop'; readonly reason: DropReason }
  | {
      readonly kind: 'kk2';
      readonly newIndex: number;
      /** `n ‖ Noise message 2`. */
      readonly kk2Content: Uint8Array;
      /** The caller wipes them. */
      readonly secrets: SessionSecrets;
    };

const FAILED: Kk1Response = { kind: 'drop', reason: 'handshake_failed' };

export function respondToKk1(
  context: ResponderContext,
  parent: Transport,
  n: number,
  message: Uint8Array,
): Kk1Response {
  const { crypto, identity } = context;
  const psk = subsessionPsk(crypto, parent.chain, n);
  const keys = {
    staticSecret: identity.x25519Secret,
    initiatorStatic: parent.peerStatic,
    responderStatic: identity.x25519Public,
  };
  const noise = new KkResponder(crypto, subsessionPrologue(parent.index, n), keys, psk);
  psk.fill(0);
  const payload = noise.readMessage1(message);
  const response = payload === undefined ? FAILED : writeKk2(context, parent, n, noise, payload);
  noise.wipe();
  return response;
}

function writeKk2(
  context: ResponderContext,
  parent: Transport,
  n: number,
  noise: KkResponder,
  payload1: Uint8Array,
): Kk1Response {
  const { crypto, random } = context;
  const kem = crypto.kems['ml-kem-768'];
  const flags = payload1[0] ?? 0;
  const withKey = flags === FLAG_KEM_KEY;
  if (flags > FLAG_KEM_KEY || payload1.length !== 1 + (withKey ? kem.publicKeyLength : 0)) return FAILED;
  const publicKey = withKey ? kem.importPublicKey(payload1.subarray(1)) : undefined;
  if (withKey && publicKey === undefined) return FAILED;
  const newIndex = context.allocateIndex();
  if (newIndex === undefined) return { kind: 'drop', reason: 'indices_full' };
  const ephemeral = new Uint8Array(32);
  random.fill(ephemeral);
  const encapsulation = publicKey === undefined ? undefined : kem.encapsulate(publicKey, random);
  const index = new Uint8Array(4);
  writeLe32(index, 0, newIndex);
  const payload2 = encapsulation === undefined ? index : concat(index, encapsulation.ciphertext);
  const written = noise.writeMessage2(ephemeral, payload2);
  if (written === undefined) {
    encapsulation?.sharedSecret.fill(0);
    context.freeIndex(newIndex);
    return FAILED;
  }
  const root = subsessionRoot(crypto, written.chainingKey, written.handshakeHash, encapsulation?.sharedSecret);
  written.chainingKey.fill(0);
  encapsulation?.sharedSecret.fill(0);
  const secrets = sessionSecrets(crypto, root, parent.chain);
  const number = new Uint8Array(4);
  writeLe32(number, 0, n);
  return { kind: 'kk2', newIndex, kk2Content: concat(number, written.message), secrets };
}
