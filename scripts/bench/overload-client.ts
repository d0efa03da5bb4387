/**
 * Child: the handshakes of the overload bench. Hello and H1 are made beforehand; what is left for the run is to send them, each
 * on a connection of its own, and H3. Arguments: PORT, IDENTITY in hex. Requests: `{prepare}`, then `{closed}` or `{open}`.
 */
import { connect } from 'node:net';
import { setPriority } from 'node:os';
import type { HandshakeStep } from '../../src/lp/client-session.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import type { Initiator } from '../../src/lp/v2/initiator.ts';
import { encodeFrames, FrameCutter } from '../../src/lp/wire/framing.ts';
import { decodeBusy } from '../../src/lp/wire/message.ts';
import { contentOf, TYPE, typeOf } from '../../src/lp/wire/packet.ts';
import { systemClock } from '../../src/system/clock.ts';
import { serve } from './children.ts';
import { handshake, initiatorOf } from './lp2-client.ts';
import type { OfferedLoad, RunResult } from './overload-load.ts';

// The echoes beside it are measured on the same core: they must not wait for this process.
setPriority(10);
const [port = '', identityHex = ''] = process.argv.slice(2);
const crypto = await loadProvider('auto');
const identity = Uint8Array.from(Buffer.from(identityHex, 'hex'));
const target = { crypto, port: Number(port), identity };
const none = new Uint8Array(0);
const first = await handshake(target, undefined, none);
first.socket.destroy();

interface Prepared {
  readonly initiator: Initiator;
  readonly opening: Uint8Array;
}

/** Those that wait; a run takes them from the end. */
const prepared: Prepared[] = [];

function prepare(count: number): void {
  const now = systemClock.now();
  prepared.length = 0;
  for (let i = 0; i < count; i++) {
    const initiator = initiatorOf(target, first.kemKey, none);
    const step = initiator.start(now);
    if (step.kind !== 'send') throw new Error('a handshake that does not begin');
    prepared.push({ initiator, opening: encodeFrames('be16', step.packets) });
  }
}

type End = 'done' | 'busy' | 'late' | 'refused' | 'failed';
let result: RunResult;

function newResult(): RunResult {
  return {
    started: 0,
    done: 0,
    busy: 0,
    late: 0,
    refused: 0,
    failed: 0,
    starved: 0,
    seconds: 0,
    timesMs: [],
    cpuUs: 0,
  };
}

/** Whoever has no session after `patienceMs` has gone away, and his connection with him. */
function once(patienceMs: number, localAddress: string, ended: (end: End) => void): void {
  const next = prepared.pop();
  if (next === undefined) {
    result.starved++;
    ended('failed');
    return;
  }
  const { initiator, opening } = next;
  const began = performance.now();
  result.started++;
  const socket = connect({ host: '127.0.0.1', port: Number(port), noDelay: true, localAddress });
  let over = false;
  const finish = (end: End) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    socket.destroy();
    result[end]++;
    if (end === 'done') result.timesMs.push(performance.now() - began);
    ended(end);
  };
  const timer = setTimeout(finish, patienceMs, 'late');
  const act = (packet: Uint8Array) => {
    if (typeOf(packet) === TYPE.busy && decodeBusy(contentOf(packet)) !== undefined) return finish('busy');
    const step: HandshakeStep<ClientFamily> = initiator.receive(packet, systemClock.now());
    if (step.kind === 'send') socket.write(encodeFrames('be16', step.packets));
    else if (step.kind === 'established') {
      step.session.wipe();
      finish('done');
    } else if (step.kind === 'failed') finish('failed');
  };
  const cutter = new FrameCutter({ admit: () => true, packet: act }, 'be16');
  socket.on('data', (chunk: Buffer) => cutter.push(chunk));
  socket.once('connect', () => socket.write(opening));
  socket.once('error', () => finish('refused'));
  socket.once('close', () => finish('refused'));
}

/** Source addresses take turns. */
function addressOf(n: number, sources: number): string {
  const i = n % sources;
  return `127.1.${i >> 8}.${i & 0xff}`;
}

async function closed({ seconds, concurrency, sources, patienceMs }: OfferedLoad & { kind: 'closed' }): Promise<void> {
  const until = performance.now() + seconds * 1_000;
  let n = 0;
  const worker = async () => {
    while (performance.now() < until && prepared.length > 0) {
      await new Promise<End>((ended) => once(patienceMs, addressOf(n++, sources), ended));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}

/** At a fixed rate, whatever becomes of those before. Returns when the last one is sent. */
function open({ seconds, rate, sources, patienceMs }: OfferedLoad & { kind: 'open' }): Promise<void> {
  const startMs = performance.now();
  const total = Math.round(rate * seconds);
  let sent = 0;
  return new Promise((resolve) => {
    const step = () => {
      const due = Math.min(total, Math.floor(((performance.now() - startMs) * rate) / 1_000));
      // A slice at a time, so that what comes in is read meanwhile.
      for (let n = 0; sent < due && n < 64; n++) once(patienceMs, addressOf(sent++, sources), () => undefined);
      if (sent < total) setImmediate(step);
      else resolve();
    };
    step();
  });
}

serve({}, async (request: { prepare: number } | OfferedLoad) => {
  if ('prepare' in request) {
    prepare(request.prepare);
    return {};
  }
  result = newResult();
  const cpu = process.cpuUsage();
  const began = performance.now();
  if (request.kind === 'closed') await closed(request);
  else await open(request);
  const spent = process.cpuUsage(cpu);
  // What was under way when the time was up comes too late to count.
  return { ...result, seconds: (performance.now() - began) / 1e3, cpuUs: spent.user + spent.system };
});
