/**
 * The Nym connections of a shard under any order of messages, ends, late places and ticks: what admission reserved is given
 * back exactly once, a connection is ended once at most, and nothing is said after its end.
 */
import { randomBytes } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { nymCrypto } from '../../src/lp/crypto/nym-load.ts';
import { encodeNymForward } from '../../src/lp/nym/forward.ts';
import { NymInitiator } from '../../src/lp/nym/initiator.ts';
import { encodeNymRequest } from '../../src/lp/nym/registration.ts';
import { ADMIT, RELEASE } from '../../src/shard/messages.ts';
import { NymConnections, type NymShardOptions } from '../../src/shard/nym/connections.ts';
import { STREAM_ANSWER } from '../../src/shard/stream-messages.ts';
import { systemRandom } from '../../src/system/random.ts';
import { runs, SEED } from '../support/property.ts';

const crypto = await loadProvider('auto');
const nym = nymCrypto(crypto);
const UNIX_S = 1_780_000_000;
const key32 = () => Uint8Array.from(randomBytes(32));
const OPTIONS: NymShardOptions = {
  lpSecret: key32(),
  kemSeed: Uint8Array.from(randomBytes(64)),
  handshakeMs: 90_000,
  lifetimes: { unusedMs: 30_000, idleMs: 600_000, maxMs: 3_600_000 },
  dvpn: true,
};
const NODE = crypto.x25519PublicKey(OPTIONS.lpSecret);
const KEM_KEY = crypto.kems['ml-kem-768'].secretKeyFromSeed(OPTIONS.kemSeed).publicKey.bytes;
const KEM_DIGEST = { hash: 'blake3', digest: nym.digest('blake3', KEM_KEY) } as const;

const COMMANDS = ['next', 'garbage', 'late', 'closed', 'answer', 'tick', 'wait', 'packet'] as const;
const command = fc.oneof(
  { weight: 8, arbitrary: fc.constant('next' as const) },
  { weight: 8, arbitrary: fc.constant('packet' as const) },
  { weight: 8, arbitrary: fc.constantFrom(...COMMANDS) },
);
const commands = fc.array(fc.tuple(command, fc.nat(2)), { minLength: 1, maxLength: 60 });

/** A client, and what the acceptor knows of its connection. */
class Model {
  readonly id: number;
  readonly initiator = new NymInitiator({
    crypto: nym,
    random: systemRandom,
    node: NODE,
    kemDigest: KEM_DIGEST,
    hop: 'entry',
  });
  stage: 'kkt' | 'psq' | 'packet' = 'kkt';
  closed = false;
  ended = 0;
  sent: Uint8Array[] = [];
  established = false;
  request: number | undefined;

  constructor(id: number) {
    this.id = id;
  }
}

class World {
  nowMs = 0;
  nextId = 1;
  readonly balance = { [RELEASE.token]: 0, [RELEASE.record]: 0, [RELEASE.session]: 0 };
  readonly models = new Map<number, Model>();
  readonly slots: Model[] = [];
  readonly faults: string[] = [];
  readonly shard = new NymConnections(OPTIONS, {
    crypto,
    random: systemRandom,
    ownerSecret: key32(),
    now: () => ({ monotonicMs: this.nowMs, unixMs: UNIX_S * 1_000 + this.nowMs }),
    release: (kind) => {
      this.balance[kind]--;
      if (this.balance[kind] < 0) this.faults.push(`too much of ${kind} is given back`);
    },
    out: {
      send: (id, bytes) => this.open(id, 'send')?.sent.push(bytes.slice()),
      ended: (id) => {
        const model = this.models.get(id)!;
        model.ended++;
        if (model.ended > 1 && !model.closed) this.faults.push('ended twice');
        model.closed = true;
      },
      established: (id) => {
        const model = this.open(id, 'established');
        if (model !== undefined) model.established = true;
      },
      request: (id, kind) => {
        const model = this.open(id, 'request');
        if (model?.request !== undefined) this.faults.push('two requests at once');
        if (model !== undefined) model.request = kind;
      },
    },
  });

  model(slot: number): Model {
    const known = this.slots[slot];
    if (known !== undefined && !known.closed) return known;
    const made = new Model(this.nextId++);
    this.models.set(made.id, made);
    this.slots[slot] = made;
    return made;
  }

  private open(id: number, what: string): Model | undefined {
    const model = this.models.get(id);
    if (model === undefined || model.ended > 0) this.faults.push(`${what} after the end`);
    return model;
  }
}

