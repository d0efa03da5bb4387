/** What the user asked `lewes probe --protocol nym` for, checked as a whole before anything is sent. Throws UsageError. */

import { parseAddress } from '../client/gateway-target.ts';
import { LewesError, NYM_ANNOUNCEMENT_PATH, NYM_HTTP_PORT, type NymNodeData, nymNodeByHand } from '../client/index.ts';
import { parseKey } from '../ops/base58.ts';
import { UsageError } from './exit.ts';
import { NYM_FLAGS, type NymProbeFlags, type ProbeFlags } from './probe-flags.ts';
import { timeoutOf } from './probe-timeout.ts';
import { wgQuickPaths } from './wg-quick.ts';

export interface NymHopPlan {
  readonly hop: 'direct' | 'entry' | 'exit';
  /** As it was typed; the port may be missing where an announcement says it. */
  readonly address: string;
  readonly identity: Uint8Array | undefined;
  readonly data: /** The first place that has an announcement is taken. */
    | { readonly kind: 'announced'; readonly from: readonly string[] }
    | { readonly kind: 'given'; readonly node: NymNodeData };
  readonly credentialFile: string | undefined;
}

export interface NymProbePlan {
  readonly target: NymHopPlan;
  readonly via: NymHopPlan | undefined;
  readonly extent: 'handshake' | 'initial' | 'finalise';
  readonly mockCredential: boolean;
  readonly timeoutMs: number;
  /** Of the entry first; empty for none. */
  readonly wgQuickPaths: readonly string[];
}

const NEVER_NYM: Readonly<Record<string, keyof ProbeFlags>> = {
  '--rekey': 'rekey',
  '--token-file': 'tokenFile',
  '--issuer': 'issuer',
  '--access-key-file': 'accessKeyFile',
  '--via-protocol': 'viaProtocol',
  '--keep-connections': 'keepConnections',
};

export function planNymProbe(address: string, flags: ProbeFlags & NymProbeFlags): NymProbePlan {
  refuseOtherFlags(flags);
  checkPayment(flags);
  const { via, register, handshakeOnly } = flags;
  const entry = via === undefined ? undefined : entryOf(via, flags);
  const target = nymHopOf(entry === undefined ? 'direct' : 'exit', {
    command: 'probe',
    address,
    identity: flags.identity === undefined ? undefined : keyOf(flags.identity, '--identity'),
    announcement: flags.announcement,
    lpKey: flags.lpKey,
    kemDigest: flags.kemDigest,
    credentialFile: flags.credentialFile,
  });
  return {
    target,
    via: entry,
    extent: register === true ? 'finalise' : handshakeOnly === true ? 'handshake' : 'initial',
    mockCredential: flags.mockCredential === true,
    timeoutMs: timeoutOf(flags.timeout),
    wgQuickPaths: flags.wgQuick === undefined ? [] : wgQuickPaths(flags.wgQuick, entry === undefined ? 1 : 2),
  };
}

function refuseOtherFlags(flags: ProbeFlags & NymProbeFlags): void {
  const given = Object.entries(NEVER_NYM).find(([, key]) => flags[key] !== undefined)?.[0];
  const lists = flags.kem.length > 0 ? '--kem' : flags.kemKeyHash.length > 0 ? '--kem-key-hash' : undefined;
  const name = given ?? lists;
  if (name !== undefined) {
    throw new UsageError(`${name} does not go with --protocol nym, which has no such thing`, `leave ${name} out`);
  }
  if (flags.via !== undefined) return;
  for (const [option, key] of Object.entries(NYM_FLAGS)) {
    if (option.startsWith('--via-') && flags[key] !== undefined) {
      throw new UsageError(`${option} is for an entry`, 'name the entry with --via');
    }
  }
}

