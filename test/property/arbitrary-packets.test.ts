/**
 * Hostile packets into a shard with live sessions, records and a pending subsession: no exception, no change of state by
 * what is dropped or refused, and the true sessions go on. After opening, a drop may mark its counter, and a KK1 that does
 * not read starts the 10 s of lp2.md §6 rule 2 (d); nothing else.
 */
import test from 'ava';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { DROP_REASONS, type DropReason } from '../../src/lp/drop-reason.ts';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import { receiverIndex, TYPE } from '../../src/lp/wire/packet.ts';
import { COUNTERS } from '../../src/shard/stats.ts';
import { echoes, establish, initiatorFor, opaque, sealedFrame, startedRekey } from '../support/handshake.ts';
import { misuse, mutate } from '../support/hostile.ts';
import type { Prng } from '../support/prng.ts';
import { forSeeds, must, runs } from '../support/property.ts';
import { ShardHarness } from '../support/shard-harness.ts';
import { indicesOf, type ShardState, stateOf } from '../support/shard-state.ts';

const crypto = await loadProvider('native');
const PACKETS = 1_000;
const AFTER_OPENING: readonly DropReason[] = [
  'version',
  'type',
  'content',
  'no_kk',
  'handshake_failed',
  'indices_full',
];

interface World {
  readonly harness: ShardHarness;
  readonly families: readonly ClientFamily[];
  /** Valid packets of every type, some delivered before, some not; Close only under `closes`. */
  readonly pool: Uint8Array[];
  readonly closes: readonly Uint8Array[];
  readonly indices: readonly number[];
  /** The client whose KK2 is still under way: the gateway's pending subsession is its. */
  readonly rekeying: { readonly family: ClientFamily; readonly kk2: Uint8Array };
}

function makeWorld(prng: Prng): World {
  const random = prng.source();
  const gatewaySeed = prng.bytes(32);
  const harness = new ShardHarness({
    crypto,
    random,
    gatewaySeed,
    unixMs: 1_764_583_200_000,
    records: 48,
    indices: 64,
  });
  harness.createKemKey('ml-kem-768', prng.bytes(64));
  const pool: Uint8Array[] = [];
  const families: ClientFamily[] = [];
  for (let i = 0; i < 3; i++) {
    const { family, sent } = establish(harness, { crypto, random, clientSeed: prng.bytes(32) });
    families.push(family);
    pool.push(...sent);
  }
  const [first, second, third] = families as [ClientFamily, ClientFamily, ClientFamily];
  const kk1 = startedRekey(first, prng.chance(0.5), harness.now)!;
  pool.push(kk1.slice());
  const [kk2] = harness.replies(kk1);
  pool.push(kk2!.slice());
  // One that has rekeyed: its parent is demoted, and packets of the parent are in the pool.
  pool.push(sealedFrame(second, opaque(7))!);
  const [reply] = harness.replies(startedRekey(second, false, harness.now)!);
  const rekeyed = second.receive(reply!, harness.now);
  if (rekeyed.kind === 'rekeyed') for (const ready of rekeyed.packets) pool.push(...harness.replies(ready), ready);
  for (let i = 0; i < 4; i++) pool.push(sealedFrame(prng.pick(families), opaque(100 + i, prng.bytes(i * 9)))!);
  // Attempts that stand at their first packets.
  const waiting = initiatorFor(harness, { crypto, random });
  const start = waiting.start(harness.now);
  if (start.kind === 'send') {
    pool.push(...start.packets.map((packet) => packet.slice()));
    for (const packet of start.packets) harness.packet(packet);
  }
  const closer = establish(harness, { crypto, random }).family;
  const closes = [third, closer].map((family) => sealedClose(family));
  const indices = [0, ...indicesOf(harness.shard)];
  return { harness, families, pool, closes, indices, rekeying: { family: first, kk2: kk2! } };
}

/** A Close that is never sent as it is; the family seals on. */
function sealedClose(family: ClientFamily): Uint8Array {
  const { current } = family as unknown as { current: { transport: { seal: (...a: unknown[]) => Uint8Array } } };
  return current.transport.seal(crypto, TYPE.close, new Uint8Array(0));
}

function hostile(prng: Prng, world: World): Uint8Array {
  const { pool, closes, families, indices } = world;
  if (prng.chance(0.1)) return misuse(prng, crypto, prng.pick(families));
  if (prng.chance(0.03)) {
    const packet = mutate(prng, closes, indices);
    return closes.some((close) => Buffer.compare(close, packet) === 0) ? prng.bytes(34) : packet;
  }
  return mutate(prng, pool, indices);
}

const DROPS_AT = COUNTERS.length;
const REFUSALS_AT = COUNTERS.indexOf('refusals');

/** Why the last packet was dropped or refused; `undefined` when it was neither. */
function verdictOf(before: Float64Array, after: Float64Array): DropReason | 'refused' | undefined {
  for (let i = 0; i < DROP_REASONS.length; i++) {
    if (after[DROPS_AT + i] !== before[DROPS_AT + i]) return DROP_REASONS[i];
  }
  return after[REFUSALS_AT] !== before[REFUSALS_AT] ? 'refused' : undefined;
}

function mustBeUnchanged(verdict: string, packet: Uint8Array, before: ShardState, after: ShardState): void {
  const what = () =>
    `${verdict} changed the state, packet ${Buffer.from(packet).toString('hex').slice(0, 80)} (${packet.length} bytes)`;
  const onSession = packet.length >= 34 && receiverIndex(packet) >= 0x8000_0000;
  const opened = onSession && AFTER_OPENING.includes(verdict as DropReason);
  if (!opened) must(before.marks === after.marks, what);
  // An ignored KK1 is a valid packet: the first one on a pending session makes it the newest.
  if (opened && verdict === 'no_kk') return;
  must(before.keys.equals(after.keys), what);
  // A KK1 that was read and failed leaves its time.
  const failedKk1 = opened && (verdict === 'handshake_failed' || verdict === 'indices_full');
  if (!failedKk1) must(before.rest === after.rest, () => `${what()}\n${before.rest}\n${after.rest}`);
}

function play(prng: Prng): void {
  const world = makeWorld(prng);
  const { harness } = world;
  const values = harness.shard.stats.values;
  let counted = values.slice();
  let before = stateOf(harness.shard);
  for (let i = 0; i < PACKETS; i++) {
    if (prng.chance(0.02)) {
      harness.later(prng.below(1_500));
      harness.tick();
      before = stateOf(harness.shard);
    }
    const packet = hostile(prng, world);
    const sent = packet.slice();
    harness.packet(packet, { source: 1 + prng.below(3), flags: prng.below(8), connection: prng.below(5) });
    const after = stateOf(harness.shard);
    const verdict = verdictOf(counted, values);
    if (verdict !== undefined) mustBeUnchanged(verdict, sent, before, after);
    counted = values.slice();
    before = after;
    if (i % 100 === 99) {
      for (const family of world.families) must(echoes(harness, family, i), `a true session has no echo after ${i}`);
      counted = values.slice();
      before = stateOf(harness.shard);
    }
  }
  finish(world);
}

/** The KK2 of before the storm is still good: the pending subsession was not replaced, or KK1 may be sent again. */
function finish({ harness, rekeying }: World): void {
  const { family, kk2 } = rekeying;
  family.receive(kk2, harness.now);
  must(family.rekeys === 1, 'the KK2 from before is still taken');
  must(echoes(harness, family), 'the pending subsession is still there');
}

test('hostile packets bring no exception, change no state and stop no true session', (t) => {
  forSeeds(runs(100, 1_000), play);
  t.pass();
});
