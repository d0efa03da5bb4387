/**
 * `lewes gateway`: runs a gateway in the foreground until it is told to stop. It makes what it needs in the data directory
 * (identity), says `ready` once with its addresses, and drains on SIGTERM and SIGINT.
 */
import type { Command } from 'commander';
import { action, EXIT, type ExitCode } from './exit.ts';

const EXAMPLE = `
Example:
  $ lewes gateway --listen 0.0.0.0:41264 --set limits.handshakes_per_address=50
  $ lewes gateway --config /etc/lewes/gateway.toml --data-dir /var/lib/lewes`;

interface GatewayFlags {
  readonly config?: string;
  readonly dataDir?: string;
  readonly listen: string[];
  readonly set: string[];
}

const repeated = (value: string, earlier: string[]): string[] => [...earlier, value];

export function register(program: Command): void {
  program
    .command('gateway')
    .description('run a gateway in the foreground; SIGTERM and SIGINT drain and stop it')
    .option('--config <file>', 'configuration in TOML; `lewes check-config --example` shows every key')
    .option('--data-dir <dir>', 'where the gateway keeps what it makes (default: lewes in $XDG_STATE_HOME)')
    .option('--listen <address:port>', 'where clients connect; may be given again', repeated, [])
    .option('--set <key=value>', 'override a key of the configuration; may be given again', repeated, [])
    .addHelpText('after', EXAMPLE)
    .action(action(async (flags: GatewayFlags) => runGateway(flags)));
}

async function runGateway({ config, dataDir, listen, set }: GatewayFlags): Promise<ExitCode> {
  const { formatConfigError, loadConfig } = await import('../ops/config/index.ts');
  const load = () => loadConfig({ file: config, set, listen });
  const loaded = load();
  if (!loaded.ok) {
    for (const error of loaded.errors) process.stderr.write(`lewes: ${formatConfigError(error)}\n`);
    return EXIT.failed;
  }
  const { runService } = await import('./gateway-service.ts');
  await runService({ config: loaded.config, dataDir, reload: load });
  return EXIT.done;
}
