/**
 * Child: the primitives of one LP2 handshake with an early frame, alone, on the core of the servers. Argument: `nym` for those of
 * a Nym handshake. Request: `{n}`, answer: microseconds of them all.
 */
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { nymCrypto } from '../../src/lp/crypto/nym-load.ts';
import { sumOf } from './against-primitives.ts';
import { serve } from './children.ts';
import { lp2Primitives } from './core-primitives.ts';
import { ECHO_BYTES } from './lp2-client.ts';
import { nymPrimitives } from './nym-primitives.ts';

const crypto = await loadProvider('auto');
const isNym = process.argv[2] === 'nym';
const primitives = isNym ? nymPrimitives(nymCrypto(crypto)) : lp2Primitives(crypto, 'x-wing', ECHO_BYTES);
serve({}, ({ n }: { n: number }) => ({ us: sumOf(primitives, n) }));
