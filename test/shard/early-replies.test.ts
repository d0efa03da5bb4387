/** Replies to H3 that wait for an answer (lp2.md §4): in order, and a bounded number in one batch. */
import test from 'ava';
import type { SessionFamily } from '../../src/lp/session.ts';
import { EarlyReplies } from '../../src/shard/early-replies.ts';
import { shard } from '../support/scenario.ts';

const SECOND = 1_000;

function family(id: number, settled: (id: number) => void = () => undefined): SessionFamily {
  return { id, source: 1, answer: () => undefined, settleEarly: () => settled(id) };
}

test('they come in the order in which they were added, each once and not before its time', (t) => {
  const replies = new EarlyReplies();
  const taken: number[] = [];
  for (let i = 0; i < 5_000; i++) {
    replies.add({ family: family(i), connection: i, deadlineMs: i + SECOND });
    // Two come for each that goes, until no more come.
    const due = i % 2 === 0 ? replies.takeDue(i / 2 + SECOND) : undefined;
    if (due !== undefined) taken.push(due.family.id);
  }
  t.is(replies.takeDue(SECOND), undefined);
  t.is(replies.length, 2_500);
  for (let due = replies.takeDue(1e9); due !== undefined; due = replies.takeDue(1e9)) taken.push(due.connection);
  t.is(replies.length, 0);
  t.deepEqual(
    taken,
    Array.from({ length: 5_000 }, (_, i) => i),
  );
});

test('a batch settles 256 of them at most, and any batch does', (t) => {
  const { harness } = shard();
  const settled: number[] = [];
  for (let i = 0; i < 600; i++) {
    harness.shard.earlyReplyPending(
      family(i, (id) => settled.push(id)),
      harness.monotonicMs + SECOND,
    );
  }
  harness.later(SECOND - 1);
  harness.tick();
  t.is(settled.length, 0);
  harness.later(1);
  harness.tick();
  t.is(settled.length, 256);
  harness.packet(new Uint8Array(40));
  t.is(settled.length, 512);
  harness.tick();
  harness.tick();
  t.deepEqual(
    settled,
    Array.from({ length: 600 }, (_, i) => i),
  );
});
