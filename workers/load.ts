/** Thread entry of the load generator: its share of the plan, with the messages of the main thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { LoadThread } from '../src/load/load-thread.ts';
import type { LoadWorkerData, ToThread } from '../src/load/messages.ts';
import { loadProvider } from '../src/lp/crypto/load.ts';
import { systemClock } from '../src/system/clock.ts';
import { systemRandom } from '../src/system/random.ts';

const port = parentPort;
if (port === null) throw new Error('workers/load is the entry of a thread');

const { plan, share } = workerData as LoadWorkerData;
const thread = new LoadThread(plan, share, {
  crypto: await loadProvider('auto'),
  random: systemRandom,
  clock: systemClock,
  post: (message) => {
    port.postMessage(message);
    // The port is what keeps the thread alive.
    if (message.kind === 'done') port.close();
  },
});
port.on('message', (message: ToThread) => thread.receive(message));
await thread.prepare();
