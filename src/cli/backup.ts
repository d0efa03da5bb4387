/** `lewes backup`: a consistent copy of a gateway's registrations, while it runs or not. */
import type { Command } from 'commander';
import type { BackupFlags } from './backup-run.ts';
import { action } from './exit.ts';

const HELP = `
The copy is a directory like the store itself. To restore it, stop the gateway and put it in the store's place: tokens that
were spent since count as unspent again, and registrations since are gone. It holds preshared keys: keep it like a key.

Example:
  $ lewes backup --data-dir /var/lib/lewes --out /var/backups/lewes-2026-11-23`;

export function register(program: Command): void {
  program
    .command('backup')
    .summary('copy the registrations of a gateway, also while it runs')
    .description('Copies the registrations and spent tokens of a gateway into a new directory, also while it runs.')
    .option('--data-dir <dir>', 'data directory of the gateway (default: lewes in the XDG state directory)')
    .option('--store <dir>', 'the store itself, where store.path says so')
    .option('--out <dir>', 'the copy; must not be there yet')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(action(async (flags: BackupFlags) => (await import('./backup-run.ts')).backup(flags)));
}
