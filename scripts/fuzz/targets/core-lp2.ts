/**
 * A shard with LP2 sessions and records in every state, and an input that is a program of packets: raw ones, valid ones
 * changed or repeated, sealed ones of any type and content, ticks, answers. What is dropped or refused changes nothing but
 * its mark (as test/property/arbitrary-packets.test.ts has it), and afterwards every true session goes on.
 */
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { DROP_REASONS, type DropReason } from '../../../src/lp/drop-reason.ts';
import type { ClientFamily } from '../../../src/lp/v2/client-family.ts';
import { encodeFailure } from '../../../src/lp/wire/application-frame.ts';
import { writeLe32 } from '../../../src/lp/wire/bytes.ts';
import { receiverIndex, TYPE } from '../../../src/lp/wire/packet.ts';
import { ANSWER } from '../../../src/shard/messages.ts';
import { COUNTERS } from '../../../src/shard/stats.ts';
import { echoes, establish, initiatorFor, opaque, sealedFrame, startedRekey } from '../../../test/support/handshake.ts';
import { misuse, mutate, sealAny, transportOf } from '../../../test/support/hostile.ts';
import { Prng } from '../../../test/support/prng.ts';
import { ShardHarness } from '../../../test/support/shard-harness.ts';
import { indicesOf, type ShardState, stateOf } from '../../../test/support/shard-state.ts';
import { Tape } from '../tape.ts';
import { type FuzzTarget, oracle } from '../target.ts';

const crypto = await loadProvider('native');
const MAX_STEPS = 64;
/** Past the tag a packet may mark its counter, and a KK1 that does not read starts its time. */
const AFTER_OPENING: readonly string[] = ['version', 'type', 'content', 'no_kk', 'handshake_failed', 'indices_full'];
const DROPS_AT = COUNTERS.length;
const REFUSALS_AT = COUNTERS.indexOf('refusals');

interface World {
  readonly harness: ShardHarness;
  readonly families: readonly [ClientFamily, ClientFamily, ClientFamily];
  readonly pool: Uint8Array[];
  readonly indices: readonly number[];
  readonly kk2: Uint8Array;
}

function first(packets: readonly (Uint8Array | undefined)[]): Uint8Array {
  const [packet] = packets;
  if (packet === undefined) throw new Error('the world cannot be made: a packet is missing');
  return packet;
}

function makeWorld(): World {
  const prng = new Prng(5);
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
  const join = () => {
    const { family, sent } = establish(harness, { crypto, random, clientSeed: prng.bytes(32) });
    pool.push(...sent);
    return family;
  };
  const families = [join(), join(), join()] as const;
  const [rekeying, rekeyed] = families;
  const kk1 = first([startedRekey(rekeying, false, harness.now)]);
  pool.push(kk1.slice());
  const kk2 = first(harness.replies(kk1));
  pool.push(kk2.slice(), first([sealedFrame(rekeyed, opaque(7))]));
  const received = rekeyed.receive(
    first(harness.replies(first([startedRekey(rekeyed, true, harness.now)]))),
    harness.now,
  );
  if (received.kind === 'rekeyed')
    for (const ready of received.packets) pool.push(ready.slice(), ...harness.replies(ready));
  for (const family of families) pool.push(first([sealedFrame(family, opaque(100))]));
  const start = initiatorFor(harness, { crypto, random }).start(harness.now);
  if (start.kind === 'send') for (const packet of start.packets) pool.push(packet.slice(), ...harness.replies(packet));
  return { harness, families, pool, indices: [0, ...indicesOf(harness.shard)], kk2 };
}

function hostile(tape: Tape, { pool, indices, families }: World): Uint8Array {
  switch (tape.below(6)) {
    case 0:
      return misuse(tape, crypto, tape.pick(families));
    case 1:
      return sealedFromTape(tape, tape.pick(families.slice(1)));
    case 2: {
      const raw = new Uint8Array(34 + tape.below(120));
      raw.set(tape.take(tape.below(raw.length - 3)), 4);
      writeLe32(raw, 0, tape.pick(indices));
      return raw;
    }
    default:
      return mutate(tape, pool, indices);
  }
}

