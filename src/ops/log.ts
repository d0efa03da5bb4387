/**
 * The log: one JSON object per line on standard output with `level`, `time` (ISO 8601, UTC) and `msg`. Fields that carry
 * secrets are redacted by name, as a second line of defence: the first is never to pass them.
 */
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';
import { openLogDestination } from './log-destination.ts';

export type { Logger } from 'pino';
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';

const SECRET_FIELDS = [
  'chain',
  'credential',
  'owner',
  'password',
  'presharedKey',
  'preshared_key',
  'privateKey',
  'private_key',
  'psk',
  'secret',
  'secretKey',
  'seed',
  'sharedSecret',
  'token',
] as const;
/** How deep a field is looked for; deeper objects are not logged here. */
const PREFIXES = ['', '*.', '*.*.'] as const;
const STDOUT = 1;

export interface LogOptions {
  readonly level: LogLevel;
  /** Standard output by default. */
  readonly destination?: DestinationStream;
}

export function createLogger({ level, destination }: LogOptions): Logger {
  const options = {
    level,
    // No pid and host name: what runs the gateway knows them.
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: PREFIXES.flatMap((prefix) => SECRET_FIELDS.map((field) => prefix + field)), censor: '<redacted>' },
  };
  return pino(options, destination ?? openLogDestination(STDOUT));
}

/** Resolves when what was logged so far is written, or when its reader has not taken it for a second. */
export function flushLog(log: Logger): Promise<void> {
  return new Promise((resolve) => log.flush(() => resolve()));
}
