/**
 * The command line. Each command has a file of its own with a light `register`; only the file of the command that was
 * asked for is loaded, and its heavy part only when it runs. Exit codes: exit.ts.
 */
import { Command } from 'commander';
import { commanderExit, isCommanderError, tellError } from './exit.ts';
import { packageVersion } from './version.ts';

interface CommandModule {
  register(program: Command): void;
}

/** In the order in which --help lists them. */
const COMMANDS: Readonly<Record<string, () => Promise<CommandModule>>> = {
  gateway: () => import('./gateway.ts'),
  probe: () => import('./probe.ts'),
  load: () => import('./load.ts'),
  localnet: () => import('./localnet.ts'),
  status: () => import('./status.ts'),
  issuer: () => import('./issuer.ts'),
  token: () => import('./token.ts'),
  backup: () => import('./backup.ts'),
  keygen: () => import('./keygen.ts'),
  'check-config': () => import('./check-config.ts'),
};

const EXAMPLE = `
Example:
  $ lewes gateway            runs a gateway with defaults
  $ lewes status             asks it how it is
  $ lewes COMMAND --help     options of a command, with an example`;

async function run(args: readonly string[]): Promise<void> {
  const program = new Command('lewes')
    .description('Post-quantum registration gateway for the Lewes Protocol')
    .version(packageVersion())
    .exitOverride()
    .showHelpAfterError('Run it with --help to see what it takes.')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'lewes: ')) })
    .addHelpText('after', EXAMPLE);
  const [name = ''] = args;
  const asked = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  const loaders = asked === undefined ? Object.values(COMMANDS) : [asked];
  for (const module of await Promise.all(loaders.map((load) => load()))) module.register(program);
  await program.parseAsync(args, { from: 'user' });
}

// A reader that has seen enough (`lewes status | head -1`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  await run(process.argv.slice(2));
} catch (error) {
  process.exitCode = isCommanderError(error) ? commanderExit(error) : tellError(error, false);
}
