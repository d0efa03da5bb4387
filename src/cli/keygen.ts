/**
 * `lewes keygen`: a new key in a file: a gateway's identity, or one of the two keys of a node of the Nym network. It prints
 * the public half; the secret one is in the file (mode 0600) and nowhere else. A file that is there is never overwritten.
 */
import type { Command } from 'commander';
import { action, UsageError } from './exit.ts';
import { printJson, printLine } from './output.ts';

const KINDS = ['identity', 'nym-lp', 'nym-kem'] as const;
type Kind = (typeof KINDS)[number];

interface Options {
  readonly out?: string;
  readonly kind: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command('keygen')
    .summary('make a new identity, or a key of a Nym node')
    .description(
      'Makes a new gateway identity (Ed25519, PKCS#8 PEM, mode 0600) and prints its public key in base58.\n' +
        'With --kind nym-lp or nym-kem it makes the X25519 or the ML-KEM-768 key of a node of the Nym network, for\n' +
        'nym.lp_key and nym.kem_key, and prints the public key or its BLAKE3 digest, as the node announces them.\n' +
        'The secret key is written to the file only; a file that is there already is left as it is.',
    )
    .argument('[file]', 'where the key is written')
    .option('--out <file>', 'the same, as an option')
    .option('--kind <kind>', KINDS.join(', '), 'identity')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ lewes keygen /etc/lewes/identity.pem')
    .action(action(keygen));
}

async function keygen(file: string | undefined, { out, kind: given, json }: Options): Promise<undefined> {
  const path = file ?? out;
  if (path === undefined || path === '' || (file !== undefined && out !== undefined)) {
    throw new UsageError('keygen needs one file to write to', 'give it as in: lewes keygen identity.pem');
  }
  const kind = KINDS.find((known) => known === given);
  if (kind === undefined) throw new UsageError(`--kind ${given} is not known`, `give one of: ${KINDS.join(', ')}`);
  const made = kind === 'identity' ? await makeIdentity(path) : await makeNymKey(path, kind);
  if (json === true) printJson({ ...made, file: path });
  else printLine(Object.values(made).join(' '));
}

async function makeIdentity(path: string): Promise<Record<string, string>> {
  const { createIdentity } = await import('../ops/keys.ts');
  const { encodeBase58 } = await import('../ops/base58.ts');
  const { publicKey, seed } = createIdentity(path);
  seed.wipe();
  return { identity: encodeBase58(publicKey) };
}

async function makeNymKey(path: string, kind: Exclude<Kind, 'identity'>): Promise<Record<string, string>> {
  const { createNymKey, readNymKey } = await import('../ops/nym-keys.ts');
  const { loadProvider } = await import('../lp/crypto/load.ts');
  const { encodeBase58 } = await import('../ops/base58.ts');
  const which = kind === 'nym-lp' ? 'lp' : 'kem';
  createNymKey(path, which);
  const crypto = await loadProvider('auto');
  const secret = readNymKey(path, which);
  try {
    if (which === 'lp') return { x25519: encodeBase58(crypto.x25519PublicKey(secret)) };
    const key = crypto.kems['ml-kem-768'].secretKeyFromSeed(secret);
    const digest = Buffer.from(crypto.blake3(key.publicKey.bytes)).toString('hex');
    key.wipe();
    return { blake3: digest };
  } finally {
    secret.fill(0);
  }
}
