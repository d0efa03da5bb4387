/**
 * A shard that admits LP1: handshakes that stand at every step, sessions in every state of a rekeying, and an input that is a
 * program of packets. No exception, no two messages under one key and nonce; afterwards every handshake finishes, every
 * session carries a forward, and every rekeying comes to its end (as test/property/lp1-shard.test.ts has it).
 */
import type { ClientSessionV1 } from '../../../src/lp/v1/client-session.ts';
import { writeLe32 } from '../../../src/lp/wire/bytes.ts';
import { encodeUnsealed, TYPE } from '../../../src/lp/wire/packet.ts';
import { ANSWER, REQUEST } from '../../../src/shard/messages.ts';
import { mutate } from '../../../test/support/hostile.ts';
import { HostileClient, sealAnyV1, watchNonces } from '../../../test/support/lp1-hostile.ts';
import {
  answerForward,
  answerIndex,
  connectV1,
  crypto,
  dataPacket,
  familyOf,
  finish,
  forwardPayload,
  forwards,
  type Ground,
  lp1Gateway,
  type Opening,
  onlyRequest,
  type Request,
  registrationPayload,
  rekeyV1,
  requestsOf,
  STEPS,
  startRekey,
  upTo,
} from '../../../test/support/lp1-shard.ts';
import { Prng } from '../../../test/support/prng.ts';
import { indicesOf } from '../../../test/support/shard-state.ts';
import { Tape } from '../tape.ts';
import { type FuzzTarget, oracle } from '../target.ts';

const MAX_STEPS = 64;
const TYPES = Object.values(TYPE);

interface World {
  readonly ground: Ground;
  readonly openings: readonly Opening[];
  readonly plain: ClientSessionV1;
  readonly rekeyed: ClientSessionV1;
  readonly answered: { readonly session: ClientSessionV1; readonly ready: Uint8Array; readonly parent: number };
  readonly claiming: { readonly session: ClientSessionV1; readonly claim: Request; readonly parent: number };
  /** Misuses its own keys: of its session nothing is expected. */
  readonly misuser: ClientSessionV1;
  readonly pool: Uint8Array[];
  readonly indices: readonly number[];
}

function makeWorld(): World {
  const prng = new Prng(5);
  const ground = lp1Gateway({ crypto: watchNonces(crypto) }, prng);
  const { harness } = ground;
  const pool: Uint8Array[] = [];
  const openings = STEPS.map((step) => upTo(ground, step, { clientSeed: prng.bytes(32) }));
  for (const { sent, replies } of openings) pool.push(...sent, ...replies);
  const join = () => {
    const { session, sent, replies } = connectV1(ground, { clientSeed: prng.bytes(32) });
    pool.push(...sent, ...replies);
    return session;
  };
  const [plain, rekeyed, answeredSession, claimingSession, misuser] = [join(), join(), join(), join(), join()] as const;
  for (const session of [plain, rekeyed]) {
    const packet = dataPacket(session, forwardPayload());
    pool.push(packet.slice());
    harness.packet(packet);
  }
  const whole = rekeyV1(ground, rekeyed);
  const answered = startRekey(ground, answeredSession);
  const claiming = startRekey(ground, claimingSession);
  for (const { kk1, kk2 } of [whole, answered, claiming]) pool.push(kk1, kk2);
  pool.push(whole.ready, claiming.ready);
  const claim = onlyRequest(harness.packet(claiming.ready.slice()));
  return {
    ground,
    openings,
    plain,
    rekeyed,
    answered: { session: answeredSession, ...answered },
    claiming: { session: claimingSession, claim, parent: claiming.parent },
    misuser,
    pool,
    indices: [0, ...indicesOf(harness.shard)],
  };
}

function hostile(tape: Tape, world: World): Uint8Array {
  const { ground, pool, indices } = world;
  switch (tape.below(8)) {
    case 0:
      return new HostileClient(ground, { index: tape.chance(0.5) ? tape.pick(indices) : tape.word() }).hello();
    case 1: {
      const content = new Uint8Array(tape.pick([0, 23, 87, 289, tape.below(200)]));
      content.set(tape.take(Math.min(content.length, 40)));
      return encodeUnsealed(tape.pick(indices), tape.below(5), tape.pick(TYPES), content, 1);
    }
    case 2:
    case 3:
      return misuse(tape, world);
    default:
      return mutate(tape, pool, indices);
  }
}

/** All of it opens under the outer key; some of it inside, too. */
function misuse(tape: Tape, { misuser, indices }: World): Uint8Array {
  const { transport } = familyOf(misuser).current;
  if (tape.chance(0.4)) {
    const payload = tape.pick([registrationPayload(), forwardPayload(), new Uint8Array(90)]);
    const at = tape.below(payload.length);
    payload.set(tape.take(Math.min(tape.below(12), payload.length - at)), at);
    return dataPacket(misuser, payload);
  }
  const content = new Uint8Array(tape.pick([0, 4, 56, 64, 80, tape.below(200)]));
  content.set(tape.take(Math.min(content.length, 24)));
  if (content.length === 4 && tape.chance(0.5)) writeLe32(content, 0, tape.pick(indices));
  return sealAnyV1(transport, tape.chance(0.15) ? tape.below(5) : 1, tape.pick(TYPES), content);
}

function answerAll({ ground, claiming }: World, tape: Tape, requests: readonly Request[]): void {
  for (const { key, request } of requests) {
    if (key === claiming.claim.key) continue;
    if (request === REQUEST.index) answerIndex(ground.harness, key, tape.chance(0.5));
    else if (request === REQUEST.registration) ground.harness.answer(key, ANSWER.registration, tape.take(9));
    else answerForward(ground.harness, key, new Uint8Array(34 + tape.below(90)));
  }
}

function run(input: Uint8Array): void {
  const tape = new Tape(input);
  const world = makeWorld();
  const { harness } = world.ground;
  for (let step = 0; step < MAX_STEPS && !tape.ended; step++) {
    if (tape.chance(0.02)) {
      harness.later(tape.below(500));
      harness.tick();
    }
    const envelope = { source: 2 + tape.below(3), flags: tape.below(8), connection: tape.below(5) };
    answerAll(world, tape, requestsOf(harness.packet(hostile(tape, world), envelope)));
  }
  settle(world);
}

function settle({ ground, openings, answered, claiming, plain, rekeyed }: World): void {
  const { harness } = ground;
  for (const [i, opening] of openings.entries()) {
    oracle(forwards(ground, finish(ground, opening).session), `the handshake that stood at ${STEPS[i]} is done`);
  }
  oracle(forwards(ground, claiming.session, claiming.parent), 'the parent of a claim serves');
  answerIndex(harness, claiming.claim.key, true);
  oracle(forwards(ground, claiming.session), 'the claim is settled');
  oracle(forwards(ground, answered.session, answered.parent), 'the parent of an answered rekeying serves');
  answerIndex(harness, onlyRequest(harness.packet(answered.ready.slice())).key, true);
  oracle(forwards(ground, answered.session), 'the Ready of before is good');
  for (const session of [plain, rekeyed]) {
    rekeyV1(ground, session);
    oracle(forwards(ground, session), 'a session rekeys');
  }
}

function seeds(): Uint8Array[] {
  const prng = new Prng(12);
  return Array.from({ length: 8 }, (_, i) => prng.bytes(12 + 20 * i));
}

export const targets: readonly FuzzTarget[] = [
  { name: 'core-lp1-shard', run, seeds, maxLength: 400, batch: 8, weight: 5 },
];
