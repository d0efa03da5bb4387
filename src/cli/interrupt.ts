/**
 * Ctrl-C and its kin for commands that have something to clean up: the first signal aborts what is under way, and the
 * command ends by itself; the second one ends the process at once (exit handlers still run).
 */
import { EXIT } from './exit.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Interruption extends Disposable {
  readonly signal: AbortSignal;
}

export function onInterrupt(): Interruption {
  const controller = new AbortController();
  const handle = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(EXIT.failed);
    controller.abort(name);
  };
  for (const name of SIGNALS) process.on(name, handle);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const name of SIGNALS) process.removeListener(name, handle);
    },
  };
}
