/**
 * Registration bodies (nym.md §8.2, §8.4): what a client asks in a frame of kind 1, and every answer a node has. Decoding
 * is total; byte strings of the result are views into the body. Times stay big integers: nobody computes with a time that
 * a peer has sent (§15 B29).
 */
import { keyFromBase58, keyFromBase64, keyToBase58, keyToBase64 } from '../wire/key-text.ts';
import { type BandwidthClaim, MAX_CLAIM_LENGTH, readClaim } from './bandwidth-claim.ts';
import { decodeVarBincode, type VarBincodeReader, VarBincodeWriter } from './bincode.ts';

const KEY_LENGTH = 32;
const KEY_TEXT_LENGTH = 44;
/** Texts of the reference carry those of its own errors; nothing bounds them there. */
const MAX_TEXT_LENGTH = 1_024;
const MAX_PORT = 65_535;
/** Above a claim's limit nothing is a registration body, so nothing more is looked at. */
export const MAX_REGISTRATION_BODY = MAX_CLAIM_LENGTH + 32;

const MODE = { dvpn: 0, mixnet: 1 } as const;

/** §8.5: how far a request's time may be from the node's clock. */
const CLOCK_TOLERANCE_S = 30;

export type NymRegistrationRequest =
  | {
      readonly kind: 'initial';
      readonly wgPublicKey: Uint8Array;
      readonly presharedKey: Uint8Array;
      /** Unix seconds, any of 64 bits. */
      readonly time: bigint;
    }
  | { readonly kind: 'finalise'; readonly claim: BandwidthClaim; readonly time: bigint }
  /** `clientId`: an Ed25519 key. */
  | { readonly kind: 'mixnet'; readonly clientId: Uint8Array; readonly time: bigint };

export type NymRegistrationStatus = 'completed' | 'failed' | 'pending';

export interface NymTunnel {
  /** The node's WireGuard key and UDP port; the host is the one that was dialled. */
  readonly wgPublicKey: Uint8Array;
  readonly port: number;
  readonly ipv4: Uint8Array;
  readonly ipv6: Uint8Array;
  readonly upgradeMode: boolean;
}

/** The content decides; the status byte before it says the same again, and is judged by nobody (§8.4). */
export type NymRegistrationResponse =
  | { readonly kind: 'credential_required' }
  | { readonly kind: 'completed'; readonly tunnel: NymTunnel }
  | { readonly kind: 'failed'; readonly mode: 'dvpn' | 'mixnet'; readonly text: string }
  | { readonly kind: 'completed_mixnet'; readonly key: Uint8Array };

/** Before the text of any other error (§8.5); clients may show it, and match nothing in it. */
const FAILURE_PREFIX = 'LP registration has failed: ';

export function nymFailureText(reason: string): string {
  return `${FAILURE_PREFIX}${reason}`;
}

/** Texts by which clients know a refusal (§8.5): there are no codes. */
export const NYM_FAILURE_TEXT = {
  timestamp: 'invalid timestamp',
  mixnet: 'mixnet registration is not yet supported',
  noDvpn: 'dVPN via LP is not enabled on this node',
  notInProgress: nymFailureText('registration is not in progress for the provided peer key'),
  /** This gateway's own: the reference has no bound here. */
  tryLater: nymFailureText('try again later'),
} as const;

function key32(bytes: Uint8Array): Uint8Array {
  if (bytes.length !== KEY_LENGTH) throw new Error('assertion: keys have 32 bytes');
  return bytes;
}

/** The bytes hold secrets (the preshared key, a credential): the caller wipes them when they are sealed. */
export function encodeNymRequest(
  request:
    | Exclude<NymRegistrationRequest, { kind: 'finalise' }>
    | { readonly kind: 'finalise'; readonly claim: Pick<BandwidthClaim, 'bytes'>; readonly time: bigint },
): Uint8Array {
  const writer = new VarBincodeWriter();
  switch (request.kind) {
    case 'initial':
      writer
        .u8(MODE.dvpn)
        .u8(0)
        .text(keyToBase64(key32(request.wgPublicKey)))
        .fixed(key32(request.presharedKey));
      break;
    case 'finalise':
      writer.u8(MODE.dvpn).u8(1).fixed(request.claim.bytes);
      break;
    case 'mixnet':
      writer.u8(MODE.mixnet).byteString(key32(request.clientId));
      break;
  }
  return writer.u64(request.time).finish();
}

