/**
 * Child: a mixed load that leaves nothing behind: sessions begin at a fixed rate, each echoes, rekeys, registers, releases its
 * registration and closes itself. Arguments: PORT, IDENTITY in hex. Requests: `{rate}` starts, `{report}` counts, `{end}` lets
 * the sessions under way finish.
 */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { ClientReceived } from '../../src/lp/client-session.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import { type ApplicationFrame, decodeFrame, encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { encodeFrames, FrameCutter } from '../../src/lp/wire/framing.ts';
import { decodeAnswer, encodeRequest, type RequestBody } from '../../src/lp/wire/registration-body.ts';
import { systemClock } from '../../src/system/clock.ts';
import { serve } from './children.ts';
import { handshake } from './lp2-client.ts';
import { handshakeFrom } from './overload-connect.ts';

export interface SoakReport {
  readonly begun: number;
  readonly finished: number;
  readonly failed: number;
  readonly echoes: number;
  readonly rekeys: number;
  readonly registrations: number;
  /** The first few reasons. */
  readonly reasons: readonly string[];
}

const [port = '', identityHex = ''] = process.argv.slice(2);
const crypto = await loadProvider('auto');
const target = { crypto, port: Number(port), identity: Uint8Array.from(Buffer.from(identityHex, 'hex')) };
const first = await handshake(target, undefined, new Uint8Array(0));
first.socket.destroy();
const { kemKey } = first;

const ECHOES = 8;
/** Of an echo, at most: sizes differ, so that what is kept for one does not fit the next. */
const MAX_BODY = 4_096;
const SOURCES = 2_000;
/** Every so many sessions one registers: a registration is dearer than the rest together. */
const REGISTERS = 4;
const PATIENCE_MS = 20_000;

const counts = { begun: 0, finished: 0, failed: 0, echoes: 0, rekeys: 0, registrations: 0 };
const reasons: string[] = [];

/** One session's conversation: one thing under way at a time. */
class Conversation {
  private readonly socket: Socket;
  private readonly family: ClientFamily;
  private settled: (frame: ApplicationFrame | undefined) => void = () => undefined;
  private failed: (error: Error) => void = () => undefined;
  private lastId = 0;

  constructor(socket: Socket, family: ClientFamily) {
    this.socket = socket;
    this.family = family;
    const packet = (bytes: Uint8Array) => this.received(family.receive(bytes.slice(), systemClock.now()));
    const cutter = new FrameCutter({ admit: () => true, packet }, 'be16');
    socket.on('data', (chunk: Buffer) => cutter.push(chunk));
    socket.on('error', (error) => this.failed(error));
    socket.on('close', () => this.failed(new Error('closed')));
  }

  async request(kind: number, body: Uint8Array): Promise<ApplicationFrame> {
    const sealed = this.family.sealFrame(encodeFrame(kind, ++this.lastId, body));
    if (sealed.kind !== 'packets') throw new Error(`does not seal: ${sealed.kind}`);
    const answer = await this.exchange(sealed.packets, 'request');
    if (answer === undefined) throw new Error('no frame');
    return answer;
  }

  async rekey(withKem: boolean): Promise<void> {
    const started = this.family.startRekey(withKem, systemClock.now());
    if (started.kind !== 'packet') throw new Error('rekeying too soon');
    await this.exchange([started.packet], 'rekey');
  }

  close(): void {
    const packet = this.family.close();
    this.socket.removeAllListeners('close');
    if (packet !== undefined) this.socket.write(encodeFrames('be16', [packet]));
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
    this.family.wipe();
  }

  private exchange(packets: readonly Uint8Array[], what: string): Promise<ApplicationFrame | undefined> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer: ${what}`)), PATIENCE_MS);
      this.settled = (frame) => {
        clearTimeout(timer);
        resolve(frame);
      };
      this.failed = (error) => {
        clearTimeout(timer);
        reject(error);
      };
      this.socket.write(encodeFrames('be16', packets));
    });
  }

  private received(received: ClientReceived): void {
    if (received.kind === 'frame') this.settled(decodeFrame(received.bytes.slice()));
    else if (received.kind === 'rekeyed') {
      this.socket.write(encodeFrames('be16', received.packets));
      this.settled(undefined);
    }
  }
}

function random32(): Uint8Array {
  return Uint8Array.from(randomBytes(32));
}

async function register(talk: Conversation): Promise<void> {
  const [wgPublicKey, owner] = [random32(), random32()];
  const requests: RequestBody[] = [
    { op: 'register', enrolment: { mode: 'dvpn', wgPublicKey, presharedKey: random32() }, owner },
    { op: 'release', name: { mode: 'dvpn', wgPublicKey }, owner },
  ];
  for (const request of requests) {
    const answer = await talk.request(KIND.registrationRequest, encodeRequest(request));
    const decoded = answer.kind === KIND.registrationResponse ? decodeAnswer(answer.body) : undefined;
    if (decoded?.kind !== 'value') throw new Error(`${request.op} is not answered`);
  }
  counts.registrations++;
}

async function session(n: number): Promise<void> {
  const address = `127.5.${((n % SOURCES) >> 8) & 0xff}.${(n % SOURCES) & 0xff}`;
  const { socket, family } = await handshakeFrom(target, kemKey, address);
  const talk = new Conversation(socket, family);
  try {
    for (let i = 0; i < ECHOES; i++) {
      const body = new Uint8Array(Math.floor(Math.random() * MAX_BODY)).fill(i);
      const { body: back } = await talk.request(KIND.opaque, body);
      if (back.length !== body.length) throw new Error('another echo');
      counts.echoes++;
      if (i === ECHOES >> 1) {
        await talk.rekey(n % 2 === 0);
        counts.rekeys++;
      }
    }
    if (n % REGISTERS === 0) await register(talk);
    talk.close();
  } catch (error) {
    talk.destroy();
    throw error;
  }
}

let underWay = 0;

async function one(n: number): Promise<void> {
  counts.begun++;
  underWay++;
  try {
    await session(n);
    counts.finished++;
  } catch (error) {
    counts.failed++;
    if (reasons.length < 5) reasons.push(error instanceof Error ? error.message : String(error));
  } finally {
    underWay--;
  }
}

/** A gateway that falls behind is not given more and more: that is the overload bench's matter. */
const MAX_UNDER_WAY = 500;
let timer: NodeJS.Timeout | undefined;

serve({}, async (request: { rate?: number; end?: true }) => {
  if (request.rate !== undefined) {
    const { rate } = request;
    const startedMs = performance.now();
    let n = 0;
    timer = setInterval(() => {
      const due = ((performance.now() - startedMs) * rate) / 1_000;
      for (; n < due; n++) if (underWay < MAX_UNDER_WAY) void one(n);
    }, 5);
  }
  if (request.end === true) {
    clearInterval(timer);
    while (underWay > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const report: SoakReport = { ...counts, reasons };
  return report;
});
