/**
 * The way to one gateway: a proxy before each of its listeners, which keep their addresses while the gateway comes and goes.
 * Invariant: a fault of the network strikes both alike.
 */
import type { Prng } from '../../test/support/prng.ts';
import type { Policy } from './mangle.ts';
import { ChaosProxy } from './proxy.ts';

export class Doors {
  readonly lp: ChaosProxy;
  readonly nym: ChaosProxy;

  private constructor(lp: ChaosProxy, nym: ChaosProxy) {
    this.lp = lp;
    this.nym = nym;
  }

  static async listen(prng: Prng): Promise<Doors> {
    const lp = await ChaosProxy.listen(prng, 'frames');
    return new Doors(lp, await ChaosProxy.listen(prng, 'stream'));
  }

  /** To where the gateway listens now. */
  open({ port, nymPort }: { readonly port: number; readonly nymPort: number }): void {
    this.lp.target = port;
    this.nym.target = nymPort;
  }

  /** Nobody is behind them. */
  shut(): void {
    this.lp.target = undefined;
    this.nym.target = undefined;
  }

  trouble(policy: Policy): void {
    this.lp.policy = policy;
    this.nym.policy = policy;
  }

  calm(): void {
    this.lp.calm();
    this.nym.calm();
  }

  /** Returns how many connections there were. */
  cutAll(): number {
    return this.lp.cutAll() + this.nym.cutAll();
  }

  async close(): Promise<void> {
    await Promise.all([this.lp.close(), this.nym.close()]);
  }
}
