/**
 * Hostile packets into a shard that admits LP1: handshakes that stand at every step, sessions in every state of a rekeying.
 * No exception, no two messages under one key and nonce, and afterwards every handshake finishes, every session carries a
 * forward, and every rekeying comes to its end.
 */
import test from 'ava';
import type { ClientSessionV1 } from '../../src/lp/v1/client-session.ts';
import { writeLe32 } from '../../src/lp/wire/bytes.ts';
import { encodeUnsealed, TYPE } from '../../src/lp/wire/packet.ts';
import { ANSWER, REQUEST } from '../../src/shard/messages.ts';
import { mutate } from '../support/hostile.ts';
import { HostileClient, sealAnyV1, splicedH1, watchNonces } from '../support/lp1-hostile.ts';
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
  START_UNIX_MS,
  STEPS,
  startRekey,
  upTo,
} from '../support/lp1-shard.ts';
import type { Prng } from '../support/prng.ts';
import { forSeeds, must, runs } from '../support/property.ts';
import { indicesOf } from '../support/shard-state.ts';

const PACKETS = 900;
const H1_LENGTH = 291;
/** Of one client's three Handshakes 1 the attackers take no more, or the genuine one would find no room. */
const MAX_SPLICED = 2;
const REACHES = [
  ...['version', 'type', 'content', 'tag', 'duplicate', 'handshake_failed', 'no_kk', 'inner_tag', 'read_only'],
  ...['index_taken', 'unknown_payload', 'clock', 'index_range', 'unknown_index', 'length', 'counter'],
  ...['hellos', 'hello_repeats', 'collisions', 'kkt_responses', 'h1_read', 'handshake_repeats', 'refusals', 'kk2_sent'],
  ...['registrations', 'forwards', 'rekeys'],
];

interface World {
  readonly ground: Ground;
  /** One at each step; the packet of that step was not sent. */
  readonly openings: readonly Opening[];
  readonly sessions: readonly ClientSessionV1[];
  /** KK1 answered, and Ready in the client's hands. */
  readonly answered: { readonly session: ClientSessionV1; readonly ready: Uint8Array; readonly parent: number };
  /** Ready accepted; the claim waits. */
  readonly claiming: { readonly session: ClientSessionV1; readonly claim: Request; readonly parent: number };
  /** A client that misuses its own keys: of its session nothing is expected. */
  readonly misuser: ClientSessionV1;
  /** Packets of either side that were sent. */
  readonly pool: Uint8Array[];
  readonly indices: readonly number[];
  /** Handshakes 1 by their bytes, and how often each was spliced. */
  readonly spliced: Map<Uint8Array, number>;
}

function makeWorld(prng: Prng): World {
  const ground = lp1Gateway({ crypto: watchNonces(crypto) }, prng);
  const { harness } = ground;
  const pool: Uint8Array[] = [];
  const opened = STEPS.map((step) => upTo(ground, step, { clientSeed: prng.bytes(32) }));
  const connected = Array.from({ length: 5 }, () => connectV1(ground, { clientSeed: prng.bytes(32) }));
  for (const { sent, replies } of [...opened, ...connected]) pool.push(...sent, ...replies);
  const [plain, rekeyed, answeredSession, claimingSession, misuser] = connected.map(({ session }) => session) as [
    ClientSessionV1,
    ClientSessionV1,
    ClientSessionV1,
    ClientSessionV1,
    ClientSessionV1,
  ];
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
    openings: opened,
    sessions: [plain, rekeyed],
    answered: { session: answeredSession, ...answered },
    claiming: { session: claimingSession, claim, parent: claiming.parent },
    misuser,
    pool,
    indices: [0, ...indicesOf(harness.shard)],
    spliced: new Map(pool.filter(({ length }) => length === H1_LENGTH).map((h1) => [h1, 0])),
  };
}

function hostile(prng: Prng, world: World): Uint8Array {
  const { ground, pool, indices } = world;
  const kind = prng.below(20);
  if (kind === 0) return splice(prng, world);
  if (kind === 1)
    return new HostileClient(ground, { index: prng.chance(0.5) ? prng.pick(indices) : prng.word() }).hello();
  if (kind === 2) return anonymousKkt(prng, prng.pick(indices));
  if (kind < 6) return misuse(prng, world.misuser, indices);
  if (kind === 6)
    return encodeUnsealed(
      prng.pick(indices),
      prng.below(5),
      prng.pick(Object.values(TYPE)),
      prng.bytes(prng.below(300)),
      1,
    );
  return mutate(prng, pool, indices);
}

