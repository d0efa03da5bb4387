/** The gate before the acceptor: whom it refuses, and how many get in to be told Busy. Time is an argument. */
import test from 'ava';
import { Gate } from '../../src/gateway/gate.ts';

/** Connections per second that get in although they will be told Busy. */
const POLITE = 50;

function gate() {
  const host = { ms: 0, full: true, asked: [] as string[], refused: 0 };
  const made = new Gate({
    nowMs: () => host.ms,
    hasRoom: (address) => {
      host.asked.push(address);
      return !host.full;
    },
    refused: () => host.refused++,
  });
  const letIn = (n: number) => {
    let count = 0;
    for (let i = 0; i < n; i++) if (!made.check('192.0.2.1')) count++;
    return count;
  };
  return { host, letIn };
}

test('whoever finds room gets in, and nobody is counted', (t) => {
  const { host, letIn } = gate();
  host.full = false;
  t.is(letIn(10_000), 10_000);
  t.is(host.refused, 0);
  t.is(host.asked[0], '192.0.2.1');
});

test('without room a number per second gets in to be told Busy, the others are refused', (t) => {
  const { host, letIn } = gate();
  t.is(letIn(1_000), POLITE);
  t.is(letIn(1_000), 0);
  host.ms = 500;
  t.is(letIn(1_000), POLITE / 2);
  host.ms = 60_000;
  t.is(letIn(1_000), POLITE, 'what was not used is not saved');
  t.is(host.refused, 4_000 - 2.5 * POLITE);
});

test('those who find room take nothing from the others', (t) => {
  const { host, letIn } = gate();
  host.full = false;
  letIn(1_000);
  host.full = true;
  t.is(letIn(1_000), POLITE);
});
