/**
 * A shard's Nym connections under whatever an acceptor may send them, as records in both directions: every message has one
 * outcome, nothing is said of what has ended, and what admission reserved is given back once, and all of it. Input: what the
 * clients do, how their bytes are harmed, what comes late, and when they go.
 */
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import type { NymClientSession } from '../../../src/lp/nym/client-session.ts';
import { decodeNymForward, encodeNymForward } from '../../../src/lp/nym/forward.ts';
import { DEFAULT_NYM_LIFETIMES } from '../../../src/lp/nym/gateway-session.ts';
import type { NymInitiator, NymStep } from '../../../src/lp/nym/initiator.ts';
import { decodeNymResponse, encodeNymRequest } from '../../../src/lp/nym/registration.ts';
import type { NymNode } from '../../../src/lp/nym/responder.ts';
import { decodeRequest, encodeAnswer } from '../../../src/lp/wire/registration-body.ts';
import {
  ADMIT,
  InboundWriter,
  OutboundWriter,
  RELEASE,
  type ReleaseKind,
  readInbound,
  readOutbound,
} from '../../../src/shard/messages.ts';
import { NymConnections } from '../../../src/shard/nym/connections.ts';
import { STREAM_END_REASONS, type StreamEndReason } from '../../../src/shard/stream-end.ts';
import {
  type OutboundStreams,
  outboundStreams,
  STREAM_ANSWER,
  STREAM_REQUEST,
  writeStreamAnswer,
  writeStreamClosed,
} from '../../../src/shard/stream-messages.ts';
import { nymClient, watchSeals } from '../../../test/support/nym-hostile.ts';
import { Prng } from '../../../test/support/prng.ts';
import { Tape } from '../tape.ts';
import { type FuzzTarget, oracle } from '../target.ts';

const provider = await loadProvider('native');

const UNIX_MS = 1_780_000_000_000;
const HANDSHAKE_MS = 10_000;
const LINES = 3;
const MAX_STEPS = 70;
const SOURCE = 7;
/** Ids of this listener have the upper bit. */
const ID_BIT = 0x8000_0000;
/** As many without an answer as an acceptor lets through. */
const MAX_UNANSWERED = 8;
const EXIT = { family: 4, ip: Uint8Array.of(192, 0, 2, 7), port: 41_264 } as const;
const RELEASES = Object.values(RELEASE);

const KEM_SEED = new Uint8Array(64).fill(3);
const SECRET = new Uint8Array(32).fill(0x48);
/** Of the node, made once. */
const KEYS = {
  secret: SECRET,
  publicKey: provider.x25519PublicKey(SECRET),
  kem: provider.kems['ml-kem-768'].secretKeyFromSeed(KEM_SEED),
};

/** A connection as the acceptor has it. */
class Line {
  readonly id: number;
  readonly initiator: NymInitiator;
  session: NymClientSession | undefined;
  /** What the client sends next, while it is in its handshake. */
  next: Uint8Array | undefined;
  sent: 'nothing' | 'kkt' | 'psq' = 'nothing';
  established = false;
  unanswered = 0;
  /** The kind of the request that waits for its answer. */
  asked: number | undefined;
  /** Its bytes were changed: the client may not understand what comes. */
  harmed = false;

  constructor(id: number, initiator: NymInitiator) {
    this.id = id;
    this.initiator = initiator;
  }

  follow(step: NymStep): void {
    if (step.kind === 'send') this.next = step.messages[0]?.bytes;
    else if (step.kind === 'established') this.session = step.session;
  }
}

class Acceptor implements OutboundStreams {
  readonly connections: NymConnections;
  readonly #tape: Tape;
  readonly #node: NymNode;
  readonly #lines = new Map<number, Line>();
  readonly #out = new OutboundWriter();
  readonly #places = new Map<ReleaseKind, number>(RELEASES.map((kind) => [kind, 0]));
  readonly #in = new InboundWriter();
  #now = { monotonicMs: 1_000, unixMs: UNIX_MS };

