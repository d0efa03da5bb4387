/**
 * What a thread makes of its plan in the plan's protocol: scenarios, and the sessions that they keep. The rest of the thread
 * asks for no protocol.
 */
import { traitsOf } from '../lp/client-handshake.ts';
import { nymCrypto } from '../lp/crypto/nym-load.ts';
import type { CryptoProvider } from '../lp/crypto/provider.ts';
import { nymPeerOf } from './nym-peer.ts';
import {
  LEWES_OPERATIONS,
  type LewesPlan,
  type LoadPlan,
  type LoadTarget,
  NYM_OPERATIONS,
  type NymPlan,
  shareOf,
  type ThreadShare,
} from './plan.ts';
import type { OperationName } from './result.ts';
import { SCENARIOS } from './scenarios/index.ts';
import { NYM_SCENARIOS } from './scenarios/nym-index.ts';
import type { PoolName, Scenario } from './scenarios/scenario.ts';
import { SessionPool, type SessionPoolHooks } from './session-pool.ts';
import type { TokenStock } from './token-stock.ts';
import type { Peer, ThreadWorld, World } from './world.ts';

export interface ProtocolParts {
  readonly scenarios: ReadonlyMap<OperationName, Scenario>;
  readonly pools: readonly SessionPool[];
}

export interface PartsDependencies {
  readonly crypto: CryptoProvider;
  readonly world: ThreadWorld;
  readonly tokens: TokenStock;
  readonly poolHooks: SessionPoolHooks;
}

/** Nothing is sent yet. */
export function protocolParts(plan: LoadPlan, share: ThreadShare, dependencies: PartsDependencies): ProtocolParts {
  return plan.protocol === 'nym' ? nymParts(plan, dependencies) : lewesParts(plan, share, dependencies);
}

function nymParts({ mix, node, pipelined }: NymPlan, { crypto, world }: PartsDependencies): ProtocolParts {
  const context = { world: { ...world, crypto: nymCrypto(crypto), pipelined }, peer: nymPeerOf(node) };
  const wanted = NYM_OPERATIONS.filter((name) => (mix[name] ?? 0) > 0);
  return { scenarios: new Map(wanted.map((name) => [name, NYM_SCENARIOS[name](context)])), pools: [] };
}

function lewesParts(plan: LewesPlan, share: ThreadShare, dependencies: PartsDependencies): ProtocolParts {
  const { mix, target, via, sessions, facts } = plan;
  const { tokens, poolHooks } = dependencies;
  const world = lewesWorld(plan, dependencies);
  const peer = peerOf(world, target, false);
  const entry = via && peerOf(world, via, true);
  const { kind: loop } = facts.loop;
  const size = shareOf(facts.loop.kind === 'closed' ? facts.loop.clients : sessions, share);
  const payload = new Uint8Array(facts.payloadBytes);
  world.random.fill(payload);
  const pools = new Map<PoolName, SessionPool>();
  const poolOf = (name: PoolName) => {
    const gateway = name === 'entry' ? entry : peer;
    if (gateway === undefined) throw new Error('assertion: what goes through an entry has one');
    const pool = pools.get(name) ?? new SessionPool(world, gateway, size, poolHooks);
    pools.set(name, pool);
    return pool;
  };
  const scenarios = new Map<OperationName, Scenario>();
  for (const name of LEWES_OPERATIONS) {
    if ((mix[name] ?? 0) <= 0) continue;
    const { pool, create } = SCENARIOS[name];
    scenarios.set(name, create({ world, target: peer, pool: pool && poolOf(pool), loop, payload, tokens }));
  }
  return { scenarios, pools: [...pools.values()] };
}

function lewesWorld({ protocol, keepConnections }: LewesPlan, { crypto, world }: PartsDependencies): World {
  const traits = traitsOf(protocol);
  return { ...world, crypto, protocol, traits, oneShot: traits.onePacketPerConnection && !keepConnections };
}

function peerOf({ crypto, traits }: World, { host, port, identity }: LoadTarget, isEntry: boolean): Peer {
  const x25519 = crypto.x25519PublicOfEd25519(identity);
  if (x25519 === undefined) throw new Error('assertion: the identity of a gateway converts');
  return { host, port, identity, x25519, kem: traits.kemSuites[0], kemKey: undefined, isEntry };
}
