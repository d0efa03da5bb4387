/**
 * The floods: what is sent, and how much memory a gateway may take for it at most, from its configuration alone. Bytes per
 * item are measured and rounded up; whoever changes an item measures it again (`npm run bench -- flood` prints both).
 */
import type { Config } from '../../src/ops/config/index.ts';

export const FLOOD_KINDS = ['hellos', 'h1', 'unknown', 'garbage', 'slow readers', 'slow writers', 'half open'] as const;
export type FloodKind = (typeof FLOOD_KINDS)[number];

export interface FloodRequest {
  readonly kind: FloodKind;
  readonly sources: number;
  readonly seconds: number;
  readonly connections?: number;
}

export interface FloodReport {
  /** Made, and closed by the gateway. */
  connections: number;
  closed: number;
  /** Bytes. */
  sent: number;
  received: number;
}

/** A record of a hello, with its places in tables and router. */
const RECORD_BYTES = 1_536;
/** A state of an H1 that read, with its H2. */
const H1_STATE_BYTES = 2_048;
/** Three of them at most. */
const H1_PER_RECORD = 3;
/** Socket, connection, and what Node and libuv have for both. */
const CONNECTION_BYTES = 8_192;
/** A read that waits with its connection, and a frame in pieces. */
const HELD_BYTES = 2 * 65_536;
/** Unsent answers at which a connection is read no further, and what two batches and the one being filled still bring. */
const UNSENT_BYTES = 262_144 + 3 * (262_144 + 65_536);
const QUEUED_HANDSHAKE_BYTES = 2_048 + 256;
const SOURCE_BYTES = 768;
const SESSION_BYTES = 1_024;
/** Code that is compiled only then, reads of 64 KiB between two collections, and what the heap keeps for itself. */
const SLACK_BYTES = 128 * 2 ** 20;

export interface MemoryBound {
  readonly what: string;
  readonly bytes: number;
}

/** By how much memory may grow during a flood, at most. */
export function boundOf(
  kind: FloodKind,
  sources: number,
  connections: number,
  config: Config,
  shards: number,
): MemoryBound[] {
  const { limits } = config;
  const recordsPerSource = limits.records_per_address;
  const open = Math.min(connections, limits.connections, sources * limits.connections_per_address);
  const records = Math.min(limits.records, sources * recordsPerSource);
  const item = (what: string, count: number, bytes: number) => ({
    what: `${count.toLocaleString('en')} ${what} of ${bytes.toLocaleString('en')} B`,
    bytes: count * bytes,
  });
  const always = [
    item('connections', open, CONNECTION_BYTES),
    item('sources', sources, SOURCE_BYTES),
    { what: 'slack', bytes: SLACK_BYTES },
  ];
  const queue = item('queued handshake packets', shards * 2 * limits.queued_handshakes, QUEUED_HANDSHAKE_BYTES);
  switch (kind) {
    case 'hellos':
    case 'h1':
      return [
        ...always,
        queue,
        item('records', records, RECORD_BYTES),
        ...(kind === 'h1'
          ? [item('states of H1', Math.min(records * H1_PER_RECORD, tokens(sources, config)), H1_STATE_BYTES)]
          : []),
      ];
    case 'slow readers':
      return [
        ...always,
        item('sessions', open, SESSION_BYTES),
        item('connections’ reads that wait', open, HELD_BYTES),
        item('connections’ unsent answers', open, UNSENT_BYTES),
        item('shards’ queues of live packets', shards, limits.queued_bytes),
      ];
    default:
      return [...always, item('connections’ reads that wait', open, HELD_BYTES / 2)];
  }
}

/** H1 that can be admitted while records live. */
function tokens(sources: number, { limits, lifetimes }: Config): number {
  return sources * (limits.handshake_burst + limits.handshakes_per_address * lifetimes.handshake_ttl);
}
