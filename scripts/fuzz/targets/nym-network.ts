/**
 * A Nym client and a node with a hostile network between them, which the input plays: it cuts the stream into pieces, delays
 * them, loses, doubles, exchanges and changes them, and ends the connection. No exception, no key and nonce twice; what either
 * side takes is what the other one said, in that order and from the beginning; on a good network all of it arrives.
 */
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import type { NymClientSession, NymRequestKind } from '../../../src/lp/nym/client-session.ts';
import { encodeNymForward } from '../../../src/lp/nym/forward.ts';
import { DEFAULT_NYM_LIFETIMES, NymGatewaySession, type NymRequest } from '../../../src/lp/nym/gateway-session.ts';
import type { NymInitiator, NymStep } from '../../../src/lp/nym/initiator.ts';
import { decodeNymResponse, encodeNymRequest } from '../../../src/lp/nym/registration.ts';
import { type NymNode, NymResponder } from '../../../src/lp/nym/responder.ts';
import { NymStreamCutter } from '../../../src/lp/nym/stream-cutter.ts';
import { nymClient, nymNode, watchSeals } from '../../../test/support/nym-hostile.ts';
import { Prng } from '../../../test/support/prng.ts';
import { Tape } from '../tape.ts';
import { type FuzzTarget, oracle, sameBytes } from '../target.ts';

const provider = await loadProvider('native');
const NOW = { monotonicMs: 1_000, unixMs: 1_780_000_000_000 };
const MAX_STEPS = 120;
const MAX_PIECE = 400;
const EXIT = { family: 4, ip: Uint8Array.of(192, 0, 2, 7), port: 41_264 } as const;
/** As many as a node holds beside the one that it serves. */
const MAX_OUTSTANDING = 9;

/** Bytes on their way in one direction, in pieces. */
class Wire {
  readonly pieces: Uint8Array[] = [];
  /** It has done something to them. */
  touched = false;

  write(bytes: Uint8Array, tape: Tape): void {
    for (let at = 0; at < bytes.length; ) {
      const size = tape.chance(0.5) ? bytes.length : 1 + tape.below(MAX_PIECE);
      this.pieces.push(bytes.slice(at, at + size));
      at += size;
    }
  }

  harm(tape: Tape): void {
    const { pieces } = this;
    if (pieces.length === 0) return;
    this.touched = true;
    const at = tape.below(pieces.length);
    const piece = pieces[at] ?? new Uint8Array(0);
    switch (tape.below(6)) {
      case 0:
        pieces.splice(at, 1);
        break;
      case 1:
        pieces.splice(at, 0, piece.slice());
        break;
      case 2:
        pieces.splice(tape.below(pieces.length), 0, ...pieces.splice(at, 1));
        break;
      case 3:
        pieces[at] = piece.subarray(0, tape.below(piece.length));
        break;
      case 4:
        pieces.splice(at, 0, tape.take(1 + tape.below(20)));
        break;
      default: {
        const bit = tape.below(8 * piece.length);
        piece[bit >> 3] = (piece[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      }
    }
  }
}

class Client {
  readonly said: { readonly kind: NymRequestKind; readonly content: Uint8Array }[] = [];
  answered = 0;
  session: NymClientSession | undefined;
  over = false;
  readonly #initiator: NymInitiator;
  readonly #cutter: NymStreamCutter;
  readonly #write: (bytes: Uint8Array) => void;

  constructor(node: NymNode, pipelined: boolean, write: (bytes: Uint8Array) => void) {
    this.#write = write;
    this.#initiator = nymClient(node, pipelined ? { kemKey: node.kem.publicKey.bytes } : {});
    this.#cutter = new NymStreamCutter('node', (kind, bytes) => {
      if (this.over) return;
      if (kind === 'packet') this.#packet(bytes);
      else this.#follow(this.#initiator.receive(bytes, NOW));
    });
    this.#follow(this.#initiator.start(NOW));
  }

