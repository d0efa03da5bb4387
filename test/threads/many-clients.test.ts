/** The whole path under load: sockets, mailboxes, worker threads, replies. */
import test from 'ava';
import { startGateway } from '../support/test-gateway.ts';

const CLIENTS = 2_000;
const ADDRESSES = 400;
const ECHOES = 5;

function address(i: number): string {
  const n = i % ADDRESSES;
  return `127.${1 + (n >> 6)}.0.${1 + (n & 63)}`;
}

test('2,000 clients at once over 4 shards get every reply on their own connection and in order', async (t) => {
  const { gateway, client } = await startGateway(t, { set: ['gateway.shards=4'] });
  const first = await client();
  await first.open();
  const { kemKey } = first;
  const bodyOf = (i: number, n: number) => Uint8Array.from([i & 0xff, i >> 8, n]);

  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, (_, i) => client({ localAddress: address(i), kemKey })),
  );
  const early = await Promise.all(clients.map((c, i) => c.open(bodyOf(i, 255))));
  t.true(early.every(({ body }, i) => Buffer.compare(body, bodyOf(i, 255)) === 0));

  const echoes = await Promise.all(
    clients.map((c, i) => Promise.all(c.pipeline(Array.from({ length: ECHOES }, (_, n) => bodyOf(i, n))))),
  );
  t.true(echoes.every((frames, i) => frames.every(({ body }, n) => Buffer.compare(body, bodyOf(i, n)) === 0)));
  t.true(clients.every(({ answered }) => answered.join() === '1,2,3,4,5,6'));
  t.is(clients.filter(({ strays }) => strays > 0).length, 0);
  t.is(gateway.admission.sessions, CLIENTS + 1);
  t.true(gateway.batches.every(({ count }) => count > 10));
});
