/**
 * Thread entry of the registrar. A plain worker, not a pool: its answers come in any order and at any time, it has sockets
 * and a store of its own, and there is one of it, so a task per request would only add hand-overs.
 */
import { parentPort } from 'node:worker_threads';
import type { ToRegistrar } from '../src/registration/registrar-messages.ts';
import { RegistrarWorker } from '../src/registration/registrar-worker.ts';
import { systemClock } from '../src/system/clock.ts';
import { systemRandom } from '../src/system/random.ts';
import { systemTimers } from '../src/system/timers.ts';

const port = parentPort;
if (port === null) throw new Error('workers/registrar is the entry of a thread');

const registrar = new RegistrarWorker({
  post: (message, transfer) => {
    port.postMessage(message, [...transfer]);
    // The port is what keeps the thread alive.
    if (message.kind === 'closed' || message.kind === 'refused') port.close();
  },
  defer: (action) => setImmediate(action),
  clock: systemClock,
  timers: systemTimers,
  random: systemRandom,
});
port.on('message', (message: ToRegistrar) => registrar.receive(message));
