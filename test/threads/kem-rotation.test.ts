/** KEM keys change under clients that hold the old one (lp2.md §4.1, §4.4). The clock is stepped. */
import test from 'ava';
import { steppedClock } from '../../src/system/clock.ts';
import { startGateway, until } from '../support/test-gateway.ts';
import { magicPacket } from './fixtures/magic.ts';

const ROTATION_S = 60;
const GRACE_S = 300;
/** Ticks after which the gateway looks at its keys. */
const TICKS = 4;

test('after a rotation both keys are taken; past its grace the old one gets Error 4 and the client a new one', async (t) => {
  const clock = steppedClock();
  const set = ['gateway.shards=2', `lifetimes.kem_rotation=${ROTATION_S}`];
  const { gateway, client } = await startGateway(t, { set, dependencies: { clock } });
  const pass = (seconds: number) => {
    clock.advance(seconds * 1_000);
    for (let i = 0; i < TICKS; i++) gateway.tick();
  };
  const now = () => clock.now();
  const first = await client({ now });
  await first.open();
  const old = first.kemKey!;

  pass(ROTATION_S);
  const second = await client({ now, kemKey: old });
  await second.open();
  t.deepEqual([second.hints, second.kemKey], [[], old]);
  const third = await client({ now });
  await third.open();
  t.notDeepEqual(third.kemKey?.keyId, old.keyId);

  pass(ROTATION_S + GRACE_S + 1);
  // A client whose clock is behind, and who knows that: its key is still valid for it.
  const behindMs = (ROTATION_S + GRACE_S + 1) * 1_000;
  const behind = () => ({ monotonicMs: clock.now().monotonicMs, unixMs: clock.now().unixMs - behindMs });
  const late = await client({ now: behind, clockOffsetMs: behindMs, kemKey: old });
  await late.open();
  t.deepEqual(late.hints, [{ kind: 'error', code: 4 }]);
  t.notDeepEqual(late.kemKey?.keyId, old.keyId);
});

test('a gateway that was started anew answers a kept key with Error 4, and the handshake goes on with a new one', async (t) => {
  const set = ['gateway.shards=2'];
  const before = await startGateway(t, { set });
  const earlier = await before.client();
  await earlier.open();
  await before.gateway.stop();
  const after = await startGateway(t, { set });
  const later = await after.client({ kemKey: earlier.kemKey });
  await later.open();
  t.deepEqual(later.hints, [{ kind: 'error', code: 4 }]);
  t.notDeepEqual(later.kemKey?.keyId, earlier.kemKey?.keyId);
});

test('a shard that replaces a lost one has the same keys', async (t) => {
  const entry = new URL('./fixtures/handler-throws.ts', import.meta.url);
  const { gateway, client } = await startGateway(t, { entry, set: ['gateway.shards=1'] });
  const user = await client();
  await user.open();
  const { kemKey } = user;
  user.send([magicPacket(user.family.index)]);
  await until(() => gateway.hosts[0]!.epoch === 1 && gateway.hosts[0]!.running, 'the shard is replaced');
  const next = await client({ kemKey });
  await next.open();
  t.deepEqual([next.hints, next.kemKey?.keyId], [[], kemKey?.keyId]);
});
