/**
 * `lewes localnet`: a whole network on this machine for a moment: an exit, an entry, and a client that uses both. Only the
 * command's face is here; localnet-run.ts does the work.
 */
import type { Command } from 'commander';
import { action } from './exit.ts';
import type { LocalnetFlags } from './localnet-run.ts';
import { PROTOCOL_DEFAULT, PROTOCOL_FLAG } from './protocol-option.ts';

const EXAMPLE = `
Both gateways are processes of their own on free ports of 127.0.0.1, with fresh keys in a temporary directory, which is
removed at the end. Each issues the tokens that pay for its registrations, on its admin port. With --protocol 1 they serve
LP1 as well, and the client speaks it to both; registrations are free then (credentials.kind = "none"), since LP1 cannot
carry a token. With --protocol nym they listen for clients of the Nym network as well and take credentials that are worth
nothing; the client verifies what they announce, and registers with both.

Example:
  $ lewes localnet
  $ lewes localnet --protocol 1
  $ lewes localnet --protocol nym
  $ lewes localnet --keep --set 'gateway.kem=["ml-kem-768"]' --set lifetimes.rekey_after=60`;

const repeated = (value: string, earlier: readonly string[]): readonly string[] => [...earlier, value];

export function register(program: Command): void {
  program
    .command('localnet')
    .summary('try an entry, an exit and a client on this machine')
    .description('Starts an exit and an entry gateway, registers with both, one through the other, and stops them.')
    .option('--wireguard', "write the client's two tunnels for wg-quick into the network's directory, for --keep")
    .option('--keep', 'leave the gateways running until SIGINT or SIGTERM')
    .option('--set <key=value>', 'override a key of both configurations; may be given again', repeated, [])
    .option(PROTOCOL_FLAG, 'protocol that the client speaks: 1, 2 or nym', PROTOCOL_DEFAULT)
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLE)
    .action(
      action(async (flags: LocalnetFlags) => {
        const { localnet } = await import('./localnet-run.ts');
        return localnet(flags);
      }),
    );
}