export function decodeNymRequest(body: Uint8Array): NymRegistrationRequest | undefined {
  if (body.length > MAX_REGISTRATION_BODY) return undefined;
  return decodeVarBincode(body, (reader): NymRegistrationRequest => {
    if (reader.variant(2) === MODE.mixnet) {
      const clientId = readKey(reader);
      return { kind: 'mixnet', clientId, time: reader.u64() };
    }
    if (reader.variant(2) === 1) {
      const claim = readClaim(reader);
      return { kind: 'finalise', claim, time: reader.u64() };
    }
    const wgPublicKey = readKeyText(reader, keyFromBase64);
    const presharedKey = reader.fixed(KEY_LENGTH);
    return { kind: 'initial', wgPublicKey, presharedKey, time: reader.u64() };
  });
}

/** A node whose clock is at `unixMs` takes a request of this time. */
export function isTimely(time: bigint, unixMs: number): boolean {
  // Above this no clock is near it, and below it a number is exact.
  if (time > BigInt(Number.MAX_SAFE_INTEGER)) return false;
  return Math.abs(Math.floor(unixMs / 1_000) - Number(time)) <= CLOCK_TOLERANCE_S;
}

const STATUS: Readonly<Record<NymRegistrationStatus, number>> = { completed: 0, failed: 1, pending: 2 };

export function encodeNymResponse(response: NymRegistrationResponse): Uint8Array {
  const writer = new VarBincodeWriter();
  switch (response.kind) {
    case 'credential_required':
      return writer.u8(STATUS.pending).u8(MODE.dvpn).u8(0).finish();
    case 'completed': {
      const { wgPublicKey, port, ipv4, ipv6, upgradeMode } = response.tunnel;
      writer
        .u8(STATUS.completed)
        .u8(MODE.dvpn)
        .u8(1)
        .text(keyToBase58(key32(wgPublicKey)))
        .u64(port);
      return writer.fixed(ipv4).fixed(ipv6).bool(upgradeMode).finish();
    }
    case 'failed':
      return response.mode === 'dvpn'
        ? writer.u8(STATUS.failed).u8(MODE.dvpn).u8(2).text(response.text).finish()
        : writer.u8(STATUS.failed).u8(MODE.mixnet).u8(1).text(response.text).finish();
    case 'completed_mixnet':
      return writer.u8(STATUS.completed).u8(MODE.mixnet).u8(0).byteString(key32(response.key)).finish();
  }
}

export function decodeNymResponse(body: Uint8Array): NymRegistrationResponse | undefined {
  return decodeVarBincode(body, (reader): NymRegistrationResponse => {
    reader.variant(3);
    if (reader.variant(2) === MODE.mixnet) {
      if (reader.variant(2) === 0) return { kind: 'completed_mixnet', key: readKey(reader) };
      return { kind: 'failed', mode: 'mixnet', text: reader.text(MAX_TEXT_LENGTH) };
    }
    switch (reader.variant(3)) {
      case 0:
        return { kind: 'credential_required' };
      case 1:
        return { kind: 'completed', tunnel: readTunnel(reader) };
      default:
        return { kind: 'failed', mode: 'dvpn', text: reader.text(MAX_TEXT_LENGTH) };
    }
  });
}

function readTunnel(reader: VarBincodeReader): NymTunnel {
  return {
    wgPublicKey: readKeyText(reader, keyFromBase58),
    port: reader.integer(MAX_PORT),
    ipv4: reader.fixed(4),
    ipv6: reader.fixed(16),
    upgradeMode: reader.bool(),
  };
}

function readKey(reader: VarBincodeReader): Uint8Array {
  const key = reader.byteString(KEY_LENGTH);
  if (key.length !== KEY_LENGTH) reader.fail();
  return key;
}

function readKeyText(reader: VarBincodeReader, decode: (text: string) => Uint8Array | undefined): Uint8Array {
  const key = decode(reader.text(KEY_TEXT_LENGTH));
  if (key === undefined) reader.fail();
  return key ?? new Uint8Array(0);
}
