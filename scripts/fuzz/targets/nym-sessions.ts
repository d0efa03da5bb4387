/**
 * Sessions of Nym's two ends in every state (nym.md §6–§9), with a peer that the input plays: any bytes, changed and repeated
 * packets, and authentic nonsense under the session's own keys. A node answers every request that it takes once and in order, ends once and
 * is silent then; a client takes nothing but its answers, in order. Whoever else is connected notices nothing.
 */
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import type { NymCrypto } from '../../../src/lp/crypto/nym-provider.ts';
import { NymChannel } from '../../../src/lp/nym/channel.ts';
import { NymClientSession } from '../../../src/lp/nym/client-session.ts';
import { decodeNymForward, encodeNymForward } from '../../../src/lp/nym/forward.ts';
import type { FrameKind } from '../../../src/lp/nym/frame.ts';
import {
  DEFAULT_NYM_LIFETIMES,
  type NymEffects,
  NymGatewaySession,
  type NymRequest,
} from '../../../src/lp/nym/gateway-session.ts';
import {
  decodeNymRequest,
  decodeNymResponse,
  encodeNymRequest,
  encodeNymResponse,
} from '../../../src/lp/nym/registration.ts';
import { watchSeals } from '../../../test/support/nym-hostile.ts';
import { Prng } from '../../../test/support/prng.ts';
import { changed } from '../nym-messages.ts';
import { Tape } from '../tape.ts';
import { type FuzzTarget, oracle, sameBytes } from '../target.ts';

const provider = await loadProvider('native');
const NOW = { monotonicMs: 1_000, unixMs: 1_780_000_000_000 };
const MAX_STEPS = 80;
const PREFIX = 4;
/** None of these packets is so long that their bytes would count. */
const MAX_HELD = 8;
const EXIT = { family: 4, ip: Uint8Array.of(192, 0, 2, 7), port: 41_264 } as const;
const KEY = new Uint8Array(32).fill(5);
const TIME = BigInt(NOW.unixMs / 1_000);
const INITIAL = initial(TIME);
const RESPONSES = [
  encodeNymResponse({ kind: 'credential_required' }),
  encodeNymResponse({ kind: 'failed', mode: 'dvpn', text: 'no' }),
];

function initial(time: bigint): Uint8Array {
  return encodeNymRequest({ kind: 'initial', wgPublicKey: KEY, presharedKey: KEY, time });
}

/** Around the edges of what is near, or far away. */
function timeOf(tape: Tape): bigint {
  return tape.chance(0.1) ? 2n ** 63n : TIME + BigInt(tape.below(70) - 35);
}

function registrationOf(tape: Tape): Uint8Array {
  if (tape.chance(0.8)) return initial(timeOf(tape));
  return encodeNymRequest({ kind: 'mixnet', clientId: KEY, time: timeOf(tape) });
}

function forwardOf(tape: Tape): Uint8Array {
  const target = tape.chance(0.9) ? EXIT : { ...EXIT, port: tape.below(4) };
  return encodeNymForward({ target, replyLength: tape.pick([0, 70, 1_207]), bytes: new Uint8Array(tape.below(60)) });
}

/** Mostly one that a node takes. */
function frame(tape: Tape): [FrameKind, Uint8Array] {
  if (tape.chance(0.05)) return [tape.below(4) as FrameKind, body(tape)];
  const kind = tape.pick([1, 2] as const);
  const made = kind === 1 ? registrationOf(tape) : forwardOf(tape);
  return [kind, tape.chance(0.05) ? harmed(tape, made) : made];
}

function harmed(tape: Tape, made: Uint8Array): Uint8Array {
  const at = tape.below(made.length);
  made.set(tape.take(Math.min(1 + tape.below(8), made.length - at)), at);
  return tape.chance(0.2) ? made.subarray(0, tape.below(made.length)) : made;
}

/** Of any kind, mostly as it should be; or the input's own bytes. */
function body(tape: Tape): Uint8Array {
  if (tape.chance(0.2)) return tape.take(tape.below(120)).slice();
  const made = tape.pick([registrationOf(tape), forwardOf(tape), ...RESPONSES]).slice();
  return tape.chance(0.5) ? made : harmed(tape, made);
}

function secretsOf(tape: Prng) {
  return { index: tape.word(), initiatorToResponder: tape.bytes(16), responderToInitiator: tape.bytes(16) };
}

interface Node {
  readonly crypto: NymCrypto;
}

