/**
 * Child: live sessions beside a load: echoes of 256 bytes at a fixed rate, sessions in turn, latency from the intended time of
 * sending. Arguments: PORT, IDENTITY in hex, sessions (each from an address of its own). Requests: `{rate}` starts; `{report: true}` gives what came since the
 * report before.
 */
import { build } from 'hdr-histogram-js';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { decodeFrame, encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { encodeFrames, FrameCutter } from '../../src/lp/wire/framing.ts';
import { systemClock } from '../../src/system/clock.ts';
import { serve } from './children.ts';
import type { Established } from './lp2-client.ts';
import { handshakeFrom } from './overload-connect.ts';

export interface EchoReport {
  readonly sent: number;
  readonly answered: number;
  readonly lost: number;
  /** Sessions whose connection was closed. */
  readonly closed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const [port = '', identityHex = '', count = '64'] = process.argv.slice(2);
const crypto = await loadProvider('auto');
const target = { crypto, port: Number(port), identity: Uint8Array.from(Buffer.from(identityHex, 'hex')) };
const BODY = new Uint8Array(256);
/** An echo without an answer for so long is lost. */
const LOST_MS = 10_000;
const histogram = build({
  lowestDiscernibleValue: 1,
  highestTrackableValue: 60_000_000,
  numberOfSignificantValueDigits: 3,
});

let sent = 0;
let answered = 0;
let lost = 0;
let closed = 0;
let kemKey: KemAnnouncement | undefined;
/** By request id: when it was to be sent. */
const waiting = new Map<number, number>();
const sessions: Established[] = [];
for (let i = 0; i < Number(count); i++) {
  const session = await handshakeFrom(target, kemKey, `127.4.0.${1 + i}`);
  kemKey = session.kemKey;
  const take = (packet: Uint8Array) => {
    const received = session.family.receive(packet.slice(), systemClock.now());
    const frame = received.kind === 'frame' ? decodeFrame(received.bytes) : undefined;
    const intended = frame === undefined ? undefined : waiting.get(frame.requestId);
    if (frame === undefined || intended === undefined) return;
    waiting.delete(frame.requestId);
    answered++;
    histogram.recordValue(Math.max(1, Math.round((performance.now() - intended) * 1e3)));
  };
  const cutter = new FrameCutter({ admit: () => true, packet: take }, 'be16');
  session.socket.on('data', (chunk: Buffer) => cutter.push(chunk));
  session.socket.on('error', () => undefined);
  session.socket.once('close', () => closed++);
  sessions.push(session);
}

let startedMs = 0;
let lastId = 0;
let rate = 0;

function step(): void {
  const now = performance.now();
  while (startedMs + (lastId * 1_000) / rate <= now) {
    const intended = startedMs + (lastId * 1_000) / rate;
    const session = sessions[lastId % sessions.length];
    lastId++;
    const sealed = session?.family.sealFrame(encodeFrame(KIND.opaque, lastId, BODY));
    if (session === undefined || sealed?.kind !== 'packets') throw new Error('the session does not seal');
    waiting.set(lastId, intended);
    sent++;
    session.socket.write(encodeFrames('be16', sealed.packets));
  }
  for (const [id, since] of waiting) {
    if (now - since < LOST_MS) break;
    waiting.delete(id);
    lost++;
  }
}

serve({}, (request: { rate?: number; report?: boolean }) => {
  if (request.rate !== undefined) {
    rate = request.rate;
    startedMs = performance.now();
    setInterval(step, 1);
    return {};
  }
  const ms = (percentile: number) => histogram.getValueAtPercentile(percentile) / 1e3;
  const report: EchoReport = {
    sent,
    answered,
    lost,
    closed,
    p50Ms: ms(50),
    p99Ms: ms(99),
    maxMs: histogram.maxValue / 1e3,
  };
  histogram.reset();
  sent = 0;
  answered = 0;
  lost = 0;
  return report;
});
