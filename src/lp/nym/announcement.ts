/**
 * A node's announcement (nym.md §3.2, §3.3): its LP key, ports and the digests of its KEM keys, in a block signed by the
 * node's Ed25519 identity. All trust in a node comes from here. Decoding is total and bounded; both spellings of the KEM
 * names are read, unknown fields and KEMs are passed over.
 */
import type { NymCrypto, NymHash } from '../crypto/nym-provider.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { ascii } from '../wire/bytes.ts';
import { keyFromBase58, keyToBase58 } from '../wire/key-text.ts';
import { jsonMembers } from './json-members.ts';
import { type KemDigest, NYM_HASHES, type NymKem } from './kem-suite.ts';
import { signatureFromBase58 } from './signature-text.ts';

export const MAX_ANNOUNCEMENT_LENGTH = 65_536;
const MAX_PORT = 65_535;
const DIGEST_HEX = /^[0-9a-f]{64}$/;
/** In the order in which upstream writes them. */
const HASH_ORDER: readonly NymHash[] = ['blake3', 'shake128', 'shake256', 'sha256'];

/** Names of KEMs: since release 2026.6, and of 2026.5. */
const SPELLINGS: readonly Readonly<Record<NymKem, string>>[] = [
  { mlkem768: 'mlkem768', mceliece: 'mceliece' },
  { mlkem768: 'ml_kem768', mceliece: 'mc_eliece' },
];
const KEMS: readonly NymKem[] = ['mlkem768', 'mceliece'];

export type KemDigests = Readonly<Record<NymHash, Uint8Array>>;

export interface NymAnnouncement {
  /** False on nodes that are no entries: they do not listen. */
  readonly enabled: boolean;
  readonly controlPort: number;
  readonly dataPort: number;
  /** The node's LP key. */
  readonly x25519: Uint8Array;
  readonly kemKeys: ReadonlyMap<NymKem, KemDigests>;
}

export type AnnouncementFault = 'too_long' | 'not_json' | 'malformed' | 'signature';

export type ReadAnnouncement =
  | { readonly kind: 'announcement'; readonly announcement: NymAnnouncement }
  | { readonly kind: 'refuse'; readonly reason: AnnouncementFault };

const refuse = (reason: AnnouncementFault): ReadAnnouncement => ({ kind: 'refuse', reason });

/**
 * A document as a node serves it (`data`) or as a directory quotes it (`content`). The signature is over the received text
 * of the block; where that was only laid out anew, over the text that upstream itself would write of the same values.
 */
export function readAnnouncement(crypto: CryptoProvider, document: string, identity: Uint8Array): ReadAnnouncement {
  if (document.length > MAX_ANNOUNCEMENT_LENGTH) return refuse('too_long');
  const members = jsonMembers(document);
  if (members === undefined) return refuse('not_json');
  const block = members.get('data') ?? members.get('content');
  const signatureText = members.get('signature');
  if (block === undefined || signatureText === undefined) return refuse('malformed');
  const signature: unknown = JSON.parse(signatureText);
  const announcement = announcementOf(JSON.parse(block));
  if (announcement === undefined || typeof signature !== 'string') return refuse('malformed');
  const bytes = signatureFromBase58(signature);
  if (bytes === undefined) return refuse('signature');
  const texts = [block, ...SPELLINGS.map((names) => blockText(announcement, names))];
  const encoder = new TextEncoder();
  const signed = texts.some((text) => crypto.ed25519Verify(identity, encoder.encode(text), bytes));
  return signed ? { kind: 'announcement', announcement } : refuse('signature');
}

/** The document of a node of one's own, as upstream writes it. */
export function writeAnnouncement(crypto: CryptoProvider, seed: Uint8Array, announcement: NymAnnouncement): string {
  const block = blockText(announcement, SPELLINGS[0] ?? { mlkem768: '', mceliece: '' });
  return `{"data":${block},"signature":"${keyToBase58(crypto.ed25519Sign(seed, ascii(block)))}"}`;
}

/** The four digests of a KEM key. */
export function digestsOf(crypto: NymCrypto, kemKey: Uint8Array): KemDigests {
  const digest = (hash: NymHash) => crypto.digest(hash, kemKey);
  return {
    blake3: digest('blake3'),
    shake128: digest('shake128'),
    shake256: digest('shake256'),
    sha256: digest('sha256'),
  };
}

/** What a handshake compares the node's KEM key with; `undefined` for a node that announces no ML-KEM-768 key. */
export function announcedDigest({ kemKeys }: NymAnnouncement, hash: NymHash = 'blake3'): KemDigest | undefined {
  const digests = kemKeys.get('mlkem768');
  return digests && { hash, digest: digests[hash] };
}

function blockText({ enabled, controlPort, dataPort, x25519, kemKeys }: NymAnnouncement, names: (typeof SPELLINGS)[0]) {
  const kems = KEMS.filter((kem) => kemKeys.has(kem)).map((kem) => {
    const digests = HASH_ORDER.map((hash) => `"${hash}":"${toHex(kemKeys.get(kem)?.[hash] ?? new Uint8Array(0))}"`);
    return `"${names[kem]}":{${digests.join(',')}}`;
  });
  const ports = `"control_port":${controlPort},"data_port":${dataPort}`;
  const key = `"x25519":"${keyToBase58(x25519)}"`;
  return `{"enabled":${enabled},${ports},${key},"kem_keys":{${kems.join(',')}}}`;
}

function announcementOf(value: unknown): NymAnnouncement | undefined {
  if (!isObject(value)) return undefined;
  const { enabled, control_port: controlPort, data_port: dataPort, x25519: keyText, kem_keys: kemKeys } = value;
  if (typeof enabled !== 'boolean' || !isPort(controlPort) || !isPort(dataPort)) return undefined;
  const x25519 = typeof keyText === 'string' ? keyFromBase58(keyText) : undefined;
  if (x25519 === undefined || !isObject(kemKeys)) return undefined;
  const read = new Map<NymKem, KemDigests>();
  for (const names of SPELLINGS) {
    for (const kem of KEMS) {
      if (!Object.hasOwn(kemKeys, names[kem])) continue;
      const digests = digestsFrom(kemKeys[names[kem]]);
      // One KEM under both of its names is two announcements.
      if (digests === undefined || read.has(kem)) return undefined;
      read.set(kem, digests);
    }
  }
  return { enabled, controlPort, dataPort, x25519, kemKeys: read };
}

function digestsFrom(value: unknown): KemDigests | undefined {
  if (!isObject(value)) return undefined;
  const read: Partial<Record<NymHash, Uint8Array>> = {};
  for (const hash of NYM_HASHES) {
    const text = value[hash];
    if (typeof text !== 'string' || !DIGEST_HEX.test(text)) return undefined;
    read[hash] = fromHex(text);
  }
  const { blake3, shake128, shake256, sha256 } = read;
  if (blake3 === undefined || shake128 === undefined || shake256 === undefined || sha256 === undefined)
    return undefined;
  return { blake3, shake128, shake256, sha256 };
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= MAX_PORT;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
