/** A run of the benchmarks as the tests need one: figures, and a machine that is nobody's. */
import type { Figure } from '../../scripts/bench/figures.ts';
import type { Run } from '../../scripts/bench/results.ts';

export function runOf(figures: readonly Figure[], changes: Partial<Run> = {}): Run {
  return {
    machine: {
      cpu: 'A CPU',
      cores: 2,
      memoryMiB: 8_192,
      platform: 'linux x64',
      node: 'v26.0.0',
      crypto: 'native',
      date: '2026-11-23T00:00:00.000Z',
      commit: '0123456789ab',
      changed: false,
    },
    quick: false,
    loadBefore: 0.1,
    loadAfter: 1.5,
    seconds: 100,
    warnings: [],
    failures: [],
    figures,
    ...changes,
  };
}
