/** When quotes end, also where the clock was ahead and has come back. */
import test from 'ava';
import { type Quote, Quotes } from '../../src/registration/quotes.ts';

const HOLD = 120;

function quote(n: number, now: number): Quote {
  return {
    name: { mode: 'mixnet', clientId: new Uint8Array(32).fill(n) },
    ownerHash: new Uint8Array(32),
    tunnel: undefined,
    source: '127.0.0.1',
    family: 'one',
    heldUntil: now + HOLD,
  };
}

test('a quote ends when its time is over, in the order in which they were made', (t) => {
  const ended: number[] = [];
  const quotes = new Quotes(HOLD, ({ name }) => ended.push('clientId' in name ? (name.clientId[0] ?? 0) : 0));
  for (const n of [1, 2, 3]) quotes.add(quote(n, 1_000 + n));
  quotes.expire(1_122);
  t.deepEqual(ended, [1, 2]);
  quotes.expire(1_123);
  t.deepEqual([ended, quotes.size, quotes.ofSource('127.0.0.1')], [[1, 2, 3], 0, 0]);
});

test('one of a clock that was hours ahead ends with the others once the clock is back', (t) => {
  const quotes = new Quotes(HOLD, () => undefined);
  quotes.add(quote(1, 1_000));
  quotes.add(quote(2, 1_000 + 4 * 3_600));
  quotes.add(quote(3, 1_001));
  quotes.expire(1_001);
  t.is(quotes.size, 3);
  quotes.expire(1_001 + HOLD);
  t.is(quotes.size, 0);
});
