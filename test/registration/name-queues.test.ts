/** Jobs of one name in order, of different names beside each other, exclusive ones alone. */
import test from 'ava';
import { NameQueues } from '../../src/registration/name-queues.ts';

/** Jobs that end when they are told to, and what has happened so far. */
function createWorld(bound = 100) {
  const queues = new NameQueues(bound);
  const events: string[] = [];
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const job = (label: string) => async () => {
    events.push(`${label} begins`);
    const gate = Promise.withResolvers<void>();
    gates.set(label, gate);
    await gate.promise;
    events.push(`${label} ends`);
    return label;
  };
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const end = async (label: string) => {
    gates.get(label)?.resolve();
    await turn();
  };
  const fail = async (label: string) => {
    gates.get(label)?.reject(new Error(label));
    await turn();
  };
  return { queues, events, job, turn, end, fail };
}

test('jobs of one name run in order, those of another beside them', async (t) => {
  const { queues, events, job, turn, end } = createWorld();
  void queues.run('a', job('a1'));
  void queues.run('a', job('a2'));
  void queues.run('b', job('b1'));
  await turn();
  t.deepEqual(events, ['a1 begins', 'b1 begins']);
  await end('a1');
  t.deepEqual(events.slice(2), ['a1 ends', 'a2 begins']);
  await end('a2');
  await end('b1');
  t.is(queues.length, 0);
});

test('an exclusive job runs after all before it and before all after it', async (t) => {
  const { queues, events, job, turn, end } = createWorld();
  void queues.run('a', job('a1'));
  void queues.run('b', job('b1'));
  void queues.runExclusive(job('alone'));
  void queues.run('a', job('a2'));
  void queues.run('c', job('c1'));
  void queues.runExclusive(job('last'));
  await turn();
  await end('b1');
  t.false(events.includes('alone begins'));
  await end('a1');
  t.deepEqual(events.slice(-1), ['alone begins']);
  await end('alone');
  t.deepEqual(events.slice(-2), ['a2 begins', 'c1 begins']);
  await end('c1');
  await end('a2');
  t.deepEqual(events.slice(-1), ['last begins']);
  const idle = queues.idle();
  await end('last');
  await idle;
  t.is(queues.length, 0);
});

test('a job that fails holds up neither its name nor an exclusive one', async (t) => {
  const { queues, events, job, turn, end, fail } = createWorld();
  const failing = queues.run('a', job('a1'));
  void queues.run('a', job('a2'));
  const alone = queues.runExclusive(job('alone'));
  const rejects = t.throwsAsync(failing, { message: 'a1' });
  await turn();
  await fail('a1');
  await rejects;
  await end('a2');
  t.deepEqual(events.slice(-1), ['alone begins']);
  const refused = t.throwsAsync(alone, { message: 'alone' });
  await fail('alone');
  await refused;
  const next = queues.run('a', job('a3'));
  await turn();
  await end('a3');
  t.is(await next, 'a3');
});

test('queues are full at their bound, and exclusive jobs count', async (t) => {
  const { queues, job, turn, end } = createWorld(2);
  void queues.run('a', job('a1'));
  t.false(queues.isFull);
  void queues.runExclusive(job('alone'));
  t.true(queues.isFull);
  await turn();
  await end('a1');
  await end('alone');
  t.false(queues.isFull);
});
