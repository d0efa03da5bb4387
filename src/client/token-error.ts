/** What can go wrong with a source of tokens. The message says what is wrong and what to do; no token or key is in it. */
export type TokenErrorCode =
  /** An option or argument is wrong; nothing was sent. */
  | 'invalid_option'
  /** The challenge is none that a token can be made for, or of another issuer. */
  | 'challenge'
  /** The AbortSignal of the source; its reason is the `cause`. */
  | 'aborted'
  | 'issuer_unreachable'
  /** The issuer wants an access key, or does not know this one. */
  | 'access_denied'
  | 'quota_exhausted'
  /** Any other refusal. */
  | 'issuer_refused'
  /** The answer is not what RFC 9578 says, or its signature is wrong. */
  | 'issuer_answer'
  /** The file has no token for this gateway. */
  | 'no_tokens'
  /** The file cannot be used. */
  | 'token_file';

export class TokenError extends Error {
  override readonly name = 'TokenError';
  readonly code: TokenErrorCode;

  constructor(code: TokenErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
