import test from 'ava';
import { systemTimers } from '../../src/system/timers.ts';

test('an action runs once its time has come, a cancelled one never', async (t) => {
  const ran: string[] = [];
  const cancel = systemTimers.after(0, () => ran.push('cancelled'));
  cancel();
  cancel();
  await new Promise<void>((resolve) => systemTimers.after(1, resolve));
  t.deepEqual(ran, []);
});
