/**
 * One thing that is wrong with a configuration: where, what, and what to do. A value, never thrown: a file's errors are
 * reported all at once.
 */
import { sentence } from '../sentence.ts';

export interface ConfigError {
  /** `limits.listed[0].cidr`; `(file)` for what concerns the file itself. */
  readonly path: string;
  /** Continues "<path>: …". */
  readonly problem: string;
  readonly remedy: string;
  /** One-based position, for errors of TOML syntax. */
  readonly line?: number;
  readonly column?: number;
}

/** `log.level: "loud" is not one of …. Correct it, …`, with the position before it where one is known. */
export function formatConfigError(error: ConfigError): string {
  const position = error.line === undefined ? '' : `line ${error.line}, column ${error.column ?? 1}: `;
  return `${position}${error.path}: ${error.problem}. ${sentence(error.remedy)}`;
}
