/**
 * The work of `lewes issuer`: data directory, keys, quota, HTTP, key rotation by the clock. Everything that was opened is
 * closed again, whichever way it ends. Access keys and private keys are written to files alone.
 */
import { dirname, join } from 'node:path';
import closeWithGrace from 'close-with-grace';
import { type IssuerAccess, type IssuerServer, startIssuer } from '../issuer/http.ts';
import { IssuerKeys } from '../issuer/issuer-keys.ts';
import { newAccessKey, Quota, quotaEntry } from '../issuer/quota.ts';
import { createFile } from '../ops/atomic-file.ts';
import { formatSocketAddress, parseSocketAddress, rangeOf, type SocketAddress } from '../ops/config/addresses.ts';
import { type DataDir, defaultDataDir, openDataDir } from '../ops/data-dir.ts';
import { createLogger, flushLog, type Logger } from '../ops/log.ts';
import { OperatorError, reasonOf, systemCode } from '../ops/operator-error.ts';
import { sentence } from '../ops/sentence.ts';
import { systemClock } from '../system/clock.ts';
import { EXIT, type ExitCode, UsageError } from './exit.ts';
import { packageVersion } from './version.ts';

export interface IssuerFlags {
  readonly listen: string;
  readonly dataDir?: string;
  readonly quota?: string;
  readonly open?: boolean;
  readonly rotate?: boolean;
  readonly newAccessKey?: string;
  readonly tokens: string;
}

interface Plan {
  readonly listen: SocketAddress;
  readonly quota: string | undefined;
  readonly rotate: boolean;
}

interface Opened {
  readonly directory: DataDir;
  server: IssuerServer | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** Keys are announced days ahead, so an hour is soon enough. */
const MAINTAIN_MS = 3_600_000;
const EXIT_DELAY_MS = 5_000;
const MAX_TOKENS = 1_000_000_000;

export async function issuer(flags: IssuerFlags): Promise<ExitCode> {
  if (flags.newAccessKey !== undefined) return grant(flags.newAccessKey, flags.tokens);
  const plan = planOf(flags);
  const log = createLogger({ level: 'info' });
  const directory = openDataDir(flags.dataDir ?? join(dirname(defaultDataDir()), 'lewes-issuer'));
  const opened: Opened = { directory, server: undefined, timer: undefined };
  try {
    await open(plan, log, opened);
  } catch (error) {
    await close(opened);
    throw error;
  }
  closeWithGrace({ delay: EXIT_DELAY_MS, logger: false, skip: ['SIGHUP'] }, async ({ signal, err }) => {
    if (err === undefined) log.info({ signal }, 'stopping');
    else log.fatal({ err }, 'the issuer cannot go on');
    await close(opened);
    log.info('stopped');
    await flushLog(log);
    if (err !== undefined) process.exitCode = EXIT.failed;
  });
  return EXIT.done;
}

async function open(plan: Plan, log: Logger, opened: Opened): Promise<void> {
  const warn = (error: Error) => log.error({ code: systemCode(error) }, sentence(error.message));
  const { path } = opened.directory;
  const keys = await IssuerKeys.open({ directory: join(path, 'issuer-keys') }, now());
  if (plan.rotate) await keys.rotate(now());
  const access: IssuerAccess =
    plan.quota === undefined
      ? { kind: 'open' }
      : { kind: 'quota', quota: new Quota({ file: plan.quota, usedFile: join(path, 'issued.json'), report: warn }) };
  opened.server = await startIssuer(plan.listen, { keys, access, now, onError: warn });
  opened.timer = setInterval(() => {
    keys.maintain(now()).then((changed) => {
      if (changed) log.info({ keys: keys.status(now()) }, 'keys changed');
    }, warn);
  }, MAINTAIN_MS);
  if (access.kind === 'open') log.warn('tokens are free: anybody who reaches this port gets them (--open)');
  const listen = formatSocketAddress(opened.server.address);
  log.info({ listen, url: opened.server.url, keys: keys.status(now()), version: packageVersion() }, 'ready');
}

async function close({ directory, server, timer }: Opened): Promise<void> {
  clearInterval(timer);
  await server?.close();
  directory.release();
}

function planOf({ listen, quota, open: isOpen = false, rotate = false }: IssuerFlags): Plan {
  const parsed = parseSocketAddress(listen);
  if (!parsed.ok) throw new UsageError(`--listen "${listen}" ${parsed.error}`, parsed.remedy ?? 'give ADDRESS:PORT');
  if (isOpen === (quota !== undefined)) {
    throw new UsageError(
      'an issuer needs either --quota FILE or --open',
      'make a first entry of the file with: lewes issuer --new-access-key FILE --tokens N',
    );
  }
  if (isOpen && rangeOf(parsed.value.host) !== 'loopback') {
    throw new UsageError(
      `--open would give tokens to everybody who reaches ${listen}`,
      'listen on 127.0.0.1 or [::1], or give a --quota FILE',
    );
  }
  return { listen: parsed.value, quota, rotate };
}

function grant(file: string, text: string): ExitCode {
  const tokens = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (tokens < 1 || tokens > MAX_TOKENS) {
    throw new UsageError(`--tokens "${text}" is no number of tokens`, `give 1 to ${MAX_TOKENS}`);
  }
  const accessKey = newAccessKey();
  try {
    createFile(file, `${accessKey}\n`);
  } catch (cause) {
    const there = systemCode(cause) === 'EEXIST';
    throw new OperatorError(
      'ERR_ACCESS_KEY_FILE',
      there ? `${file} is there already and was left as it is` : `${file} cannot be written (${reasonOf(cause)})`,
      'give another path',
      { cause },
    );
  }
  process.stdout.write(quotaEntry(accessKey, tokens));
  return EXIT.done;
}

function now(): number {
  return Math.floor(systemClock.now().unixMs / 1_000);
}
