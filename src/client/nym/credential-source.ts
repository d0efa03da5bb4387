/**
 * Where credentials come from: zk-nyms, which somebody else makes and which are opaque bytes here (nym.md §8.3). Invariant
 * kept by whoever asks: one is asked for only after a node has said that it wants one, and never a second one for the same
 * registration; a source is told what became of what it gave.
 */
import { readFile, stat } from 'node:fs/promises';
import { MAX_CLAIM_LENGTH, worthlessZkNym } from '../../lp/nym/bandwidth-claim.ts';
import { type Hop, LewesError } from '../errors.ts';

export interface NymCredentialRequest {
  readonly hop: Hop;
  /** V1WireguardEntry or V1WireguardExit. */
  readonly ticket: 'wireguard_entry' | 'wireguard_exit';
  /** The node's Ed25519 key, which a zk-nym names; `undefined` where the node's data was given by hand without it. */
  readonly identity: Uint8Array | undefined;
  /** Aborted when the credential has no use any more. */
  readonly signal: AbortSignal;
}

/**
 * `accepted`: spent. `unused`: never sent. `refused`: the node would not have it, whether or not it is worth something
 * elsewhere. `unknown`: sent, and no answer came.
 */
export type NymCredentialOutcome = 'accepted' | 'unused' | 'refused' | 'unknown';

export interface NymCredentialSource {
  /** CredentialSpendingData as it is on the wire. Copied; the array stays the source's. Rejections become `payment_failed`. */
  credential(request: NymCredentialRequest): Promise<Uint8Array>;
  /** Once for every credential that was given. Must not throw. */
  settled?(request: NymCredentialRequest, outcome: NymCredentialOutcome): void;
}

/** A credential that is worth nothing, for nodes that verify none. */
export function mockCredentialSource(): NymCredentialSource {
  return { credential: () => Promise.resolve(worthlessZkNym()) };
}

/** One credential per hop from files: bytes as they are on the wire, or their hex or base64 as text. Rejects with LewesError. */
export function fileCredentialSource(paths: Readonly<Partial<Record<Hop, string>>>): NymCredentialSource {
  return {
    async credential({ hop }) {
      const path = paths[hop];
      if (path === undefined) throw credentialError(hop, 'no_file', 'no file with a credential is named for it');
      return readCredential(path, hop);
    },
  };
}

/** Twice for hex, and some white space. */
const MAX_FILE_BYTES = 2 * MAX_CLAIM_LENGTH + 256;

async function readCredential(path: string, hop: Hop): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) throw credentialError(hop, 'file', `${path} is too long for a credential`);
    return decodeFile(await readFile(path));
  } catch (error) {
    if (error instanceof LewesError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw credentialError(hop, 'file', `the credential cannot be read (${why})`, error);
  }
}

function decodeFile(bytes: Buffer): Uint8Array {
  const text = bytes.toString('latin1').trim();
  if (/^(?:[0-9a-f]{2})+$/i.test(text)) return Uint8Array.from(Buffer.from(text, 'hex'));
  if (/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return Uint8Array.from(Buffer.from(text, 'base64'));
  return Uint8Array.from(bytes);
}

export function credentialError(hop: Hop, reason: string, message: string, cause?: unknown): LewesError {
  return new LewesError({ code: 'payment_failed', hop, step: 'credential', reason, message, cause });
}