/** What the client says next, if it can say anything. */
function nextOf(model: Model, world: World): Uint8Array | undefined {
  const now = { monotonicMs: world.nowMs, unixMs: UNIX_S * 1_000 + world.nowMs };
  if (model.stage === 'kkt') {
    const step = model.initiator.start(now);
    return step.kind === 'send' ? step.messages[0]?.bytes.slice() : undefined;
  }
  const answer = model.sent.shift();
  if (model.stage !== 'psq' || answer === undefined) return undefined;
  const step = model.initiator.receive(answer, now);
  return step.kind === 'send' ? step.messages[0]?.bytes.slice() : undefined;
}

function act(world: World, [command, slot]: readonly [(typeof COMMANDS)[number], number], packets: Packets): void {
  const { shard, balance } = world;
  const model = world.model(slot);
  switch (command) {
    case 'next':
    case 'garbage':
    case 'late': {
      const { stage } = model;
      const valid = command === 'next' ? nextOf(model, world) : undefined;
      const bytes = valid ?? Uint8Array.from(randomBytes(stage === 'kkt' ? 91 : 1_247));
      const flags = stage === 'kkt' ? ADMIT.token | ADMIT.record : stage === 'psq' ? ADMIT.session : 0;
      if (stage === 'kkt') balance[RELEASE.record]++;
      if (stage === 'kkt') balance[RELEASE.token]++;
      if (stage === 'psq') balance[RELEASE.session]++;
      if (stage !== 'packet') model.stage = stage === 'kkt' ? 'psq' : 'packet';
      const late = command === 'late' && stage !== 'packet' ? ADMIT.late : 0;
      shard.message({ connection: model.id, source: 1, flags: flags | ADMIT.stream | late }, bytes);
      if (stage === 'kkt' && late === 0) balance[RELEASE.token]--;
      break;
    }
    case 'packet': {
      const packet = packets(model, world);
      if (packet !== undefined) shard.message({ connection: model.id, source: 1, flags: ADMIT.stream }, packet);
      break;
    }
    case 'closed':
      model.closed = true;
      shard.closed(model.id);
      break;
    case 'answer': {
      const kinds = [STREAM_ANSWER.unavailable, STREAM_ANSWER.forward, STREAM_ANSWER.forwardFailed];
      model.request = undefined;
      shard.answer(model.id, kinds[slot % kinds.length] ?? 0, Uint8Array.of(1, 2, 3));
      break;
    }
    case 'wait':
      world.nowMs += 20_000;
      break;
    case 'tick':
      for (let i = 0; i < 17; i++) shard.tick();
      break;
  }
}

type Packets = (model: Model, world: World) => Uint8Array | undefined;

/** Requests of clients that have a session; forwards and registrations in turn. */
function packetMaker(): Packets {
  const sessions = new Map<Model, { send: (kind: 'registration' | 'forward', content: Uint8Array) => unknown }>();
  let turn = 0;
  return (model, world) => {
    const now = { monotonicMs: world.nowMs, unixMs: UNIX_S * 1_000 + world.nowMs };
    if (!model.established) return undefined;
    if (!sessions.has(model)) {
      const message2 = model.sent.pop();
      const step = message2 && model.initiator.receive(message2, now);
      if (step?.kind !== 'established') return undefined;
      sessions.set(model, step.session);
    }
    turn++;
    const target = { family: 4, ip: Uint8Array.of(127, 0, 0, 1), port: 1 } as const;
    const [kind, content] =
      turn % 2 === 0
        ? (['forward', encodeNymForward({ target, replyLength: 3, bytes: Uint8Array.of(1) })] as const)
        : ([
            'registration',
            encodeNymRequest({ kind: 'initial', wgPublicKey: key32(), presharedKey: key32(), time: BigInt(UNIX_S) }),
          ] as const);
    const sent = sessions.get(model)?.send(kind, content) as { kind: string; wire?: Uint8Array };
    return sent.kind === 'packet' ? sent.wire?.slice(4) : undefined;
  };
}

test('reservations are given back exactly once, and connections end once', (t) => {
  let reached = 0;
  fc.assert(
    fc.property(commands, (list) => {
      const world = new World();
      const packets = packetMaker();
      for (const command of list) act(world, command, packets);
      for (const model of world.models.values()) if (model.established) reached++;
      for (const model of world.models.values()) world.shard.closed(model.id);
      t.deepEqual(world.faults, []);
      t.deepEqual(Object.values(world.balance), [0, 0, 0]);
      t.is(world.shard.size, 0);
    }),
    { seed: SEED, numRuns: runs(120, 3_000) },
  );
  t.true(reached > 20, `sessions were reached ${reached} times`);
});
