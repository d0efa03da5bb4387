/**
 * Nym's handshake at each of its stages (nym.md §4, §5), on both sides, with a peer that the input plays: any bytes, changed,
 * repeated and exchanged messages. A stage is passed by a genuine message and by nothing else, once; a failure is final; whoever
 * else stands there notices nothing.
 */
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import type { NymInitiator, NymStep } from '../../../src/lp/nym/initiator.ts';
import { type NymNode, NymResponder, type NymResponderStep } from '../../../src/lp/nym/responder.ts';
import { nymClient, nymNode, watchSeals } from '../../../test/support/nym-hostile.ts';
import { Prng } from '../../../test/support/prng.ts';
import { changed } from '../nym-messages.ts';
import { Tape } from '../tape.ts';
import { type FuzzTarget, oracle } from '../target.ts';

const provider = await loadProvider('native');
const NOW = { monotonicMs: 1_000, unixMs: 1_780_000_000_000 };
const MAX_STEPS = 24;
const NONE = new Uint8Array(0);

function replyOf(step: NymResponderStep): Uint8Array {
  oracle(step.kind !== 'refuse', () => `the node refused: ${JSON.stringify(step)}`);
  return step.message;
}

function messageOf(step: NymStep): Uint8Array {
  const [first] = step.kind === 'send' ? step.messages : [];
  oracle(first !== undefined, 'the client goes on');
  return first.bytes;
}

/** Two clients that stand at the second stage, the first of them beside a hostile one, and a connection that stands at the first. */
function responder(input: Uint8Array): void {
  const tape = new Tape(input);
  const node = nymNode(watchSeals(provider), tape);
  const clients = [nymClient(node), nymClient(node)] as const;
  const [attacked, bystander] = [new NymResponder(node, NOW), new NymResponder(node, NOW)];
  const requests = clients.map((client) => messageOf(client.start(NOW)));
  const responses = [attacked, bystander].map((each, i) => replyOf(each.receive(requests[i] ?? NONE, NOW)));
  const messages = clients.map((client, i) => messageOf(client.receive(responses[i] ?? NONE, NOW)));
  const pool = [...requests, ...responses, ...messages];
  const fresh = new NymResponder(node, NOW);
  let [tried, triedFresh] = [false, false];
  for (let step = 0; step < MAX_STEPS && !tape.ended; step++) {
    if (tape.chance(0.5)) triedFresh = handshake(fresh, changed(tape, pool), requests, 'reply', triedFresh);
    // Nothing ties message 1 to the KKT request before it, so any client's is one.
    else tried = handshake(attacked, changed(tape, pool), messages, 'established', tried);
  }
  const step = clients[1].receive(replyOf(bystander.receive(messages[1] ?? NONE, NOW)), NOW);
  oracle(step.kind === 'established', 'whoever stood there has his session');
}

/** The first message decides: a genuine one of its stage, unchanged, or nothing. Returns that it was tried. */
function handshake(
  responder: NymResponder,
  message: Uint8Array,
  genuine: readonly Uint8Array[],
  kind: NymResponderStep['kind'],
  tried: boolean,
): boolean {
  const isGenuine = genuine.some((each) => Buffer.compare(each, message) === 0);
  const step = responder.receive(message, NOW);
  if (tried) {
    // A second message of a fresh one would have to be of a client that holds its ephemeral: the pool has none.
    oracle(step.kind === 'refuse' || step.kind === 'established', 'a stage is passed once');
    return true;
  }
  oracle((step.kind !== 'refuse') === isGenuine, () => `${step.kind} where genuine is ${isGenuine}`);
  if (isGenuine) oracle(step.kind === kind, 'the step of its stage');
  return true;
}

/** What a hostile node may say to a client, with its KEM key known and not. */
function initiator(input: Uint8Array): void {
  const tape = new Tape(input);
  const node = nymNode(watchSeals(provider), tape);
  hostileHandshake(tape, node, nymClient(node, tape.chance(0.5) ? { kemKey: node.kem.publicKey.bytes } : {}));
}

function hostileHandshake(tape: Tape, node: NymNode, attacked: NymInitiator): void {
  const responder = new NymResponder(node, NOW);
  const started = attacked.start(NOW);
  oracle(started.kind === 'send', 'a handshake starts');
  const genuine = started.messages.map(({ bytes }) => replyOf(responder.receive(bytes, NOW)));
  const first = genuine[0] ?? NONE;
  for (let turn = 0; turn < 2 && attacked.awaits !== undefined; turn++) {
    const stage = attacked.awaits;
    const expected = stage === 'kkt' ? first : genuine[1];
    const message = tape.chance(0.5) && expected !== undefined ? expected.slice() : changed(tape, [...genuine, first]);
    const good = expected !== undefined && Buffer.compare(message, expected) === 0;
    const step = attacked.receive(message, NOW);
    oracle((step.kind !== 'failed') === good, () => `${step.kind} where genuine is ${good}`);
    if (step.kind === 'failed') {
      oracle(step.failure.stage === stage, 'a failure names its stage');
      oracle(attacked.receive(first, NOW).kind === 'wait' && attacked.awaits === undefined, 'it fails once');
    } else if (step.kind === 'established') step.session.wipe();
    else if (step.kind === 'send') genuine.push(replyOf(responder.receive(messageOf(step), NOW)));
  }
  attacked.abandon();
}

function seeds(): Uint8Array[] {
  const prng = new Prng(34);
  return [new Uint8Array(0), ...Array.from({ length: 10 }, (_, i) => prng.bytes(6 + 8 * i))];
}

export const targets: readonly FuzzTarget[] = [
  { name: 'nym-responder', run: responder, seeds, maxLength: 120, batch: 16, weight: 2 },
  { name: 'nym-initiator', run: initiator, seeds, maxLength: 120, batch: 16, weight: 2 },
];