  read(bytes: Uint8Array): void {
    if (!this.over && !this.#cutter.push(bytes)) this.end();
  }

  say(number: number): void {
    const { session } = this;
    if (session === undefined || this.over || session.outstanding >= MAX_OUTSTANDING) return;
    const kind = number % 2 === 0 ? 'registration' : 'forward';
    const content = requestOf(number);
    const sent = session.send(kind, content);
    oracle(sent.kind === 'packet', 'a request of a live session is sealed');
    this.said.push({ kind, content });
    this.#write(sent.wire);
  }

  end(): void {
    this.over = true;
    const step = this.#initiator.closed();
    oracle(this.session === undefined || step.kind === 'wait', 'a session has no handshake that could fail');
    oracle(this.#initiator.receive(new Uint8Array(70), NOW).kind === 'wait', 'what is over says nothing');
    this.session?.wipe();
  }

  #follow(step: NymStep): void {
    if (step.kind === 'send') for (const { bytes } of step.messages) this.#write(bytes);
    else if (step.kind === 'established') this.session = step.session;
    else if (step.kind === 'failed') this.end();
  }

  #packet(bytes: Uint8Array): void {
    if (this.session === undefined) {
      this.end();
      return;
    }
    const received = this.session.receive(bytes);
    if (received.kind === 'failed') {
      this.end();
      return;
    }
    const asked = this.said[this.answered++];
    oracle(asked !== undefined && asked.kind === received.request, 'an answer belongs to the oldest request');
    oracle(received.id === this.answered, 'answers come in order');
    checkAnswer(asked.kind, this.answered, received.content);
  }
}

/** A request says its number, and so does its answer. */
function requestOf(number: number): Uint8Array {
  const wgPublicKey = new Uint8Array(32).fill(number);
  const time = BigInt(NOW.unixMs / 1_000);
  if (number % 2 === 0) return encodeNymRequest({ kind: 'initial', wgPublicKey, presharedKey: wgPublicKey, time });
  return encodeNymForward({ target: EXIT, replyLength: 0, bytes: new Uint8Array(90).fill(number) });
}

const answerBytes = (number: number) => new Uint8Array(200).fill(number);

function checkAnswer(kind: NymRequestKind, number: number, content: Uint8Array): void {
  if (kind === 'forward') sameBytes(content, answerBytes(number), 'an answer is what the node said');
  else {
    const response = decodeNymResponse(content);
    oracle(response?.kind === 'failed' && response.text === `number ${number}`, 'a response is what the node said');
  }
}

class Node {
  established = false;
  over = false;
  served = 0;
  readonly #cutter: NymStreamCutter;
  readonly #responder: NymResponder;
  readonly #write: (bytes: Uint8Array) => void;
  readonly #client: () => Client;
  #session: NymGatewaySession | undefined;
  #pending: NymRequest['kind'] | undefined;

  constructor(node: NymNode, client: () => Client, write: (bytes: Uint8Array) => void) {
    this.#client = client;
    this.#write = write;
    this.#responder = new NymResponder(node, NOW);
    this.#cutter = new NymStreamCutter('client', (kind, bytes) => {
      if (this.over) return;
      if (this.#session !== undefined) this.#session.receive(bytes, NOW, this.#effects);
      else if (kind === 'packet') this.over = true;
      else this.#handshake(bytes);
    });
  }

  readonly #effects = {
    send: (wire: Uint8Array) => {
      oracle(!this.over, 'a session that is over says nothing');
      this.#write(wire);
    },
    request: (request: NymRequest) => {
      oracle(this.#pending === undefined, 'one request is served at a time');
      this.#pending = request.kind;
      this.#checkRequest(request);
      return true;
    },
    close: () => {
      oracle(!this.over, 'a session ends once');
      this.over = true;
    },
  };

  read(bytes: Uint8Array): void {
    if (!this.over && !this.#cutter.push(bytes)) this.end();
  }

  answer(): void {
    const kind = this.#pending;
    if (kind === undefined || this.over) return;
    this.#pending = undefined;
    const text = `number ${this.served}`;
    if (kind === 'forward') this.#session?.answer({ kind, bytes: answerBytes(this.served) }, NOW, this.#effects);
    else this.#session?.answer({ kind, response: { kind: 'failed', mode: 'dvpn', text } }, NOW, this.#effects);
  }

  end(): void {
    this.over = true;
    this.#session?.wipe();
  }

  #handshake(bytes: Uint8Array): void {
    const step = this.#responder.receive(bytes, NOW);
    if (step.kind === 'refuse') {
      this.over = true;
      return;
    }
    this.#write(step.message);
    if (step.kind !== 'established') return;
    this.established = true;
    this.#session = new NymGatewaySession({ channel: step.channel, lifetimes: DEFAULT_NYM_LIFETIMES, dvpn: true }, NOW);
  }

  #checkRequest(request: NymRequest): void {
    this.served++;
    const said = this.#client().said[this.served - 1];
    oracle(said?.kind === request.kind, 'requests are served in the order in which they were made');
    if (request.kind === 'forward')
      sameBytes(encodeNymForward(request.forward), said.content, 'a forward as it was said');
    else sameBytes(encodeNymRequest(request.request), said.content, 'a registration as it was said');
  }
}