/** A gateway's session, the peer's channel, and what should come of what the peer has said. */
class Served {
  readonly peer: NymChannel;
  readonly session: NymGatewaySession;
  readonly sent: Uint8Array[] = [];
  /** Kinds of the frames that were taken and have no answer yet. */
  readonly due: FrameKind[] = [];
  closed = 0;
  pending: NymRequest['kind'] | undefined;
  /** The target of the first forward that was served. */
  #target: string | undefined;
  readonly #held: { readonly kind: FrameKind; readonly content: Uint8Array }[] = [];
  /** Something came that ends it. */
  #doomed = false;

  constructor(node: Node, tape: Prng) {
    const secrets = secretsOf(tape);
    this.peer = new NymChannel(node.crypto, 'initiator', secrets);
    const channel = new NymChannel(node.crypto, 'responder', secrets);
    this.session = new NymGatewaySession({ channel, lifetimes: DEFAULT_NYM_LIFETIMES, dvpn: true }, NOW);
  }

  readonly effects: NymEffects = {
    send: (wire) => this.#answered(wire),
    request: (request) => {
      oracle(this.pending === undefined && this.closed === 0, 'one request at a time, and none when it is over');
      this.pending = request.kind;
      return true;
    },
    close: () => {
      this.closed++;
      oracle(this.#doomed && this.closed === 1, 'a session ends once, and for a reason');
    },
  };

  /** Authentic: judged by its kind and content alone. */
  frame(kind: FrameKind, content: Uint8Array): void {
    const wire = this.peer.seal(kind, content);
    oracle(wire !== undefined, 'the peer seals');
    this.sent.push(wire.slice(PREFIX));
    if (this.#doomed) this.session.receive(wire.slice(PREFIX), NOW, this.effects);
    else if (this.pending !== undefined) this.#hold(kind, content, wire);
    else {
      this.#expect(kind, content);
      this.session.receive(wire.slice(PREFIX), NOW, this.effects);
    }
    this.#check();
  }

  /** Not sealed by anybody, or out of its order: nothing of it is taken. */
  raw(packet: Uint8Array): void {
    if (this.pending === undefined) this.#doomed = true;
    else this.#keep(0, packet);
    this.session.receive(packet, NOW, this.effects);
    this.#check();
  }

  answer(tape: Tape): void {
    const { pending } = this;
    if (pending === undefined) {
      // Nobody's: nothing may come of it.
      const before = this.due.length;
      this.session.answer({ kind: 'forward', bytes: new Uint8Array(3) }, NOW, this.effects);
      oracle(this.due.length === before, 'an answer to nothing is nothing');
      return;
    }
    this.pending = undefined;
    const fails = tape.chance(0.05);
    if (fails) this.#doomed = true;
    else this.#expectHeld();
    if (fails) this.session.answer({ kind: 'forward_failed' }, NOW, this.effects);
    else if (pending === 'forward')
      this.session.answer({ kind: 'forward', bytes: tape.bytes(tape.below(90)) }, NOW, this.effects);
    else this.session.answer({ kind: 'registration', response: { kind: 'credential_required' } }, NOW, this.effects);
    this.#check();
  }

  /** A reply opens at the peer, and is of the kind of the oldest frame that has none. */
  #answered(wire: Uint8Array): void {
    const kind = this.due.shift();
    const opened = this.peer.open(wire.slice(PREFIX));
    oracle(this.closed === 0 && opened.kind === 'frame', 'what a node says opens, and it says nothing when it is over');
    oracle(opened.frame.kind === kind, () => `an answer of kind ${opened.frame.kind} where ${kind} is due`);
    const response = kind === 1 ? decodeNymResponse(opened.frame.content) : undefined;
    oracle(kind !== 1 || response !== undefined, 'a response is a response');
  }

  #hold(kind: FrameKind, content: Uint8Array, wire: Uint8Array): void {
    this.#keep(kind, content);
    this.session.receive(wire.slice(PREFIX), NOW, this.effects);
  }

  #keep(kind: FrameKind, content: Uint8Array): void {
    this.#held.push({ kind, content });
    if (this.#held.length > MAX_HELD) this.#doomed = true;
  }

