/**
 * `lewes status`: what the gateway of a data directory says of itself. The gateway notes its admin address there; the
 * answer is bounded in size and time.
 */
import type { Command } from 'commander';
import { action } from './exit.ts';
import { printJson, printLine, table } from './output.ts';

interface Options {
  readonly dataDir?: string;
  readonly json?: boolean;
}

const TIMEOUT_MS = 5_000;
const MAX_ANSWER_BYTES = 4_194_304;

export function register(program: Command): void {
  program
    .command('status')
    .summary('ask a running gateway how it is')
    .description('Prints what the gateway that runs on a data directory says of itself.')
    .option('--data-dir <dir>', 'data directory of the gateway (default: lewes in the XDG state directory)')
    .option('--json', 'print JSON, as the gateway gives it')
    .addHelpText('after', '\nExample:\n  $ lewes status --data-dir /var/lib/lewes')
    .action(action(status));
}

async function status({ dataDir, json }: Options): Promise<undefined> {
  const { defaultDataDir, readAdmin } = await import('../ops/data-dir.ts');
  const { OperatorError } = await import('../ops/operator-error.ts');
  const directory = dataDir ?? defaultDataDir();
  const note = readAdmin(directory);
  const notRunning = (why: string, cause?: unknown) =>
    new OperatorError(
      'ERR_GATEWAY_NOT_RUNNING',
      `no gateway runs on the data directory ${directory} (${why})`,
      'start one with "lewes gateway", or name its directory with --data-dir; with admin.listen = "off" it cannot be asked',
      { cause },
    );
  if (note === undefined) throw notRunning('none left its admin address there');
  let answer: object;
  try {
    answer = await fetchJson(new URL('/status', note.url));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw notRunning(`${note.url} of process ${note.pid} gives no answer: ${why}`, error);
  }
  if (json === true) printJson(answer);
  else printLine(table(answer));
}

async function fetchJson(url: URL): Promise<object> {
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error' }).catch(
    (error: unknown) => {
      // fetch hides what happened ("ECONNREFUSED") in the cause.
      throw error instanceof Error && error.cause instanceof Error ? error.cause : error;
    },
  );
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  if (typeof value !== 'object' || value === null) throw new Error('the answer is no JSON object');
  return value;
}
