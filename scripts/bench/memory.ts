/**
 * Memory of idle sessions: the growth of a process that holds nothing but a shard and the router, per session. This side
 * is the clients: handshakes in bulk, then time passes until their records have expired.
 */
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { Now } from '../../src/lp/time.ts';
import type { Initiator } from '../../src/lp/v2/initiator.ts';
import type { KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { receiverIndex } from '../../src/lp/wire/packet.ts';
import { InboundWriter, readOutbound } from '../../src/shard/messages.ts';
import { type Child, startChild } from './children.ts';
import type { Figure } from './figures.ts';
import { ENVELOPE, ignoredEffects, makeInitiator } from './in-process.ts';
import { toyCrypto } from './toy-crypto.ts';

interface Memory {
  readonly rss: number;
  readonly heapUsed: number;
  readonly arrayBuffers: number;
  readonly sessions: number;
  readonly records: number;
}

/** Handshakes at once; as many records as a gateway with a hundred handshakes a second holds. */
const BULK = 5_000;
/** A sweep takes 4,096 records. */
const SWEEPS = 2;
const RECORD_TTL_MS = 90_000;
const START: Now = { monotonicMs: 1_000, unixMs: 1_764_583_200_000 };
const EXPIRED: Now = { ...START, monotonicMs: START.monotonicMs + RECORD_TTL_MS };

class Clients {
  private readonly child: Child;
  private readonly crypto: ReturnType<typeof toyCrypto>;
  private kemKey: KemAnnouncement | undefined;

  constructor(child: Child, crypto: ReturnType<typeof toyCrypto>) {
    this.child = child;
    this.crypto = crypto;
  }

  async fill(sessions: number): Promise<void> {
    if (this.kemKey === undefined) await this.handshakes(1);
    for (let left = sessions; left > 0; left -= BULK) {
      await this.handshakes(Math.min(left, BULK));
      // Sessions live 5 minutes until they are used, so time goes on only for the sweep of the records.
      for (let i = 0; i < SWEEPS; i++) await this.send(EXPIRED, (batch) => batch.tick());
    }
  }

  private async handshakes(n: number): Promise<void> {
    const open = new Map<number, Initiator>();
    let outgoing: Uint8Array[] = [];
    for (let i = 0; i < n; i++) {
      const initiator = makeInitiator(this.crypto, this.kemKey, START);
      open.set(initiator.index, initiator);
      const step = initiator.start(START);
      if (step.kind === 'send') outgoing.push(...step.packets);
    }
    while (outgoing.length > 0) {
      const packets = outgoing;
      outgoing = [];
      for (const reply of await this.send(START, (batch) => {
        for (const packet of packets) batch.packet(ENVELOPE, packet);
      })) {
        const initiator = open.get(receiverIndex(reply));
        const step = initiator?.receive(reply, START);
        if (step?.kind === 'send') outgoing.push(...step.packets);
        this.kemKey ??= initiator?.kemKey;
      }
    }
  }

  private async send(now: Now, write: (batch: InboundWriter) => void): Promise<Uint8Array[]> {
    const batch = new InboundWriter();
    write(batch);
    const { result } = await this.child.ask<{ result: Uint8Array }>({ batch: batch.seal(now) });
    const replies: Uint8Array[] = [];
    readOutbound(result, { ...ignoredEffects, reply: (_connection, _valid, frame) => replies.push(frame.slice(2)) });
    return replies;
  }
}

export async function memoryFigure(sessions: number): Promise<Figure> {
  const { child } = await startChild('memory-child', [], ['--expose-gc']);
  const clients = new Clients(child, toyCrypto(await loadProvider('native')));
  await clients.fill(2 * BULK);
  const before = await child.ask<Memory>({ measure: true });
  await clients.fill(sessions);
  const after = await child.ask<Memory>({ measure: true });
  await child.stop();
  const added = after.sessions - before.sessions;
  if (added !== sessions || after.records !== 0) throw new Error(`the table was not filled: ${JSON.stringify(after)}`);
  const live = (after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers) / added;
  return {
    name: `memory per idle session, ${sessions.toLocaleString('en')} in one process`,
    measured: `${((after.rss - before.rss) / 2 ** 20).toFixed(0)} MiB`,
    against: `${live.toFixed(0)} B (live objects)`,
    value: (after.rss - before.rss) / added,
    bound: 1_024,
    unit: 'bytes',
  };
}
