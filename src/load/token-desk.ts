/**
 * The main thread's side of the tokens: one source for all generator threads, asked side by side. Invariant: a token goes to
 * one thread, once. Tokens that come back at the end are given back where the source takes them.
 */
import { TokenError } from '../client/token-error.ts';
import type { TokenSource } from '../client/token-source.ts';
import type { ToThread } from './messages.ts';

export class TokenDesk {
  readonly #source: TokenSource | undefined;
  readonly #giving = new Set<Promise<void>>();
  /** Tokens that could not be given back. */
  lost = 0;

  constructor(source: TokenSource | undefined) {
    this.#source = source;
  }

  async ask(challenge: Uint8Array): Promise<ToThread> {
    if (this.#source === undefined) {
      return {
        kind: 'noToken',
        code: 'no_tokens',
        message: 'the gateway asks for a token, and there is no source of any',
      };
    }
    try {
      return { kind: 'token', token: await this.#source.token(challenge) };
    } catch (error) {
      const code = error instanceof TokenError ? error.code : 'token_source';
      return { kind: 'noToken', code, message: error instanceof Error ? error.message : String(error) };
    }
  }

  giveBack(token: Uint8Array): void {
    const giving = (this.#source?.giveBack?.(token) ?? Promise.reject(new Error('not taken back'))).catch(() => {
      this.lost++;
    });
    const kept: Promise<void> = giving.finally(() => this.#giving.delete(kept));
    this.#giving.add(kept);
  }

  /** Resolves when what was given back has arrived. */
  async settled(): Promise<void> {
    await Promise.all(this.#giving);
  }
}
