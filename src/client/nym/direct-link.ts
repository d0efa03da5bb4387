/**
 * A connection to a node that is dialled: its handshake, then requests of its session (nym.md §2, §7). Answers come in the
 * order of what was sent, so one queue says whose each is. Invariants: every request ends, by its answer, its deadline or
 * the end of the connection; after the first thing that goes wrong the connection is gone, since nothing is in step any more.
 */
import type { NymClientSession, SentRequest } from '../../lp/nym/client-session.ts';
import type { CancelTimer } from '../../system/timers.ts';
import { type Hop, LewesError } from '../errors.ts';
import { reasonOf } from '../wakeup.ts';
import { type AwaitedAnswer, type LinkTrouble, troubleError } from './explain.ts';
import { type HopLink, walkHandshake } from './hop-link.ts';
import { inTime } from './in-time.ts';
import { dialledAddress, type NymNodeData } from './node-data.ts';
import { NodeStream, type StreamEnd } from './node-stream.ts';
import type { NymRun } from './run.ts';

interface Waiting {
  readonly awaited: AwaitedAnswer;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: LewesError) => void;
  readonly cancelTimer: CancelTimer;
}

export class DirectLink implements HopLink {
  readonly hop: Hop;
  readonly node: NymNodeData;
  readonly #run: NymRun;
  readonly #stream: NodeStream;
  readonly #handshakeEndMs: number;
  readonly #waiting: Waiting[] = [];
  readonly #abort = () => this.#fail(() => reasonOf(this.#run.signal));
  #session: NymClientSession | undefined;
  #over: ((awaited: AwaitedAnswer) => LewesError) | undefined;

  private constructor(run: NymRun, hop: Hop, node: NymNodeData, stream: NodeStream, handshakeEndMs: number) {
    this.#run = run;
    this.hop = hop;
    this.node = node;
    this.#stream = stream;
    this.#handshakeEndMs = handshakeEndMs;
    run.signal.addEventListener('abort', this.#abort, { once: true });
    stream.attach({
      message: (kind, bytes) => (kind === 'packet' ? this.#packet(bytes) : this.#answer(bytes)),
      ended: (end) => this.#ended(end),
    });
    if (run.signal.aborted) this.#abort();
  }

  /** Rejects with LewesError. */
  static async connect(run: NymRun, hop: Hop, node: NymNodeData): Promise<DirectLink> {
    const startMs = run.clock.now().monotonicMs;
    run.enter(hop, 'connect');
    const { connectMs, handshakeMs } = run.timeouts;
    const address = await inTime(dialledAddress(node, hop), connectMs, () => unresolved(hop, node), run);
    const { localAddress, timers, signal } = run;
    const stream = await NodeStream.connect(
      { address, hop, localAddress, timers, connectTimeoutMs: connectMs },
      signal,
    );
    run.stepDone(hop, 'connect', run.clock.now().monotonicMs - startMs);
    return new DirectLink(run, hop, node, stream, startMs + handshakeMs);
  }

  get endpointIp(): Uint8Array {
    return this.#stream.remoteIp;
  }

  async handshake(kemKey: Uint8Array | undefined): Promise<void> {
    const { node, hop } = this;
    const { clock, timeouts } = this.#run;
    const leftMs = () => Math.max(1, this.#handshakeEndMs - clock.now().monotonicMs);
    try {
      const session = await walkHandshake({
        run: this.#run,
        hop,
        node,
        kemKey,
        // The deadline of each answer is the earlier one: it does not wait for an answer to be noticed.
        timeoutMs: leftMs() + 1,
        carry: (step, { bytes }) => {
          const answer = this.#await({ hop, step, source: node.source }, leftMs(), timeouts.handshakeMs);
          this.#stream.send(bytes);
          return answer;
        },
      });
      if (this.#over === undefined) this.#session = session;
      else session.wipe();
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  ask(step: 'initial' | 'finalise', body: Uint8Array): Promise<Uint8Array> {
    const awaited = { hop: this.hop, step, source: this.node.source };
    return this.request((session) => session.send('registration', body), awaited, this.#run.timeouts.registrationMs);
  }

  /** For whatever travels in this session. Resolves to the content of the answer, copied. */
  request(
    seal: (session: NymClientSession) => SentRequest,
    awaited: AwaitedAnswer,
    timeoutMs: number,
  ): Promise<Uint8Array> {
    const session = this.#session;
    if (this.#over !== undefined) return Promise.reject(this.#over(awaited));
    if (session === undefined) throw new Error('assertion: requests follow the handshake');
    const sent = seal(session);
    // Neither too many nor too long: what a registration sends is bounded.
    if (sent.kind === 'refuse') throw new Error(`assertion: a request that can be sent (${sent.reason})`);
    const answer = this.#await(awaited, timeoutMs);
    this.#stream.send(sent.wire);
    return answer;
  }

  /** Resolves when it is gone, within a second or so. */
  async close(): Promise<void> {
    if (this.#over !== undefined) return;
    this.#finish({ kind: 'closed', foreign: false });
    await this.#stream.close();
  }

  destroy(): void {
    this.#finish({ kind: 'closed', foreign: false });
    this.#stream.destroy();
  }

  /** `saidMs`: the limit that a timeout is told with. */
  #await(awaited: AwaitedAnswer, timeoutMs: number, saidMs = timeoutMs): Promise<Uint8Array> {
    if (this.#over !== undefined) return Promise.reject(this.#over(awaited));
    this.#run.enter(awaited.hop, awaited.step);
    return new Promise((resolve, reject) => {
      const cancelTimer = this.#run.timers.after(timeoutMs, () => this.#trouble({ kind: 'timeout', ms: saidMs }));
      this.#waiting.push({ awaited, resolve, reject, cancelTimer });
    });
  }

  #answer(bytes: Uint8Array): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) {
      this.#trouble({ kind: 'refused', reason: 'unexpected' });
      return;
    }
    waiting.cancelTimer();
    waiting.resolve(bytes.slice());
  }

  #packet(packet: Uint8Array): void {
    const received = this.#session?.receive(packet);
    if (received?.kind === 'answer') this.#answer(received.content);
    else this.#trouble({ kind: 'refused', reason: received?.reason ?? 'unexpected' });
  }

  #ended(end: StreamEnd): void {
    this.#trouble(end.kind === 'closed' ? end : { kind: 'refused', reason: end.kind });
  }

  #trouble(trouble: LinkTrouble): void {
    this.#finish(trouble);
    this.#stream.destroy();
  }

  #finish(trouble: LinkTrouble): void {
    this.#fail((awaited) => troubleError(awaited, trouble));
  }

  #fail(errorFor: (awaited: AwaitedAnswer) => LewesError): void {
    if (this.#over !== undefined) return;
    this.#over = errorFor;
    this.#run.signal.removeEventListener('abort', this.#abort);
    this.#session?.wipe();
    for (const { awaited, reject, cancelTimer } of this.#waiting.splice(0)) {
      cancelTimer();
      reject(errorFor(awaited));
    }
    if (this.#run.signal.aborted) this.#stream.destroy();
  }
}

function unresolved(hop: Hop, { address }: NymNodeData): LewesError {
  const message = `no connection to ${address.host}: the name does not resolve in time; check it and the network`;
  return new LewesError({ code: 'connect_failed', hop, step: 'connect', reason: 'timeout', message });
}
