/** Plans of loads against a node of a test. */
import type { NymNodeData } from '../../src/client/index.ts';
import type { Mix, NymPlan } from '../../src/load/plan.ts';
import type { LoadPlanFacts } from '../../src/load/result.ts';
import { encodeBase58 } from '../../src/ops/base58.ts';

export interface NymPlanChanges extends Partial<Omit<NymPlan, 'facts' | 'mix'>> {
  readonly facts?: Partial<LoadPlanFacts>;
  readonly mix?: Mix;
}

/** By default 50 measured handshakes, after some of a warm-up, within 0.6 s. */
export function nymPlanOf(
  node: NymNodeData,
  { facts, mix = { handshake: 1 }, ...changes }: NymPlanChanges = {},
): NymPlan {
  const { host, port } = node.address;
  const pipelined = changes.pipelined ?? false;
  return {
    protocol: 'nym',
    node,
    mix,
    timeoutMs: 10_000,
    maxInFlight: 1_000,
    ...changes,
    pipelined,
    facts: {
      target: `${host}:${port}`,
      protocol: 'nym',
      scenario: mix.initial === undefined ? 'handshake' : mix.handshake === undefined ? 'initial' : 'mixed',
      loop: { kind: 'open', arrivals: 'fixed', rate: 100 },
      rampSeconds: 0,
      warmUpSeconds: 0.1,
      durationSeconds: 0.5,
      sources: 1,
      threads: 1,
      payloadBytes: 0,
      nym: { lpKey: encodeBase58(node.lpKey), kemDigest: 'blake3:', source: node.source, pipelined },
      ...facts,
    },
  };
}
