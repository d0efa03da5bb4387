/**
 * What has to be known of a node before anything is sent to it (nym.md §3): its address, its LP key and the digest of its
 * ML-KEM-768 key; from a signed announcement, or given by hand. Nothing in the handshake proves the node's identity, so
 * this is where all trust comes from: what is not signed by the identity, or of no use, is refused here.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { NYM_HASH_ID, type NymHash } from '../../lp/crypto/nym-provider.ts';
import type { CryptoProvider } from '../../lp/crypto/provider.ts';
import { mayDial } from '../../lp/nym/address-policy.ts';
import {
  type AnnouncementFault,
  announcedDigest,
  type NymAnnouncement,
  readAnnouncement,
} from '../../lp/nym/announcement.ts';
import type { NymForwardTarget } from '../../lp/nym/forward.ts';
import type { KemDigest } from '../../lp/nym/kem-suite.ts';
import { type Hop, invalidOption, LewesError } from '../errors.ts';
import { type Address, parseAddress, parseIdentity } from '../gateway-target.ts';

const KEY_LENGTH = 32;

/** Where the keys came from: what a failed handshake most likely means depends on it. */
export type NymNodeSource = 'fetched' | 'stored' | 'given';

export interface NymNodeData {
  readonly address: Address;
  readonly lpKey: Uint8Array;
  readonly kemDigest: KemDigest;
  /** The node's Ed25519 key; `undefined` where nobody said it. */
  readonly identity: Uint8Array | undefined;
  readonly source: NymNodeSource;
  /** The port that the node announces, which may be another than the one that is dialled. */
  readonly announcedPort: number | undefined;
  /** Seconds by which the node's clock was ahead of this machine's, by the Date of its HTTP answer: a hint, unsigned. */
  readonly clockHintS: number | undefined;
  /** Addresses that are not this machine's or its network's alone; names are looked at when they are resolved. */
  readonly allowPrivate: boolean;
}

export interface NymNodeByHand {
  /** `host:port`, IPv6 as `[address]:port`. Of an exit: an IP address. */
  readonly address: string;
  /** X25519: base58, 64 hex digits or 32 bytes. */
  readonly lpKey: string | Uint8Array;
  /** 64 hex digits, BLAKE3 unless another hash stands before them (`sha256:…`), or 32 bytes of BLAKE3. */
  readonly kemDigest: string | Uint8Array;
  readonly identity?: string | Uint8Array;
}

/** A node of whose data the caller is sure. Throws `invalid_option`. */
export function nymNodeByHand(
  { address, lpKey, kemDigest, identity }: NymNodeByHand,
  hop: Hop = 'direct',
): NymNodeData {
  return {
    address: parseAddress(address, hop),
    lpKey: keyOf(lpKey, 'LP key', hop),
    kemDigest: digestOf(kemDigest, hop),
    identity: identity === undefined ? undefined : parseIdentity(identity, hop),
    source: 'given',
    announcedPort: undefined,
    clockHintS: undefined,
    allowPrivate: true,
  };
}

function keyOf(key: string | Uint8Array, name: string, hop: Hop): Uint8Array {
  try {
    return parseIdentity(key, hop);
  } catch (error) {
    if (!(error instanceof LewesError)) throw error;
    throw invalidOption(error.message.replace(/^.*the identity/, `the ${name}`), hop);
  }
}

function digestOf(digest: string | Uint8Array, hop: Hop): KemDigest {
  if (typeof digest !== 'string') {
    if (digest.length === KEY_LENGTH) return { hash: 'blake3', digest: Uint8Array.from(digest) };
    throw invalidOption(`the KEM digest has ${digest.length} bytes instead of 32`, hop);
  }
  const [, name = 'blake3', digits = ''] = /^(?:([a-z0-9]+):)?([0-9a-f]{64})$/i.exec(digest) ?? [];
  const hash = Object.keys(NYM_HASH_ID).find((each) => each === name.toLowerCase());
  if (digits !== '' && hash !== undefined) {
    return { hash: hash as NymHash, digest: Uint8Array.from(Buffer.from(digits, 'hex')) };
  }
  const known = Object.keys(NYM_HASH_ID).join(', ');
  throw invalidOption(`the KEM digest is not 64 hex digits, or HASH:digits with one of ${known}`, hop);
}