  constructor(tape: Tape) {
    this.#tape = tape;
    this.#node = { crypto: watchSeals(provider), random: tape.source(), ...KEYS };
    this.connections = new NymConnections(
      {
        lpSecret: KEYS.secret,
        kemSeed: KEM_SEED,
        handshakeMs: HANDSHAKE_MS,
        lifetimes: DEFAULT_NYM_LIFETIMES,
        dvpn: tape.chance(0.9),
      },
      {
        crypto: provider,
        random: tape.source(),
        ownerSecret: new Uint8Array(32).fill(9),
        out: outboundStreams(this.#out),
        release: (kind, source) => this.#out.release(kind, source),
        now: () => this.#now,
      },
    );
  }

  step(): void {
    const tape = this.#tape;
    const line = this.#lines.get(ID_BIT + tape.below(LINES));
    switch (tape.below(12)) {
      case 0:
        this.#age();
        break;
      case 1:
        this.#stray();
        break;
      case 2:
        if (line !== undefined && tape.chance(0.4)) this.#close(line);
        break;
      case 3:
      case 4:
        if (line !== undefined) this.#answer(line, tape.chance(0.1));
        break;
      default:
        if (line === undefined) this.#open();
        else this.#say(line);
    }
    if (tape.chance(0.5)) this.#batch();
  }

  /** What is asked for is answered, and then all clients go. */
  end(): void {
    this.#batch();
    for (let left = LINES * (MAX_UNANSWERED + 1); left > 0; left--) {
      const waiting = [...this.#lines.values()].filter(({ asked }) => asked !== undefined);
      if (waiting.length === 0) break;
      for (const line of waiting) this.#answer(line, false);
      this.#batch();
    }
    for (const line of this.#lines.values()) {
      oracle(line.unanswered === 0, 'every message has an answer, or was the last');
      this.#close(line);
    }
    this.#batch();
    oracle(this.connections.size === 0, 'nothing is left of connections that have ended');
    for (const kind of [RELEASE.record, RELEASE.session]) {
      oracle(this.#places.get(kind) === 0, () => `${this.#places.get(kind)} of kind ${kind} were not given back`);
    }
  }

  // What the shard says; of lines that were closed here it may not know yet.

  send(id: number, wire: Uint8Array): void {
    const line = this.#lines.get(id);
    if (line === undefined) return;
    oracle(line.unanswered > 0, 'an answer answers a message');
    line.unanswered--;
    if (line.session === undefined) {
      if (!line.harmed) line.follow(line.initiator.receive(wire.slice(), this.#now));
      oracle(line.harmed || !line.established || line.session !== undefined, 'message 2 makes the session');
      return;
    }
    const received = line.session.receive(wire.slice(4));
    if (received.kind === 'failed') {
      oracle(line.harmed, () => `a client that was not harmed does not understand: ${received.reason}`);
      return;
    }
    const { request, content } = received;
    oracle(request === 'forward' || decodeNymResponse(content) !== undefined, 'a response can be read');
  }

  ended(id: number, reason: StreamEndReason): void {
    oracle(STREAM_END_REASONS.includes(reason), 'reasons are known');
    this.#lines.delete(id);
  }

  established(id: number, _index: number): void {
    const line = this.#lines.get(id);
    if (line === undefined) return;
    oracle(line.sent === 'psq' && !line.established, 'a connection has one session, and two messages come before it');
    line.established = true;
  }

  request(id: number, kind: number, content: Uint8Array): void {
    if (kind === STREAM_REQUEST.forward) oracle(decodeNymForward(content) !== undefined, 'a forward can be read');
    else oracle(decodeRequest(content).kind !== 'malformed', 'a registration can be read');
    const line = this.#lines.get(id);
    if (line === undefined) return;
    oracle(line.established && line.asked === undefined, 'a session has one request under way');
    line.asked = kind;
  }

  #open(): void {
    const tape = this.#tape;
    const id = ID_BIT + tape.below(LINES);
    // Numbers are free again when the shard has nothing of them: no record of the last one is under way.
    this.#batch();
    if (this.#lines.has(id)) return;
    const kemKey = tape.chance(0.3) ? { kemKey: this.#node.kem.publicKey.bytes } : {};
    const line = new Line(id, nymClient(this.#node, kemKey));
    const first = line.initiator.start(this.#now);
    line.follow(first);
    this.#lines.set(id, line);
    this.#say(line);
    // With a known key both messages are there at once, and leave one after the other.
    if (first.kind === 'send' && first.messages.length > 1) line.next = first.messages[1]?.bytes;
  }

  #say(line: Line): void {
    if (line.unanswered >= MAX_UNANSWERED) return;
    if (line.sent === 'nothing') {
      line.sent = 'kkt';
      this.#offer(line, ADMIT.token | ADMIT.record, this.#harm(line, take(line)));
    } else if (line.sent === 'kkt') {
      // A client without the answer may still send something of that length.
      const message = take(line);
      if (message.length === 0 && !this.#tape.chance(0.1)) return;
      line.sent = 'psq';
      this.#offer(line, ADMIT.session, this.#harm(line, message));
    } else if (line.established) this.#offer(line, 0, this.#harm(line, this.#packet(line)));
  }

  #packet(line: Line): Uint8Array {
    const tape = this.#tape;
    const key = new Uint8Array(32).fill(1 + tape.below(4));
    const time = BigInt(Math.floor(this.#now.unixMs / 1_000) + (tape.chance(0.1) ? 60 : 0));
    const kind = tape.pick(['initial', 'forward', 'finalise', 'mixnet', 'garbage'] as const);
    const sent = (() => {
      switch (kind) {
        case 'initial':
          return line.session?.send(
            'registration',
            encodeNymRequest({ kind, wgPublicKey: key, presharedKey: key, time }),
          );
        case 'finalise':
          return line.session?.send('registration', encodeNymRequest({ kind, claim: { bytes: tape.take(60) }, time }));
        case 'mixnet':
          return line.session?.send('registration', encodeNymRequest({ kind, clientId: key, time }));
        case 'forward':
          return line.session?.send(
            'forward',
            encodeNymForward({ target: EXIT, replyLength: 0, bytes: new Uint8Array(1 + tape.below(200)) }),
          );
        case 'garbage':
          line.harmed = true;
          return line.session?.send(tape.pick(['registration', 'forward']), tape.take(tape.below(80)));
      }
    })();
    if (sent?.kind === 'packet') return sent.wire.slice(4);
    line.harmed = true;
    return tape.take(12 + tape.below(60));
  }

  #harm(line: Line, message: Uint8Array): Uint8Array {
    const tape = this.#tape;
    const harmed = message.slice();
    if (!tape.chance(0.08) && harmed.length > 0) return harmed;
    line.harmed = true;
    if (harmed.length === 0 || tape.chance(0.3)) return tape.take(tape.pick([0, 12, 91, 1_247]));
    const bit = tape.below(8 * harmed.length);
    harmed[bit >> 3] = (harmed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    return harmed;
  }

  /** Reserves what the flags say; a handshake message may have waited too long. */
  #offer(line: Line, flags: number, message: Uint8Array): void {
    const late = flags !== 0 && this.#tape.chance(0.03) ? ADMIT.late : 0;
    line.unanswered++;
    this.#reserve(flags);
    this.#write(line.id, flags | late, message);
  }

  /** What was in the lane when its connection ended comes late. */
  #stray(): void {
    const tape = this.#tape;
    const id = ID_BIT + tape.below(LINES);
    this.#batch();
    if (this.#lines.has(id)) return;
    const flags = tape.pick([ADMIT.token | ADMIT.record, ADMIT.session]);
    this.#reserve(flags);
    this.#write(id, flags | ADMIT.late, tape.take(91));
    if (tape.chance(0.5)) writeStreamAnswer(this.#in, id, tape.below(4), tape.take(20));
    if (tape.chance(0.5)) this.#write(id, 0, tape.take(40));
  }

  #reserve(flags: number): void {
    const add = (kind: ReleaseKind) => this.#places.set(kind, (this.#places.get(kind) ?? 0) + 1);
    if ((flags & ADMIT.token) !== 0) add(RELEASE.token);
    if ((flags & ADMIT.record) !== 0) add(RELEASE.record);
    if ((flags & ADMIT.session) !== 0) add(RELEASE.session);
  }

  #write(connection: number, flags: number, message: Uint8Array): void {
    const envelope = { connection, source: SOURCE, flags: flags | ADMIT.stream, retryAfterSeconds: 0 };
    this.#in.packet(envelope, message);
  }

  #close(line: Line): void {
    this.#lines.delete(line.id);
    writeStreamClosed(this.#in, line.id);
  }

  #answer(line: Line, wrong: boolean): void {
    const { asked } = line;
    // One that nobody waits for, as when the session was quicker to end, does nothing.
    if (asked === undefined && !wrong) return;
    line.asked = undefined;
    const tape = this.#tape;
    if (wrong) {
      writeStreamAnswer(this.#in, line.id, tape.below(4), tape.take(tape.below(60)));
      return;
    }
    if (asked === STREAM_REQUEST.forward) {
      const kind = tape.chance(0.1) ? STREAM_ANSWER.forwardFailed : STREAM_ANSWER.forward;
      writeStreamAnswer(this.#in, line.id, kind, tape.take(tape.below(100)));
    } else if (tape.chance(0.2)) {
      writeStreamAnswer(this.#in, line.id, STREAM_ANSWER.unavailable, new Uint8Array(0));
    } else {
      const answer = encodeAnswer({
        status: 'failed',
        code: tape.pick(['try_later', 'bad_key', 'no_quote']),
        text: '',
      });
      writeStreamAnswer(this.#in, line.id, STREAM_ANSWER.registration, answer);
    }
  }

  #age(): void {
    const ms = this.#tape.pick([1, 250, 5_000, HANDSHAKE_MS, 600_000]);
    this.#batch();
    this.#now = { monotonicMs: this.#now.monotonicMs + ms, unixMs: this.#now.unixMs + ms };
    this.#in.tick();
  }

  #batch(): void {
    const { connections } = this;
    const nobody = () => oracle(false, 'no other record was written');
    readInbound(this.#in.seal(this.#now), {
      packet: nobody,
      answer: nobody,
      kemKey: nobody,
      reserve: nobody,
      unreserve: nobody,
      tick: () => connections.tick(),
      streams: connections,
    });
    this.#in.reset();
    const release = (kind: ReleaseKind, source: number) => {
      oracle(source === SOURCE, 'a place goes back to its source');
      const left = (this.#places.get(kind) ?? 0) - 1;
      oracle(left >= 0, () => `a place of kind ${kind} is given back twice`);
      this.#places.set(kind, left);
    };
    const batch = this.#out.seal().slice();
    this.#out.reset();
    readOutbound(batch, {
      reply: nobody,
      request: nobody,
      noAnswer: nobody,
      indexTaken: nobody,
      stats: nobody,
      valid: nobody,
      indexFree: nobody,
      familyEnded: nobody,
      release,
      streams: this,
    });
    oracle(connections.size <= LINES, 'there are no more entries than connections');
  }
}

function take(line: Line): Uint8Array {
  const message = line.next ?? new Uint8Array(0);
  line.next = undefined;
  return message;
}

function connections(input: Uint8Array): void {
  const tape = new Tape(input);
  const acceptor = new Acceptor(tape);
  for (let step = 0; step < MAX_STEPS && !tape.ended; step++) acceptor.step();
  acceptor.end();
}

function seeds(): Uint8Array[] {
  const prng = new Prng(47);
  return [new Uint8Array(0), ...Array.from({ length: 12 }, (_, i) => prng.bytes(24 + 20 * i))];
}

export const targets: readonly FuzzTarget[] = [
  { name: 'shard-streams-connections', run: connections, seeds, maxLength: 400, batch: 16, weight: 5 },
];
