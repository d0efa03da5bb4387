/**
 * `lewes issuer`: the Privacy Pass issuer of a small operator, in the foreground. Only the command's face is here;
 * issuer-run.ts does the work.
 */
import type { Command } from 'commander';
import { action } from './exit.ts';
import type { IssuerFlags } from './issuer-run.ts';

const EXAMPLE = `
It speaks plain HTTP: let a reverse proxy with TLS stand before it where clients come over a network.
The quota file is TOML and is read again when it changes:

  [[access]]
  key_sha256 = "…"   # of the access key; --new-access-key prints the entry
  tokens = 100       # in all; the issuer counts what it has given out in its data directory
  note = "alice"

Example:
  $ lewes issuer --new-access-key alice.key --tokens 100 >> quota.toml
  $ lewes issuer --listen 127.0.0.1:9465 --quota quota.toml`;

export function register(program: Command): void {
  program
    .command('issuer')
    .summary('issue tokens that pay for registrations')
    .description('Runs a Privacy Pass issuer (RFC 9578, token type 2) until SIGTERM or SIGINT.')
    .option('--listen <address:port>', 'where clients ask for tokens', '127.0.0.1:9465')
    .option('--data-dir <dir>', 'keys and counts (default: lewes-issuer in the XDG state directory)')
    .option('--quota <file>', 'who may have how many tokens')
    .option('--open', 'tokens for anybody; on a loopback address only')
    .option('--rotate', 'sign with a new key from this start on')
    .option('--new-access-key <file>', 'write a new access key to a file (mode 0600), print its quota entry, and end')
    .option('--tokens <n>', 'tokens of the new access key', '100')
    .addHelpText('after', EXAMPLE)
    .action(
      action(async (flags: IssuerFlags) => {
        const { issuer } = await import('./issuer-run.ts');
        return issuer(flags);
      }),
    );
}