export interface NymAnnouncedNode {
  /** As the node serves it, or as a directory quotes it. */
  readonly document: string;
  readonly identity: Uint8Array;
  /** Without a port, that of the announcement is taken. */
  readonly host: string;
  readonly port: number | undefined;
  readonly source: NymNodeSource;
  readonly clockHintS: number | undefined;
  /** For networks of one's own. */
  readonly allowPrivate: boolean;
}

/** Throws LewesError `announcement` or `address`. */
export function nymNodeAnnounced(crypto: CryptoProvider, node: NymAnnouncedNode, hop: Hop = 'direct'): NymNodeData {
  const { document, identity, host, port, source, clockHintS, allowPrivate } = node;
  const read = readAnnouncement(crypto, document, identity);
  if (read.kind === 'refuse') throw announcementError(hop, read.reason, FAULTS[read.reason]);
  const { announcement } = read;
  const kemDigest = announcedDigest(announcement);
  if (kemDigest === undefined) throw announcementError(hop, 'kem', noKem(announcement));
  if (!announcement.enabled) {
    throw announcementError(
      hop,
      'disabled',
      'the node announces that its LP is off, as it is on nodes that are no entries',
    );
  }
  checkAddress(host, allowPrivate, hop);
  const address = { host, port: port ?? announcement.controlPort };
  const { x25519: lpKey, controlPort: announcedPort } = announcement;
  return { address, lpKey, kemDigest, identity, source, announcedPort, clockHintS, allowPrivate };
}

const FAULTS: Readonly<Record<AnnouncementFault, string>> = {
  too_long: 'the announcement is too long to be one; check the address or the file',
  not_json: 'the announcement is no JSON object; check the address or the file',
  malformed:
    'the announcement lacks what every node announces (nodes before 1.27.0 announce nothing of use); check address or file',
  signature:
    'the announcement is not signed by this identity: the identity is wrong, it is another node, or somebody changed it; do not use it',
};

function noKem({ kemKeys }: NymAnnouncement): string {
  const offers = kemKeys.size === 0 ? 'no KEM that is known here' : [...kemKeys.keys()].join(', ');
  return `the node announces ${offers}, but no mlkem768 key, without which no handshake can be made here`;
}

export function announcementError(hop: Hop, reason: string, message: string, cause?: unknown): LewesError {
  return new LewesError({ code: 'announcement', hop, step: 'announcement', reason, message, cause });
}

/** An address in a directory may be anybody's word. Names are checked by what they resolve to. */
function checkAddress(host: string, allowPrivate: boolean, hop: Hop): void {
  if (isIP(host) === 0 || mayDial(ipOf(host), { allowPrivate })) return;
  throw addressError(host, hop);
}

function addressError(host: string, hop: Hop): LewesError {
  const message = `${host} is a private or local address, which no announced node of a public network has; allow private addresses if the network is your own`;
  return new LewesError({ code: 'address', hop, step: 'announcement', reason: 'private', message });
}

function ipOf(host: string): Uint8Array {
  return Uint8Array.from(ipaddr.parse(host).toByteArray());
}

/** What is dialled: where private addresses are not allowed, a name becomes the address that was checked. */
export async function dialledAddress({ address, allowPrivate }: NymNodeData, hop: Hop): Promise<Address> {
  if (allowPrivate || isIP(address.host) !== 0) return address;
  const found = await lookup(address.host, { all: true }).catch((cause: unknown) => {
    const message = `no connection to ${address.host}: the name does not resolve; check it`;
    throw new LewesError({ code: 'connect_failed', hop, step: 'connect', reason: 'ENOTFOUND', message, cause });
  });
  const host = found.find((each) => mayDial(ipOf(each.address), { allowPrivate }))?.address;
  if (host === undefined) throw addressError(address.host, hop);
  return { host, port: address.port };
}

/** An exit as its entry is told of it. Throws `invalid_option`. */
export function forwardTargetOf({ address: { host, port } }: NymNodeData): NymForwardTarget {
  const family = isIP(host);
  if (family === 0) throw invalidOption(`an entry reaches an exit by its IP address, not by ${host}`, 'exit');
  const ip = ipaddr.process(host);
  return { family: ip.kind() === 'ipv4' ? 4 : 6, ip: Uint8Array.from(ip.toByteArray()), port };
}
