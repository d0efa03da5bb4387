/**
 * `lewes token`: fetches tokens for a gateway ahead of their use. Only the command's face is here; token-run.ts does the
 * work.
 */
import type { Command } from 'commander';
import { action } from './exit.ts';
import type { TokenFlags } from './token-run.ts';

const EXAMPLE = `
A token is good for one gateway and for one registration or top-up, and whoever has it can use it. Without --out, tokens
are printed, one per line in base64.

Example:
  $ lewes token --issuer https://issuer.example --gateway GhL8CN9Pjvx1Xr3SVbCfQmHMKtqJmdUDJNvcfY9Wi1pW \\
      --access-key-file alice.key --count 5 --out tokens`;

export function register(program: Command): void {
  program
    .command('token')
    .summary('fetch tokens that pay for registrations')
    .description('Fetches Privacy Pass tokens (RFC 9578, token type 2) for one gateway from its issuer.')
    .option('--issuer <url>', 'the issuer; https, or http on this machine')
    .option('--gateway <key>', 'identity of the gateway, in base58 or hex')
    .option('--issuer-name <name>', "as the gateway's challenges have it (default: the host of --issuer)")
    .option('--count <n>', 'how many', '1')
    .option('--access-key-file <file>', 'file with the access key that the operator of the issuer gave out')
    .option('--out <file>', 'add the tokens to this file (mode 0600), for clients to take them from')
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLE)
    .action(
      action(async (flags: TokenFlags) => {
        const { token } = await import('./token-run.ts');
        return token(flags);
      }),
    );
}
