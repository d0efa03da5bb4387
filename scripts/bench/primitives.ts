/**
 * Child: the primitives of one LP2 handshake with an early frame, alone, on the core of the servers. Request: `{n}`, answer:
 * microseconds of them all.
 */
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { sumOf } from './against-primitives.ts';
import { serve } from './children.ts';
import { lp2Primitives } from './core-primitives.ts';
import { ECHO_BYTES } from './lp2-client.ts';

const primitives = lp2Primitives(await loadProvider('auto'), 'x-wing', ECHO_BYTES);
serve({}, ({ n }: { n: number }) => ({ us: sumOf(primitives, n) }));