/** A credential is money: it takes two words to spend it. */
function checkPayment(flags: ProbeFlags & NymProbeFlags): void {
  const { register, handshakeOnly, credentialFile, viaCredentialFile, mockCredential, via, wgQuick } = flags;
  const files = credentialFile !== undefined || viaCredentialFile !== undefined;
  if (register !== true) {
    if (files || mockCredential === true || wgQuick !== undefined) {
      const name = files ? '--credential-file' : mockCredential === true ? '--mock-credential' : '--wg-quick';
      throw new UsageError(
        `${name} is for registering, which spends a credential`,
        'give --register as well, or leave it out',
      );
    }
    return;
  }
  if (handshakeOnly === true)
    throw new UsageError('--register and --handshake-only exclude each other', 'leave one out');
  if (files && mockCredential === true)
    throw new UsageError('a credential is either mock or from a file', 'leave one out');
  const complete = credentialFile !== undefined && (via === undefined || viaCredentialFile !== undefined);
  if (complete || mockCredential === true) return;
  throw new UsageError(
    'with --protocol nym, --register spends a credential at every node',
    `give --credential-file${via === undefined ? '' : ' and --via-credential-file'}, or --mock-credential for nodes that check none; without --register, everything up to the payment is tried`,
  );
}

export interface NymHopFlags {
  /** For errors. */
  readonly command: 'probe' | 'load';
  readonly address: string;
  readonly identity: Uint8Array | undefined;
  readonly announcement: string | undefined;
  readonly lpKey: string | undefined;
  readonly kemDigest: string | undefined;
  readonly credentialFile: string | undefined;
}

function entryOf(via: string, flags: NymProbeFlags): NymHopPlan {
  const cut = via.lastIndexOf('/');
  return nymHopOf('entry', {
    command: 'probe',
    address: cut === -1 ? via : via.slice(0, cut),
    identity: cut === -1 ? undefined : keyOf(via.slice(cut + 1), '--via'),
    announcement: flags.viaAnnouncement,
    lpKey: flags.viaLpKey,
    kemDigest: flags.viaKemDigest,
    credentialFile: flags.viaCredentialFile,
  });
}

/** Throws UsageError. */
export function nymHopOf(hop: NymHopPlan['hop'], flags: NymHopFlags): NymHopPlan {
  const { address, identity, credentialFile } = flags;
  return { hop, address, identity, credentialFile, data: told(() => dataOf(hop, flags)) };
}

function dataOf(hop: NymHopPlan['hop'], flags: NymHopFlags): NymHopPlan['data'] {
  const { command, address, identity, announcement, lpKey, kemDigest } = flags;
  const prefix = hop === 'entry' ? '--via-' : '--';
  if (lpKey !== undefined || kemDigest !== undefined) {
    if (lpKey === undefined || kemDigest === undefined || announcement !== undefined) {
      throw new UsageError(
        `${prefix}lp-key and ${prefix}kem-digest are what an announcement says`,
        `give both of them, or ${prefix}announcement, or none of the three`,
      );
    }
    const node = { address, lpKey, kemDigest, ...(identity !== undefined && { identity }) };
    return { kind: 'given', node: nymNodeByHand(node, hop) };
  }
  if (identity === undefined) {
    throw new UsageError(
      `${command} needs to know the ${hop === 'entry' ? 'entry' : 'node'} by something`,
      `give its Ed25519 identity with ${hop === 'entry' ? '--via ADDR:PORT/KEY' : '--identity'} (its announcement is then fetched and verified), or ${prefix}lp-key and ${prefix}kem-digest`,
    );
  }
  return { kind: 'announced', from: announcement === undefined ? usualPlaces(address, hop) : [announcement] };
}

/** Where nym-nodes and what stands before them serve it. */
function usualPlaces(address: string, hop: NymHopPlan['hop']): readonly string[] {
  const bare = /^[^:[\]]+$|^\[[^\]]+\]$/.test(address);
  const { host } = parseAddress(bare ? `${address}:1` : address, hop);
  const name = host.includes(':') ? `[${host}]` : host;
  const bases = [`http://${name}:${NYM_HTTP_PORT}`, `https://${name}`, `http://${name}`];
  return bases.map((base) => `${base}${NYM_ANNOUNCEMENT_PATH}`);
}

/** The client's own checks, made early and told as what they are here. */
function told<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof LewesError)) throw error;
    throw new UsageError(
      error.message,
      'addresses are ADDR:PORT, IPv6 as [::1]:41264; keys are base58 or 64 hex digits, digests 64 hex digits',
    );
  }
}

function keyOf(text: string, option: string): Uint8Array {
  const parsed = parseKey(text);
  if (parsed.ok) return parsed.key;
  throw new UsageError(`the key of ${option} ${parsed.reason}`, 'give 32 bytes in base58 or in 64 hex digits');
}
