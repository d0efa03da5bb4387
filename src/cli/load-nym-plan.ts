/**
 * What the user asked `lewes load --protocol nym` for. What can be checked without the network is, whose node it is first of
 * all; then the node's announcement is fetched and verified, where it was not given by hand. The options that name a node
 * are the probe's. Throws UsageError; rejects with OperatorError or LewesError where the
 * announcement cannot be had or is of no use.
 */
import { LewesError, type NymNodeData, nymNodeFromAnnouncement } from '../client/index.ts';
import { NYM_OPERATIONS, type NymPlan } from '../load/plan.ts';
import type { CryptoProvider } from '../lp/crypto/provider.ts';
import { encodeBase58, parseKey } from '../ops/base58.ts';
import { formatSocketAddress, parseIp, parseSocketAddress } from '../ops/config/addresses.ts';
import { OperatorError } from '../ops/operator-error.ts';
import { UsageError } from './exit.ts';
import { checkOwner, type LoadFlags, scenarioOf, shapeOf, sourcesOf } from './load-shape.ts';
import { type NymHopPlan, nymHopOf } from './nym-probe-plan.ts';
import { mayBeElsewhere } from './nym-walk.ts';

export interface NymLoadTask {
  readonly plan: NymPlan;
  readonly maxErrorShare: number;
}

export interface NymLoadDependencies {
  readonly crypto: CryptoProvider;
  /** The user's interruption. */
  readonly signal: AbortSignal;
}

const NEVER_NYM: Readonly<Record<string, keyof LoadFlags>> = {
  '--via': 'via',
  '--sessions': 'sessions',
  '--keep-connections': 'keepConnections',
  '--token-file': 'tokenFile',
  '--issuer': 'issuer',
  '--access-key-file': 'accessKeyFile',
};

export async function planNymLoad(
  address: string,
  flags: LoadFlags,
  dependencies: NymLoadDependencies,
): Promise<NymLoadTask> {
  const place = placeOf(address);
  checkOwner([place], 'node', flags);
  refuseOtherFlags(flags);
  // Its registrations stop where they would cost something, so one word is as good as the other.
  const { scenario, mix } = scenarioOf(flags, NYM_OPERATIONS, 'handshake=50,initial=50', { register: 'initial' });
  const { facts, timeoutMs, maxInFlight, maxErrorShare } = shapeOf(flags);
  const sources = sourcesOf(flags, [place]);
  const hop = hopOf(address, flags);
  const pipelined = flags.pipelined === true;
  const node = await learn(hop, dependencies);
  const { identity, lpKey, kemDigest, source } = node;
  const plan: NymPlan = {
    facts: {
      target: formatSocketAddress(node.address),
      ...(identity !== undefined && { identity: encodeBase58(identity) }),
      protocol: 'nym',
      scenario,
      ...facts,
      sources,
      payloadBytes: 0,
      nym: {
        lpKey: encodeBase58(lpKey),
        kemDigest: `${kemDigest.hash}:${Buffer.from(kemDigest.digest).toString('hex')}`,
        source,
        pipelined,
      },
    },
    protocol: 'nym',
    node,
    pipelined,
    mix,
    timeoutMs,
    maxInFlight,
  };
  return { plan, maxErrorShare };
}

/** By its IP address: whose a name is may change between two looks. The announcement may say the port. */
function placeOf(address: string): { readonly host: string; readonly port: number | undefined } {
  const [, bracketed, plain] = /^(?:\[([^[\]]+)\]|([^:[\]]+))$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined) {
    const ip = parseIp(host, bracketed === undefined ? 4 : 6);
    if (ip.ok) return { host: ip.value, port: undefined };
    throw new UsageError(`the address ${JSON.stringify(address)} ${ip.error}`, ip.remedy ?? '');
  }
  const parsed = parseSocketAddress(address);
  if (parsed.ok) return parsed.value;
  throw new UsageError(`the address ${JSON.stringify(address)} ${parsed.error}`, parsed.remedy ?? '');
}

function refuseOtherFlags(flags: LoadFlags): void {
  const name = Object.entries(NEVER_NYM).find(([, key]) => flags[key] !== undefined)?.[0];
  if (name === undefined) return;
  throw new UsageError(
    `${name} does not go with --protocol nym: its load is of handshakes and Initials at one node, and nothing is paid or kept`,
    `leave ${name} out`,
  );
}

function hopOf(address: string, { identity, announcement, lpKey, kemDigest }: LoadFlags): NymHopPlan {
  return nymHopOf('direct', {
    command: 'load',
    address,
    identity: identity === undefined ? undefined : keyOf(identity),
    announcement,
    lpKey,
    kemDigest,
    credentialFile: undefined,
  });
}

function keyOf(text: string): Uint8Array {
  const parsed = parseKey(text);
  if (parsed.ok) return parsed.key;
  throw new UsageError(`the key of --identity ${parsed.reason}`, 'give 32 bytes in base58 or in 64 hex digits');
}

/** From the first place that has the announcement. */
async function learn({ address, identity, data }: NymHopPlan, dependencies: NymLoadDependencies): Promise<NymNodeData> {
  if (data.kind === 'given') return data.node;
  if (identity === undefined) throw new Error('assertion: an announcement is verified by an identity');
  let failure: LewesError | undefined;
  for (const from of data.from) {
    try {
      return await nymNodeFromAnnouncement({ from, identity, address, allowPrivate: true, ...dependencies });
    } catch (error) {
      if (!(error instanceof LewesError) || !mayBeElsewhere(error)) throw error;
      failure ??= error;
    }
  }
  const what = failure?.message ?? 'there is no place to look for the announcement';
  const remedy = 'name its place with --announcement, or give --lp-key and --kem-digest';
  throw new OperatorError('ERR_ANNOUNCEMENT', what, remedy, { cause: failure });
}
