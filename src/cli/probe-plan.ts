/** What the user asked `lewes probe` for, checked as a whole before anything is sent. Throws UsageError. */

import { forwardTarget, parseAddress, resolveKeys } from '../client/gateway-target.ts';
import { type GatewayOptions, type Hop, type KemName, LewesError } from '../client/index.ts';
import type { CryptoProvider } from '../lp/crypto/provider.ts';
import { parseKey } from '../ops/base58.ts';
import { UsageError } from './exit.ts';
import { type NymProbeFlags, type ProbeFlags, refuseNymFlags } from './probe-flags.ts';
import { timeoutOf } from './probe-timeout.ts';
import { type ProtocolVersion, protocolOf } from './protocol-option.ts';
import { wgQuickPaths } from './wg-quick.ts';

export interface GatewayPlan extends GatewayOptions {
  readonly address: string;
  readonly identity: Uint8Array;
  readonly protocol: ProtocolVersion;
}

export interface ProbePlan {
  readonly target: GatewayPlan;
  readonly via: GatewayPlan | undefined;
  /** For gateways that are spoken to in a version with KEM suites. */
  readonly kem: readonly KemName[] | undefined;
  readonly timeoutMs: number;
  /** Where the wg-quick files go, of the entry first; empty for none. */
  readonly wgQuickPaths: readonly string[];
}

const KEM_NAMES: readonly KemName[] = ['x-wing', 'ml-kem-768'];

export function planProbe(address: string, flags: ProbeFlags & NymProbeFlags, crypto: CryptoProvider): ProbePlan {
  refuseNymFlags(flags);
  const protocol = protocolOf(flags.protocol);
  const viaProtocol = viaProtocolOf(flags, protocol);
  checkKemFlags(flags, protocol, viaProtocol);
  checkRegisterFlags(flags);
  checkTokenFlags(flags, protocol, viaProtocol);
  const via = flags.via === undefined ? undefined : viaOf(flags.via, viaProtocol, crypto);
  const hop = via === undefined ? 'direct' : 'exit';
  if (flags.identity === undefined) {
    throw new UsageError(
      'probe needs the identity of the gateway',
      'give it with --identity; its operator publishes it, and on its machine "lewes status" shows it',
    );
  }
  const kemKeyHashes = flags.kemKeyHash.map((text) => keyOf(text, '--kem-key-hash'));
  const identity = keyOf(flags.identity, '--identity');
  const target = gatewayOf(
    { address, identity, protocol, ...(kemKeyHashes.length > 0 && { kemKeyHashes }) },
    hop,
    crypto,
  );
  const paths = flags.wgQuick === undefined ? [] : wgQuickPaths(flags.wgQuick, via === undefined ? 1 : 2);
  return { target, via, kem: kemOf(flags.kem), timeoutMs: timeoutOf(flags.timeout), wgQuickPaths: paths };
}

function checkRegisterFlags({ register, tokenFile, issuer, accessKeyFile, wgQuick }: ProbeFlags): void {
  if (register === true) return;
  const given = {
    '--token-file': tokenFile,
    '--issuer': issuer,
    '--access-key-file': accessKeyFile,
    '--wg-quick': wgQuick,
  };
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined)
      throw new UsageError(`${name} is for registering`, 'give --register as well, or leave it out');
  }
}

function viaProtocolOf({ via, viaProtocol }: ProbeFlags, protocol: ProtocolVersion): ProtocolVersion {
  if (viaProtocol === undefined) return protocol;
  if (via === undefined) throw new UsageError('--via-protocol is for an entry', 'name the entry with --via');
  return protocolOf(viaProtocol, '--via-protocol');
}

/** In LP1 a token has no place: none would be spent. */
function checkTokenFlags({ tokenFile, issuer }: ProbeFlags, protocol: ProtocolVersion, viaProtocol: ProtocolVersion) {
  if (protocol === 2 || viaProtocol === 2) return;
  const option = tokenFile === undefined ? '--issuer' : '--token-file';
  if (tokenFile === undefined && issuer === undefined) return;
  throw new UsageError(
    `${option} does not go with --protocol 1, which cannot carry tokens`,
    `leave ${option} out, or probe with --protocol 2`,
  );
}

/** LP1 has one key exchange, which is not post-quantum: a wish for a suite could not come true. */
function checkKemFlags({ via, kem, kemKeyHash }: ProbeFlags, protocol: ProtocolVersion, viaProtocol: ProtocolVersion) {
  const refuse = (option: string) => {
    throw new UsageError(
      `${option} does not go with --protocol 1, which has no KEM to choose and no KEM key to check`,
      `leave ${option} out, or probe with --protocol 2`,
    );
  };
  if (protocol === 2) return;
  if (kemKeyHash.length > 0) refuse('--kem-key-hash');
  if (kem.length > 0 && (via === undefined || viaProtocol === 1)) refuse('--kem');
}

function viaOf(text: string, protocol: ProtocolVersion, crypto: CryptoProvider): GatewayPlan {
  const cut = text.lastIndexOf('/');
  if (cut === -1) {
    throw new UsageError(
      `--via ${JSON.stringify(text)} has no key`,
      'give the entry as ADDR:PORT/KEY, IPv6 as [::1]:41264/KEY',
    );
  }
  const identity = keyOf(text.slice(cut + 1), '--via');
  return gatewayOf({ address: text.slice(0, cut), identity, protocol }, 'entry', crypto);
}

/** The client's own checks, made early and told as what they are here. */
function gatewayOf(gateway: GatewayPlan, hop: Hop, crypto: CryptoProvider): GatewayPlan {
  try {
    const address = parseAddress(gateway.address, hop);
    if (hop === 'exit') forwardTarget(gateway.identity, address, hop);
    resolveKeys(crypto, gateway.identity, gateway.kemKeyHashes ?? [], hop);
    return gateway;
  } catch (error) {
    if (!(error instanceof LewesError)) throw error;
    throw new UsageError(
      error.message,
      'addresses are ADDR:PORT, IPv6 as [::1]:41264; keys are base58 or 64 hex digits',
    );
  }
}

function keyOf(text: string, option: string): Uint8Array {
  const parsed = parseKey(text);
  if (parsed.ok) return parsed.key;
  throw new UsageError(
    `the key of ${option} ${parsed.reason}`,
    'give 32 bytes in base58 (as gateways show their identity) or in 64 hex digits',
  );
}

function kemOf(names: readonly string[]): readonly KemName[] | undefined {
  if (names.length === 0) return undefined;
  const known = names.map((name) => KEM_NAMES.find((kem) => kem === name));
  const suites = known.filter((name) => name !== undefined);
  if (suites.length === names.length) return [...new Set(suites)];
  const wrong = names[known.indexOf(undefined)];
  throw new UsageError(`there is no KEM suite ${JSON.stringify(wrong)}`, `give one of ${KEM_NAMES.join(', ')}`);
}