class Connection {
  readonly up = new Wire();
  readonly down = new Wire();
  readonly client: Client;
  readonly node: Node;
  /** By the network. */
  #ended = false;
  #said = 0;

  constructor(node: NymNode, tape: Tape) {
    this.node = new Node(
      node,
      () => this.client,
      (bytes) => this.down.write(bytes, tape),
    );
    this.client = new Client(node, tape.chance(0.5), (bytes) => this.up.write(bytes, tape));
  }

  step(tape: Tape): void {
    switch (tape.below(10)) {
      case 0:
        this.say();
        break;
      case 1:
        if (tape.chance(0.3)) (tape.chance(0.5) ? this.up : this.down).harm(tape);
        break;
      case 2:
        this.node.answer();
        break;
      case 3:
        if (tape.chance(0.02)) this.#end(tape.chance(0.5) ? this.client : this.node);
        break;
      default:
        this.deliver(tape.chance(0.5));
    }
  }

  say(): void {
    this.client.say(this.#said + 1);
    this.#said = this.client.said.length;
  }

  deliver(upwards: boolean): boolean {
    const piece = (upwards ? this.up : this.down).pieces.shift();
    if (piece === undefined) return false;
    (upwards ? this.node : this.client).read(piece);
    return true;
  }

  /** What is under way arrives, and what is served is answered, until nothing happens any more. */
  calm(): void {
    for (let more = true; more; ) {
      more = false;
      while (this.deliver(true) || this.deliver(false)) more = true;
      const before = this.down.pieces.length;
      this.node.answer();
      more ||= this.down.pieces.length > before;
    }
  }

  get touched(): boolean {
    return this.up.touched || this.down.touched || this.#ended;
  }

  #end(side: Client | Node): void {
    this.#ended = true;
    side.end();
  }
}

function mustWork(connection: Connection): void {
  const { client, node } = connection;
  connection.calm();
  for (let i = 0; i < 4; i++) connection.say();
  connection.calm();
  oracle(client.session !== undefined && node.established && !client.over && !node.over, 'both have a session');
  oracle(client.answered === client.said.length && node.served === client.said.length, 'every request has its answer');
  oracle(client.said.length >= 4 && client.session.outstanding === 0, 'nothing is outstanding');
}

function run(input: Uint8Array): void {
  const tape = new Tape(input);
  const node = nymNode(watchSeals(provider), tape);
  const connection = new Connection(node, tape);
  for (let step = 0; step < MAX_STEPS && !tape.ended; step++) connection.step(tape);
  if (connection.touched) {
    connection.calm();
    mustWork(new Connection(node, tape));
  } else mustWork(connection);
}

function seeds(): Uint8Array[] {
  const prng = new Prng(31);
  return [new Uint8Array(0), ...Array.from({ length: 10 }, (_, i) => prng.bytes(16 + 24 * i))];
}

export const targets: readonly FuzzTarget[] = [
  { name: 'nym-network', run, seeds, maxLength: 500, batch: 16, weight: 5 },
];
