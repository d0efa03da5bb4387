/**
 * Thread entry of the registrar in a chaos run: that of workers/registrar.ts by the shared clock, which obeys orders to fail;
 * those that come after a message strike while its work, a commit perhaps, is under way.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { ToRegistrar } from '../../../src/registration/registrar-messages.ts';
import { RegistrarWorker } from '../../../src/registration/registrar-worker.ts';
import { systemRandom } from '../../../src/system/random.ts';
import { systemTimers } from '../../../src/system/timers.ts';
import { obey, takeOrder } from '../orders.ts';
import { sharedClock } from '../shared-clock.ts';
import type { ChaosThreadData } from './thread-data.ts';

const port = parentPort;
if (port === null) throw new Error('chaos/workers/registrar is the entry of a thread');
const { orders, clock } = workerData as ChaosThreadData;

const registrar = new RegistrarWorker({
  post: (message, transfer) => {
    port.postMessage(message, [...transfer]);
    if (message.kind === 'closed' || message.kind === 'refused') port.close();
  },
  defer: (action) => setImmediate(action),
  clock: sharedClock(clock),
  timers: systemTimers,
  random: systemRandom,
});
port.on('message', (message: ToRegistrar) => {
  const order = message.kind === 'open' ? undefined : takeOrder(orders);
  if (order?.when === 'before') obey(order);
  registrar.receive(message);
  if (order?.when === 'after') setImmediate(() => obey(order));
});
