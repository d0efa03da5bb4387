/**
 * Child: honest clients that come during a flood, each from an address of its own, and behave as lp2.md §4 says: repeats after
 * 1, 2, 4 and 8 s, Busy followed once, a new connection where one was closed. Arguments: PORT, IDENTITY in hex. Request:
 * `{rate, seconds}`; answered when the last one has its session or has given up.
 */
import { connect, type Socket } from 'node:net';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { Initiator } from '../../src/lp/v2/initiator.ts';
import { encodeFrames, FrameCutter } from '../../src/lp/wire/framing.ts';
import { systemClock } from '../../src/system/clock.ts';
import { serve } from './children.ts';
import { handshake, initiatorOf } from './lp2-client.ts';

export interface NewcomersReport {
  readonly came: number;
  readonly gotIn: number;
  /** Without a repeat. */
  readonly atOnce: number;
  /** Of those that got in. */
  readonly timesMs: readonly number[];
}

const [port = '', identityHex = ''] = process.argv.slice(2);
const crypto = await loadProvider('auto');
const identity = Uint8Array.from(Buffer.from(identityHex, 'hex'));
const target = { crypto, port: Number(port), identity };
const known = await handshake(target, undefined, new Uint8Array(0));
known.socket.destroy();

/** One attempt with its repeats takes 16 s; a client that was told Busy starts over once. */
const GIVE_UP_MS = 32_000;
const AT_ONCE_MS = 1_000;
/** A connection that was refused is made again with the next repeat, and not before. */
const RECONNECT_MS = 1_000;

let addresses = 0;

function nextAddress(): string {
  addresses++;
  return `127.3.${(addresses >> 8) & 0xff}.${addresses & 0xff}`;
}

function comeIn(): Promise<number | undefined> {
  const localAddress = nextAddress();
  const began = performance.now();
  return new Promise((resolve) => {
    let socket: Socket | undefined;
    let initiator: Initiator;
    let outgoing: readonly Uint8Array[] = [];
    let timer: NodeJS.Timeout;
    let over = false;
    const finish = (ms: number | undefined) => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      socket?.destroy();
      initiator.abandon();
      resolve(ms);
    };
    const tickAt = () => {
      clearTimeout(timer);
      if (over) return;
      const waitMs = Math.max(0, initiator.nextTickMs() - systemClock.now().monotonicMs);
      timer = setTimeout(() => act(initiator.tick(systemClock.now())), Math.min(waitMs, GIVE_UP_MS));
    };
    const act = (step: ReturnType<Initiator['receive']>) => {
      if (over) return;
      if (step.kind === 'established') {
        step.session.wipe();
        return finish(performance.now() - began);
      }
      if (step.kind === 'failed') {
        if (performance.now() - began > GIVE_UP_MS / 2) return finish(undefined);
        return start();
      }
      if (step.kind === 'send') {
        outgoing = step.packets;
        send();
      }
      tickAt();
    };
    const send = () => {
      if (socket === undefined || socket.destroyed) open();
      else socket.write(encodeFrames('be16', outgoing));
    };
    const open = () => {
      const made = connect({ host: '127.0.0.1', port: Number(port), noDelay: true, localAddress });
      socket = made;
      const cutter = new FrameCutter(
        { admit: () => true, packet: (packet) => act(initiator.receive(packet, systemClock.now())) },
        'be16',
      );
      made.on('error', () => undefined);
      made.on('data', (chunk: Buffer) => cutter.push(chunk));
      made.once('connect', () => made.write(encodeFrames('be16', outgoing)));
      made.once('close', () => {
        if (!over && socket === made) setTimeout(() => !over && socket === made && open(), RECONNECT_MS);
      });
    };
    const start = () => {
      initiator = initiatorOf(target, known.kemKey, new Uint8Array(0));
      act(initiator.start(systemClock.now()));
    };
    start();
  });
}

serve({}, async ({ rate, seconds }: { rate: number; seconds: number }) => {
  const comers: Promise<number | undefined>[] = [];
  const began = performance.now();
  while (performance.now() - began < seconds * 1_000) {
    comers.push(comeIn());
    await new Promise((resolve) => setTimeout(resolve, 1_000 / rate));
  }
  const timesMs = (await Promise.all(comers)).filter((ms) => ms !== undefined);
  const report: NewcomersReport = {
    came: comers.length,
    gotIn: timesMs.length,
    atOnce: timesMs.filter((ms) => ms < AT_ONCE_MS).length,
    timesMs,
  };
  return report;
});