/** What holds a session of its own may seal anything; Close, Ready and Abort would rightly change it. */
function sealedFromTape(tape: Tape, family: ClientFamily): Uint8Array {
  const types = [
    TYPE.encryptedData,
    TYPE.subsessionKk1,
    TYPE.subsessionKk2,
    TYPE.ack,
    TYPE.subsessionRequest,
    TYPE.error,
  ];
  const content = new Uint8Array(tape.pick([0, 4, 5, 12, 53, 56, tape.below(200)]));
  content.set(tape.take(Math.min(content.length, 40)));
  return sealAny(crypto, transportOf(family), 2, tape.pick(types), content);
}

function verdictOf(before: Float64Array, after: Float64Array): DropReason | 'refused' | undefined {
  const reason = DROP_REASONS.find((_, i) => after[DROPS_AT + i] !== before[DROPS_AT + i]);
  return reason ?? (after[REFUSALS_AT] !== before[REFUSALS_AT] ? 'refused' : undefined);
}

function mustBeUnchanged(verdict: string, packet: Uint8Array, before: ShardState, after: ShardState): void {
  const opened = packet.length >= 34 && receiverIndex(packet) >= 0x8000_0000 && AFTER_OPENING.includes(verdict);
  if (!opened) oracle(before.marks === after.marks, `${verdict} left a mark`);
  // An ignored KK1 is a valid packet: the first one on a pending session makes it the newest.
  if (opened && verdict === 'no_kk') return;
  oracle(before.keys.equals(after.keys), `${verdict} changed keys`);
  const failedKk1 = opened && (verdict === 'handshake_failed' || verdict === 'indices_full');
  if (!failedKk1) oracle(before.rest === after.rest, () => `${verdict} changed ${before.rest} to ${after.rest}`);
}

function run(input: Uint8Array): void {
  const tape = new Tape(input);
  const world = makeWorld();
  const { harness } = world;
  const { values } = harness.shard.stats;
  let before = stateOf(harness.shard);
  for (let step = 0; step < MAX_STEPS && !tape.ended; step++) {
    if (tape.chance(0.04)) {
      harness.later(tape.below(1_500));
      harness.tick();
      before = stateOf(harness.shard);
    }
    const packet = hostile(tape, world);
    const sent = packet.slice();
    const counted = values.slice();
    const envelope = { source: 1 + tape.below(3), flags: tape.below(8), connection: tape.below(5) };
    const effects = harness.packet(packet, envelope);
    let after = stateOf(harness.shard);
    const verdict = verdictOf(counted, values);
    if (verdict !== undefined) mustBeUnchanged(verdict, sent, before, after);
    for (const effect of effects) {
      if (effect.kind !== 'request' || tape.chance(0.3)) continue;
      if (tape.chance(0.5)) harness.answer(effect.key, ANSWER.registration, tape.take(tape.below(40)));
      else harness.answer(effect.key, ANSWER.failure, encodeFailure({ code: tape.below(6), text: '' }));
      after = stateOf(harness.shard);
    }
    before = after;
  }
  finish(world);
}

function finish({ harness, families, kk2 }: World): void {
  for (const family of families) oracle(echoes(harness, family, 0xeee), 'a true session is answered');
  const [rekeying] = families;
  rekeying.receive(kk2, harness.now);
  oracle(rekeying.rekeys === 1, 'the KK2 from before is still taken');
  oracle(echoes(harness, rekeying), 'the pending subsession is still there');
}

function seeds(): Uint8Array[] {
  const prng = new Prng(11);
  return Array.from({ length: 8 }, (_, i) => prng.bytes(12 + 20 * i));
}

export const targets: readonly FuzzTarget[] = [
  { name: 'core-lp2-shard', run, seeds, maxLength: 400, batch: 16, weight: 5 },
];