/** Answered with two signature operations, whoever asks. */
function anonymousKkt(prng: Prng, index: number): Uint8Array {
  const content = prng.bytes(23);
  content.set([0x10, 0x02, 0xff, 0, 0, 0, 0]);
  return encodeUnsealed(index, 0, TYPE.kktRequest, content, 1);
}

function splice(prng: Prng, { ground, spliced }: World): Uint8Array {
  const [h1, n] = prng.pick([...spliced]);
  if (n >= MAX_SPLICED) return h1.slice();
  spliced.set(h1, n + 1);
  return splicedH1(ground, h1);
}

/** All of it opens under the outer key; some of it inside, too. */
function misuse(prng: Prng, session: ClientSessionV1, indices: readonly number[]): Uint8Array {
  const { transport } = familyOf(session).current;
  if (prng.chance(0.3)) {
    const payload = prng.pick([
      registrationPayload({ timestamp: prng.chance(0.5) ? BigInt(START_UNIX_MS / 1_000) : BigInt(prng.word()) << 32n }),
      forwardPayload(),
      prng.bytes(90),
    ]);
    if (prng.chance(0.5)) payload[prng.below(payload.length)]! ^= 1 << prng.below(8);
    return dataPacket(session, payload);
  }
  if (prng.chance(0.1)) {
    familyOf(session).abandonRekey();
    const kk1 = session.startRekey(undefined, { monotonicMs: 0, unixMs: 0 });
    if (kk1.kind === 'packet') return kk1.packet;
  }
  const content = prng.bytes(prng.chance(0.8) ? prng.pick([0, 4, 56, 64, 80]) : prng.below(200));
  if (content.length === 4 && prng.chance(0.5)) writeLe32(content, 0, prng.pick(indices));
  return sealAnyV1(transport, prng.chance(0.15) ? prng.below(5) : 1, prng.pick(Object.values(TYPE)), content);
}

/** Whatever the misuser's packets ask for is answered; the claim that waits is not. */
function answerAll({ ground, claiming }: World, prng: Prng, requests: readonly Request[]): void {
  for (const { key, request } of requests) {
    if (key === claiming.claim.key) continue;
    if (request === REQUEST.index) answerIndex(ground.harness, key, prng.chance(0.5));
    else if (request === REQUEST.registration) ground.harness.answer(key, ANSWER.registration, prng.bytes(9));
    else answerForward(ground.harness, key, prng.bytes(34 + prng.below(90)));
  }
}

/** What became of the packets, by reason or kind: to see that they get as far as they are meant to. */
type Reached = Map<string, number>;

function play(prng: Prng, reached: Reached): void {
  const world = makeWorld(prng);
  const { ground } = world;
  for (let i = 0; i < PACKETS; i++) {
    if (prng.chance(0.01)) {
      ground.harness.later(prng.below(500));
      ground.harness.tick();
    }
    const packet = hostile(prng, world);
    const envelope = { source: 2 + prng.below(3), flags: prng.below(8), connection: prng.below(5) };
    answerAll(world, prng, requestsOf(ground.harness.packet(packet, envelope)));
    if (i % 300 === 299) for (const session of world.sessions) must(forwards(ground, session), `a forward after ${i}`);
  }
  settle(world);
  const { drops, counters } = ground.harness.stats;
  for (const [name, n] of Object.entries({ ...drops, ...counters })) reached.set(name, (reached.get(name) ?? 0) + n);
}

function settle({ ground, openings, answered, claiming, sessions }: World): void {
  const { harness } = ground;
  for (const [i, opening] of openings.entries()) {
    must(forwards(ground, finish(ground, opening).session), `the handshake that stood at ${STEPS[i]} is done`);
  }
  must(forwards(ground, claiming.session, claiming.parent), 'the parent of a claim serves');
  answerIndex(harness, claiming.claim.key, true);
  must(forwards(ground, claiming.session), 'the claim is settled');
  must(forwards(ground, answered.session, answered.parent), 'the parent of an answered rekeying serves');
  answerIndex(harness, onlyRequest(harness.packet(answered.ready.slice())).key, true);
  must(forwards(ground, answered.session), 'the Ready of before is good');
  for (const session of sessions) {
    rekeyV1(ground, session);
    must(forwards(ground, session), 'a session rekeys');
  }
}

test('hostile packets bring no exception and stop no handshake, session or rekeying of LP1', (t) => {
  const reached: Reached = new Map();
  forSeeds(runs(25, 1_500), (prng) => play(prng, reached));
  for (const name of REACHES) t.true((reached.get(name) ?? 0) > 20, `${name}: ${reached.get(name)}`);
});
