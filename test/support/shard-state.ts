/**
 * A look into a shard for tests that ask whether anything has changed. It reads private fields: the price for a check
 * that the shard need not serve.
 */
import type { RestingSession } from '../../src/lp/session.ts';
import type { GatewaySessionV2 } from '../../src/lp/v2/gateway-session.ts';
import { TRANSPORT_BYTES, type Transport, type TransportPlace } from '../../src/lp/v2/transport.ts';
import type { Shard } from '../../src/shard/shard.ts';

interface Inside {
  readonly records: { readonly records: Map<number, RecordInside>; readonly fresh: Set<RecordInside> };
  readonly sessions: {
    readonly indices: { keys(): Iterable<number>; readonly size: number };
    readonly awake: readonly GatewaySessionV2[];
    readonly resting: RestingInside;
    wake(resting: RestingSession): GatewaySessionV2;
  };
  readonly slab: { readonly slots: number };
  readonly families: number;
  readonly waiting: Map<number, unknown>;
  readonly earlyReplies: { readonly length: number };
}

interface RestingInside {
  expiresMs(slot: number): number;
  read(slot: number): RestingSession;
}

interface RecordInside {
  readonly index: number;
  readonly states: readonly { readonly sessionIndex: number; readonly progress: { readonly kind: string } }[];
}

interface FamilyInside {
  readonly id: number;
  readonly current: GatewaySessionV2;
  readonly pending: GatewaySessionV2 | undefined;
  readonly lastKk1ReadMs: number;
  readonly answers: { readonly entries: readonly unknown[] } | undefined;
}

function inside(shard: Shard): Inside {
  return shard as unknown as Inside;
}

/** Those at rest are woken, which changes nothing but how they are kept. */
export function sessionsOf(shard: Shard): GatewaySessionV2[] {
  const { sessions, slab } = inside(shard);
  const { resting } = sessions;
  for (let slot = 0; slot < slab.slots; slot++) {
    if (resting.expiresMs(slot) > 0) sessions.wake(resting.read(slot));
  }
  return [...sessions.awake];
}

export function recordsOf(shard: Shard): RecordInside[] {
  return [...inside(shard).records.records.values()];
}

/** Every index that is routed to this shard: records, sessions, and what an H2 or KK2 has promised. */
export function indicesOf(shard: Shard): Set<number> {
  const indices = new Set(recordsOf(shard).map((record) => record.index));
  for (const key of inside(shard).sessions.indices.keys()) indices.add(key >>> 0);
  return indices;
}

/** Keys, chain, peer and replay window of a session. */
export function memoryOf(transport: Transport): Uint8Array {
  const { memory, offset } = transport as unknown as TransportPlace;
  return memory.subarray(offset, offset + TRANSPORT_BYTES);
}

const WINDOW_START = 128;

export interface ShardState {
  /** Tables, families, and what sessions hold but for the marks of what was received. */
  readonly rest: string;
  /** Keys and chains of every session. */
  readonly keys: Buffer;
  /** Replay windows, next counters and times of the last valid packet. */
  readonly marks: string;
}

export function stateOf(shard: Shard): ShardState {
  const { records, waiting, earlyReplies, families } = inside(shard);
  const rest: unknown[] = [records.fresh.size, records.records.size, families, waiting.size, earlyReplies.length];
  for (const record of records.records.values()) {
    for (const state of record.states) rest.push(state.sessionIndex, state.progress.kind);
  }
  const sessions = sessionsOf(shard);
  rest.push(inside(shard).sessions.indices.size);
  const keys: Uint8Array[] = [];
  const marks: string[] = [];
  for (const session of sessions) {
    rest.push(session.index, session.transport.sealed, session.place.kind, session.answeredKk1?.n ?? 0);
    const { id, current, pending, lastKk1ReadMs, answers } = session.family as unknown as FamilyInside;
    rest.push(id, current.index, pending?.index ?? 0, lastKk1ReadMs, answers?.entries.length ?? 0);
    const memory = memoryOf(session.transport);
    keys.push(memory.subarray(0, WINDOW_START));
    marks.push(`${session.transport.received} ${Buffer.from(memory.subarray(WINDOW_START)).toString('latin1')}`);
  }
  return { rest: rest.join(' '), keys: Buffer.concat(keys), marks: marks.join('\n') };
}
