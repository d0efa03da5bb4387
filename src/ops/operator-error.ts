/**
 * The error of everything that the operator or the system does wrong (design: errors by whose fault): a stable `code`
 * for scripts, the message says what is wrong, `remedy` what to do. It never carries a secret.
 */
export class OperatorError extends Error {
  override readonly name = 'OperatorError';
  readonly code: string;
  readonly remedy: string;

  /** `what` and `remedy` begin in lower case and end without a full stop: "lewes: <what>. <remedy>". */
  constructor(code: string, what: string, remedy: string, options?: ErrorOptions) {
    super(what, options);
    this.code = code;
    this.remedy = remedy;
  }
}

/** The errno name of a system error ("ENOENT"), or `undefined` for anything else. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** The system's own words for a failure, for messages that pass it on. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
