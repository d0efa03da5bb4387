/** *forward*: a whole handshake with the exit inside forwards through a kept session of the entry (lp2.md §5). */
import { forwardTarget } from '../../client/gateway-target.ts';
import { ForwardWire } from '../forward-wire.ts';
import { Operation } from '../operation.ts';
import { greet } from './greeting.ts';
import { poolOf, type Scenario, type ScenarioContext, type ScenarioKind } from './scenario.ts';

export const FORWARD: ScenarioKind = { pool: 'entry', create: (context) => new ForwardScenario(context) };

class ForwardScenario implements Scenario {
  readonly #context: ScenarioContext;

  constructor(context: ScenarioContext) {
    this.#context = context;
  }

  /** Learns the exit's KEM key. */
  prepare(): Promise<void> {
    const { world } = this.#context;
    if (poolOf(this.#context).open === 0) return Promise.resolve();
    const deadlineMs = world.now().monotonicMs + world.timeoutMs;
    return new Promise((resolve) => {
      const ignore = () => {};
      const hooks = { completed: ignore, failed: ignore, finished: () => resolve() };
      this.start(new Operation('forward', undefined, deadlineMs, hooks));
    });
  }

  /** One at a time on a session of the entry, as a client does it: an entry carries a few at once for each. */
  start(operation: Operation): void {
    const { world, target, payload } = this.#context;
    const { identity, host, port } = target;
    const exit = forwardTarget(identity, { host, port }, 'exit');
    const { deadlineMs, client } = operation;
    poolOf(this.#context).acquire(client, true, operation, ({ session, release }) => {
      const released = () => {
        release();
        operation.finish();
      };
      greet(world, {
        peer: target,
        payload,
        deadlineMs,
        wire: (handlers) => new ForwardWire(session, { target: exit, deadlineMs, released }, handlers),
        over: (failure) => {
          if (failure === undefined) operation.complete();
          else operation.failed(failure);
        },
      });
    });
  }
}