  #expect(kind: FrameKind, content: Uint8Array): 'waits' | 'goes on' {
    this.due.push(kind);
    if (kind === 1) {
      const request = decodeNymRequest(content);
      if (request === undefined) this.#doomed = true;
      const timely = request !== undefined && request.time <= TIME + 30n && request.time >= TIME - 30n;
      return timely && request.kind !== 'mixnet' ? 'waits' : 'goes on';
    }
    const forward = kind === 2 ? decodeNymForward(content) : undefined;
    const target = forward && JSON.stringify({ ...forward.target, ip: [...forward.target.ip] });
    if (target !== undefined) this.#target ??= target;
    if (target === undefined || target !== this.#target) this.#doomed = true;
    return 'waits';
  }

  /** What was held is served now, up to the next one that must wait. */
  #expectHeld(): void {
    while (!this.#doomed) {
      const next = this.#held.shift();
      if (next === undefined) return;
      if (next.kind === 0 || next.kind === 3) this.#doomed = true;
      else if (this.#expect(next.kind, next.content) === 'waits') return;
    }
  }

  #check(): void {
    oracle(this.closed === (this.#doomed ? 1 : 0), () => `ended ${this.closed} times, doomed: ${this.#doomed}`);
    if (this.closed === 0)
      oracle(this.due.length === (this.pending === undefined ? 0 : 1), 'every frame has its answer');
    if (this.#doomed) this.pending = undefined;
  }
}

function gateway(input: Uint8Array): void {
  const tape = new Tape(input);
  const node = { crypto: watchSeals(provider) };
  const [hostile, quiet] = [new Served(node, tape), new Served(node, tape)];
  quiet.frame(1, INITIAL);
  for (let step = 0; step < MAX_STEPS && !tape.ended; step++) {
    if (tape.chance(0.02)) hostile.raw(changed(tape, [...hostile.sent, ...quiet.sent]));
    else if (tape.chance(0.3)) hostile.answer(tape);
    // Once in a while more than a session holds.
    else for (let left = tape.chance(0.1) ? 1 + tape.below(12) : 1; left > 0; left--) hostile.frame(...frame(tape));
  }
  quiet.answer(new Tape(new Uint8Array(0), 2));
  quiet.frame(1, INITIAL);
  oracle(quiet.closed === 0 && quiet.pending === 'registration', 'whoever had a session has it still');
}

/** What a hostile node may say in a client's session. */
function client(input: Uint8Array): void {
  const tape = new Tape(input);
  hostileSession(tape, { crypto: watchSeals(provider) });
}

function hostileSession(tape: Tape, node: Node): void {
  const secrets = secretsOf(tape);
  const session = new NymClientSession(new NymChannel(node.crypto, 'initiator', secrets));
  const peer = new NymChannel(node.crypto, 'responder', secrets);
  const asked: { readonly id: number; readonly kind: FrameKind }[] = [];
  const pool: Uint8Array[] = [];
  let over = false;
  for (let step = 0; step < MAX_STEPS && !tape.ended; step++) {
    if (tape.chance(0.4)) {
      const request = tape.chance(0.5) ? 'registration' : 'forward';
      const sent = session.send(request, body(tape));
      oracle(sent.kind === 'packet' || over || asked.length === 16, 'a live session with room takes a request');
      if (sent.kind === 'packet') asked.push({ id: sent.id, kind: request === 'registration' ? 1 : 2 });
      continue;
    }
    const kind = tape.chance(0.8) && asked[0] !== undefined ? asked[0].kind : (tape.below(4) as FrameKind);
    const content = body(tape);
    const sealed = tape.chance(0.9) ? peer.seal(kind, content)?.slice(PREFIX) : undefined;
    if (sealed !== undefined) pool.push(sealed.slice());
    const received = session.receive(sealed ?? changed(tape, pool));
    const due = asked.shift();
    const good = sealed !== undefined && due?.kind === kind && !over;
    oracle((received.kind === 'answer') === good, () => `${received.kind} where ${good}`);
    if (received.kind === 'answer') {
      oracle(received.id === due?.id, 'an answer has the number of its request');
      sameBytes(received.content, content, 'and the content that was sealed');
    } else over = true;
  }
  oracle(session.outstanding <= 16, 'what waits is bounded');
}

function seeds(): Uint8Array[] {
  const prng = new Prng(33);
  return [new Uint8Array(0), ...Array.from({ length: 10 }, (_, i) => prng.bytes(12 + 20 * i))];
}

export const targets: readonly FuzzTarget[] = [
  { name: 'nym-gateway', run: gateway, seeds, maxLength: 500, batch: 16, weight: 4 },
  { name: 'nym-client', run: client, seeds, maxLength: 300, batch: 16, weight: 3 },
];
