/**
 * `lewes probe`: does a gateway work, and how fast? Every step with its milliseconds or the reason why it failed. Only
 * the command's face is here; probe-run.ts does the work.
 */
import type { Command } from 'commander';
import { action } from './exit.ts';
import type { NymProbeFlags, ProbeFlags } from './probe-flags.ts';
import { PROTOCOL_DEFAULT, PROTOCOL_FLAG } from './protocol-option.ts';

const EXAMPLE = `
The steps: connect, key (the KEM key, as at a first contact), handshake, echo, token, registration, rekey, release; each for
the entry first where --via is given (an exit is reached without a connect of its own). LP1 has no key, no echo, no token
and no release.
Where a gateway asks for a token, one is spent for each probe; a gateway on this machine that issues its own needs no
option. LP1 cannot carry a token, so there a gateway with a price registers nobody.
With --protocol nym the steps are announcement, connect, kkt (the KEM key), psq (the key agreement) and initial, which costs
nothing and tells whether the node would register; only --register with a credential goes on to finalise. The announcement
is fetched from port 8080 (or 443, 80) of the address and verified by --identity.
With --via, --wg-quick NAME.conf writes NAME-entry.conf and NAME-exit.conf: bring them up in this order.
Exit code: 0 if all worked, 1 if one failed, 2 for wrong use.

Example:
  $ lewes probe 203.0.113.7:41264 --identity GhL8CN9Pjvx1Xr3SVbCfQmHMKtqJmdUDJNvcfY9Wi1pW --register --rekey
  $ lewes probe 203.0.113.7:41264 --identity KEY --via '[2001:db8::1]:41264/ENTRYKEY' --json
  $ lewes probe 203.0.113.7:41264 --identity KEY --protocol 1
  $ lewes probe 203.0.113.7:41264 --identity KEY --via 198.51.100.3:41264/ENTRYKEY --protocol nym`;

const repeated = (value: string, earlier: readonly string[]): readonly string[] => [...earlier, value];

export function register(program: Command): void {
  program
    .command('probe')
    .summary('try a gateway step by step')
    .description('Connects to a gateway, or through an entry to an exit, and tells each step or why it failed.')
    .argument('<address:port>', 'the gateway; with --via the exit')
    .option('--identity <key>', 'its identity, in base58 or hex')
    .option('--via <address:port/key>', 'the entry; IPv6 as [::1]:41264/KEY')
    .option(
      '--register',
      'register (dVPN) with fresh keys at every gateway, and release it at the end where the protocol can',
    )
    .option('--token-file <file>', 'with --register: pay with tokens of this file (see "lewes token --out")')
    .option('--issuer <url>', 'with --register: pay with tokens that are fetched from this issuer')
    .option('--access-key-file <file>', 'access key for --issuer')
    .option('--wg-quick <name.conf>', 'with --register: keep the registration and write it for wg-quick (mode 0600)')
    .option('--rekey', 'rekey every session, in LP2 with a fresh ML-KEM exchange')
    .option('--timeout <seconds>', 'for all steps together; releasing may take a few seconds more', '30')
    .option('--kem <suite>', 'x-wing or ml-kem-768; may be given again, the preferred one first', repeated, [])
    .option(
      '--kem-key-hash <hex>',
      'BLAKE3 hash of a KEM key to accept of the gateway; may be given again',
      repeated,
      [],
    )
    .option(PROTOCOL_FLAG, 'version of the protocol: 1, 2, or nym for nodes of the Nym network', PROTOCOL_DEFAULT)
    .option('--via-protocol <version>', 'version to speak with the entry (default: as --protocol)')
    .option('--keep-connections', 'LP1 only: several packets per connection, which older gateways do not take')
    .option('--announcement <url|file>', 'nym: the announcement of the node (default: from its HTTP port)')
    .option('--lp-key <key>', 'nym: its LP key, instead of an announcement')
    .option('--kem-digest <hex>', 'nym: the digest of its ML-KEM-768 key, instead of an announcement')
    .option('--via-announcement <url|file>', 'nym: likewise of the entry')
    .option('--via-lp-key <key>', 'nym: likewise of the entry')
    .option('--via-kem-digest <hex>', 'nym: likewise of the entry')
    .option('--handshake-only', 'nym: stop before Initial')
    .option('--credential-file <file>', 'nym, with --register: spend the zk-nym in this file')
    .option('--via-credential-file <file>', 'nym, with --register: spend the zk-nym in this file at the entry')
    .option('--mock-credential', 'nym, with --register: a credential that is worth nothing, for nodes that check none')
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLE)
    .action(
      action(async (target: string, flags: ProbeFlags & NymProbeFlags) => {
        if (flags.protocol === 'nym') {
          const { probeNym } = await import('./nym-probe-run.ts');
          return probeNym(target, flags);
        }
        const { probe } = await import('./probe-run.ts');
        return probe(target, flags);
      }),
    );
}
