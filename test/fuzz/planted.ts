/** Targets with a fault each, planted to see that the fuzzer finds it: it exports `targets` as the files of scripts/fuzz do. */
import type { FuzzTarget } from '../../scripts/fuzz/target.ts';
import { decodeMagic, growForEver, spinFor } from './planted-faults.ts';

const seeds = () => [new Uint8Array(12), Uint8Array.of(1, 2, 3, 4, 5, 6)];
const covers = 'test/fuzz/';

export const targets: readonly FuzzTarget[] = [
  { name: 'planted-magic', covers, seeds, maxLength: 24, run: decodeMagic },
  { name: 'planted-hang', covers, seeds, run: spinFor },
  { name: 'planted-memory', covers, seeds, run: growForEver },
  { name: 'planted-rejection', covers, seeds, run: async (input) => decodeMagic(input) },
  { name: 'sound', covers, seeds, run: (input) => void (input[0] ?? 0) },
];
