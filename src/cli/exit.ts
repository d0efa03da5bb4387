/**
 * How commands end: exit code 0 done, 1 failed, 2 wrong use. Every failure is told once, as "lewes: what. What to do." on
 * standard error, or with --json as one object with its code on standard output.
 */
import { type Command, CommanderError } from 'commander';
import { sentence } from '../ops/sentence.ts';
import { printJson } from './output.ts';

export const EXIT = { done: 0, failed: 1, wrongUse: 2 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A command that was called wrongly in a way that the option parser cannot see. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'ERR_USAGE';
  readonly remedy: string;

  constructor(what: string, remedy: string) {
    super(what);
    this.remedy = remedy;
  }
}

type Outcome = ExitCode | undefined;

/**
 * Wraps the work of a command for `Command.action`: the exit code is what `work` resolves to (nothing: done), and what it
 * throws is told. Commander passes the arguments, the options and, last, the command.
 */
export function action<Args extends unknown[]>(
  work: (...args: Args) => Promise<Outcome> | Outcome,
): (...args: Args) => Promise<void> {
  return async (...args) => {
    try {
      process.exitCode = (await work(...args)) ?? EXIT.done;
    } catch (error) {
      process.exitCode = tellError(error, wantsJson(args.at(-1)));
    }
  };
}

/** Tells of an error and gives the exit code that belongs to it. */
export function tellError(error: unknown, json: boolean): ExitCode {
  const { message, code, remedy } = explain(error);
  if (json) printJson({ ok: false, error: { code, message, remedy } });
  else process.stderr.write(`lewes: ${message}.${remedy === '' ? '' : ` ${sentence(remedy)}`}\n`);
  // Without a code it is a mistake of ours, and whoever mends it needs to know where.
  if (code === 'ERR_INTERNAL' && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  return error instanceof UsageError ? EXIT.wrongUse : EXIT.failed;
}

/** Commander has told its errors already: help and version end well, everything else is wrong use. */
export function commanderExit(error: CommanderError): ExitCode {
  return error.exitCode === 0 ? EXIT.done : EXIT.wrongUse;
}

interface Explanation {
  readonly message: string;
  readonly code: string;
  readonly remedy: string;
}

function explain(error: unknown): Explanation {
  if (!(error instanceof Error))
    return { message: `internal error: ${String(error)}`, code: 'ERR_INTERNAL', remedy: '' };
  if (!('code' in error) || typeof error.code !== 'string') {
    return { message: `internal error: ${error.message}`, code: 'ERR_INTERNAL', remedy: 'please report it' };
  }
  const remedy = 'remedy' in error && typeof error.remedy === 'string' ? error.remedy : '';
  return { message: error.message, code: error.code, remedy };
}

function wantsJson(command: unknown): boolean {
  return isCommand(command) && command.opts().json === true;
}

function isCommand(value: unknown): value is Command {
  return typeof value === 'object' && value !== null && 'opts' in value && typeof value.opts === 'function';
}

export function isCommanderError(error: unknown): error is CommanderError {
  return error instanceof CommanderError;
}
