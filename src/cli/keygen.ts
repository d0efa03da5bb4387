/**
 * `lewes keygen`: a new identity in a file. It prints the public key; the secret one is in the file (mode 0600) and
 * nowhere else. A file that is there is never overwritten.
 */
import type { Command } from 'commander';
import { action, UsageError } from './exit.ts';
import { printJson, printLine } from './output.ts';

interface Options {
  readonly out?: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command('keygen')
    .summary('make a new identity')
    .description(
      'Makes a new gateway identity (Ed25519, PKCS#8 PEM, mode 0600) and prints its public key in base58.\n' +
        'The secret key is written to the file only; a file that is there already is left as it is.',
    )
    .argument('[file]', 'where the identity is written')
    .option('--out <file>', 'the same, as an option')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ lewes keygen /etc/lewes/identity.pem')
    .action(action(keygen));
}

async function keygen(file: string | undefined, { out, json }: Options): Promise<undefined> {
  const path = file ?? out;
  if (path === undefined || path === '' || (file !== undefined && out !== undefined)) {
    throw new UsageError('keygen needs one file to write to', 'give it as in: lewes keygen identity.pem');
  }
  const { createIdentity } = await import('../ops/keys.ts');
  const { encodeBase58 } = await import('../ops/base58.ts');
  const { publicKey, seed } = createIdentity(path);
  seed.wipe();
  const identity = encodeBase58(publicKey);
  if (json === true) printJson({ identity, file: path });
  else printLine(identity);
}
