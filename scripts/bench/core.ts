/**
 * The protocol's core in this process, without sockets and threads: what a responder's handshake costs by version, suite and
 * provider, against the sum of the primitives that it needs.
 */
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import { againstPrimitives } from './against-primitives.ts';
import { lp1Primitives } from './core-lp1.ts';
import { lp2Primitives } from './core-primitives.ts';
import type { Figure } from './figures.ts';
import { type BenchVersion, InProcessGateway } from './in-process.ts';

export const VERSIONS: readonly BenchVersion[] = ['x-wing', 'ml-kem-768', 'lp1'];
export const PROVIDERS: readonly CryptoProvider['name'][] = ['native', 'portable'];

export function versionName(version: BenchVersion): string {
  return version === 'lp1' ? version : `lp2-${version}`;
}

interface Scale {
  readonly rounds: number;
  /** Handshakes. Portable ones cost forty times as much. */
  readonly native: number;
  readonly portable: number;
}

// Many short rounds: the peer's then lie close by in time.
const FULL: Scale = { rounds: 15, native: 192, portable: 12 };
const QUICK: Scale = { rounds: 7, native: 96, portable: 6 };

export async function coreHandshakeFigures(quick: boolean): Promise<Figure[]> {
  const scale = quick ? QUICK : FULL;
  const figures: Figure[] = [];
  for (const provider of PROVIDERS) {
    const crypto = await loadProvider(provider);
    for (const version of VERSIONS) {
      const gateway = new InProcessGateway(crypto, version);
      const primitives = version === 'lp1' ? lp1Primitives(crypto) : lp2Primitives(crypto, version);
      const name = `core/${versionName(version)}-${provider}-handshake`;
      const handshakes = (n: number) => gateway.handshakes(n);
      figures.push(againstPrimitives(name, handshakes, primitives, scale.rounds, scale[provider]));
    }
  }
  return figures;
}
