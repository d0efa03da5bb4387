/** A source of tokens whose work is a step of its own at one gateway: its milliseconds, or why it gave none. */
import { type Hop, TokenError, type TokenSource } from '../client/index.ts';
import { type StepLog, stepError } from './step-log.ts';

export class TimedSource implements TokenSource {
  /** What it took so far. */
  ms = 0;
  readonly #source: TokenSource;
  readonly #hop: Hop;
  readonly #log: StepLog;

  constructor(source: TokenSource, hop: Hop, log: StepLog) {
    this.#source = source;
    this.#hop = hop;
    this.#log = log;
  }

  async token(challenge: Uint8Array): Promise<Uint8Array> {
    const startMs = this.#log.nowMs;
    const took = () => {
      const ms = this.#log.nowMs - startMs;
      this.ms += ms;
      return ms;
    };
    try {
      const token = await this.#source.token(challenge);
      this.#log.done(this.#hop, 'token', took());
      return token;
    } catch (error) {
      // One interruption is told once, by the registration that waits.
      if (!(error instanceof TokenError && error.code === 'aborted')) {
        this.#log.failed(this.#hop, 'token', took(), stepError(error));
      }
      throw error;
    }
  }

  async giveBack(token: Uint8Array): Promise<void> {
    if (this.#source.giveBack === undefined) throw new Error('the source takes nothing back');
    await this.#source.giveBack(token);
  }
}
