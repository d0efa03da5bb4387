/** Options of `lewes probe --protocol nym` as the parser would give them. */
import type { NymProbeFlags, ProbeFlags } from '../../src/cli/probe-flags.ts';

const SWITCHES = ['register', 'rekey', 'handshakeOnly', 'mockCredential', 'keepConnections'];

export function nymFlags(args: readonly string[]): ProbeFlags & NymProbeFlags {
  const flags: Record<string, string | boolean | readonly string[]> = {};
  for (let at = 0; at < args.length; at++) {
    const name = (args[at] ?? '').slice(2).replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
    flags[name] = SWITCHES.includes(name) ? true : (args[++at] ?? '');
  }
  return { protocol: 'nym', timeout: '30', kem: [], kemKeyHash: [], ...flags };
}
