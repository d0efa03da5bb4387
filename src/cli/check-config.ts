/** `lewes check-config`: every error of a configuration at once, or the documented defaults to begin with. */
import type { Command } from 'commander';
import { action, EXIT, type ExitCode, UsageError } from './exit.ts';
import { printJson, printLine } from './output.ts';

interface Options {
  readonly set: readonly string[];
  readonly example?: boolean;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command('check-config')
    .summary('check a configuration file')
    .description('Reads a configuration file and tells every error in it: where, what is wrong, and what to do.')
    .argument('[file]', 'TOML file')
    .option('--set <key=value>', 'override a key, as for "lewes gateway" (repeatable)', append, [])
    .option('--example', 'print all keys with their defaults and what they mean')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ lewes check-config --example > lewes.toml\n  $ lewes check-config lewes.toml --set limits.handshakes_per_address=50',
    )
    .action(action(checkConfig));
}

async function checkConfig(file: string | undefined, { set, example, json }: Options): Promise<ExitCode> {
  if ((file === undefined) !== (example === true)) {
    throw new UsageError(
      'check-config needs either a file or --example',
      'give it as in: lewes check-config lewes.toml',
    );
  }
  const { exampleConfig, formatConfigError, loadConfig } = await import('../ops/config/index.ts');
  if (file === undefined) {
    const text = exampleConfig();
    if (json === true) printJson({ example: text });
    else process.stdout.write(text);
    return EXIT.done;
  }
  const loaded = loadConfig({ file, set, listen: [] });
  const errors = loaded.ok ? [] : loaded.errors;
  const warnings = loaded.ok ? loaded.warnings : [];
  if (json === true) {
    printJson({ ok: loaded.ok, file, errors, warnings });
  } else {
    for (const warning of warnings) printLine(`${file}: warning: ${formatConfigError(warning)}`);
    for (const error of errors) process.stderr.write(`${file}: ${formatConfigError(error)}\n`);
    if (loaded.ok) printLine(`${file}: ok`);
    else process.stderr.write(`lewes: ${errors.length} ${errors.length === 1 ? 'error' : 'errors'} in ${file}\n`);
  }
  return loaded.ok ? EXIT.done : EXIT.failed;
}

function append(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
