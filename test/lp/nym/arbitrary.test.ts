/** Whatever comes, at whatever stage, in either role: a step with a reason, never an exception, and never a session. */
import test from 'ava';
import fc from 'fast-check';
import { KKT_REQUEST_LENGTH } from '../../../src/lp/nym/kkt.ts';
import { NymResponder } from '../../../src/lp/nym/responder.ts';
import { NymStreamCutter } from '../../../src/lp/nym/stream-cutter.ts';
import { gateway, initiatorFor, makeNode, messagesOf, NOW, outcome, packetOf, replyOf } from './pair.ts';

const NODE = makeNode();
const LENGTHS = [0, 1, 12, 70, 91, 1207, 1247, 1275] as const;
/** Of a length that some step has, or of any. */
const message = fc.oneof(
  fc.constantFrom(...LENGTHS).chain((length) => fc.uint8Array({ minLength: length, maxLength: length })),
  fc.uint8Array({ maxLength: 1_300 }),
);
const flips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 });
const runs = { numRuns: 60 };

function flipped(bytes: Uint8Array, changes: readonly (readonly [number, number])[]): Uint8Array {
  const out = bytes.slice();
  for (const [at, mask] of changes) out[at % out.length]! ^= mask;
  return out.every((byte, i) => byte === bytes[i]) ? out.map((byte) => byte ^ 1) : out;
}

function opening() {
  const initiator = initiatorFor(NODE);
  const responder = new NymResponder(NODE, NOW);
  const [request] = messagesOf(initiator.start(NOW));
  return { initiator, responder, request: request! };
}

function halfway() {
  const { initiator, responder, request } = opening();
  const response = replyOf(responder.receive(request, NOW));
  const [message1] = messagesOf(initiator.receive(response, NOW));
  return { initiator, responder, message1: message1! };
}

test('a node refuses any bytes as a KKT request, and any changed request', (t) => {
  fc.assert(
    fc.property(message, (bytes) => t.is(new NymResponder(NODE, NOW).receive(bytes, NOW).kind, 'refuse')),
    runs,
  );
  fc.assert(
    fc.property(flips, (changes) => {
      const { responder, request } = opening();
      t.is(responder.receive(flipped(request, changes), NOW).kind, 'refuse');
    }),
    runs,
  );
});

test('a node refuses any bytes as message 1, and any changed message', (t) => {
  fc.assert(
    fc.property(fc.oneof(message, flips), (input) => {
      const { responder, message1 } = halfway();
      const bytes = input instanceof Uint8Array ? input : flipped(message1, input);
      t.is(responder.receive(bytes, NOW).kind, 'refuse');
      t.is(outcome(responder.receive(message1, NOW)), 'over');
    }),
    runs,
  );
});

test('a client fails on any bytes as a KKT response, and on any changed response', (t) => {
  fc.assert(
    fc.property(fc.oneof(message, flips), (input) => {
      const { initiator, responder, request } = opening();
      const response = replyOf(responder.receive(request, NOW));
      const bytes = input instanceof Uint8Array ? input : flipped(response, input);
      t.is(initiator.receive(bytes, NOW).kind, 'failed');
      t.is(initiator.receive(response, NOW).kind, 'wait');
    }),
    runs,
  );
});

test('a client fails on any bytes as message 2, and on any changed message', (t) => {
  fc.assert(
    fc.property(fc.oneof(message, flips), (input) => {
      const { initiator, responder, message1 } = halfway();
      const message2 = replyOf(responder.receive(message1, NOW));
      const bytes = input instanceof Uint8Array ? input : flipped(message2, input);
      t.is(initiator.receive(bytes, NOW).kind, 'failed');
    }),
    runs,
  );
});

test('both ends of a session give up on any bytes as a packet, and on any authentic nonsense', (t) => {
  fc.assert(
    fc.property(message, fc.boolean(), (bytes, sealed) => {
      const g = gateway();
      const registration = bytes.slice();
      g.session.receive(sealed ? packetOf(g.client.send('registration', registration)) : bytes.slice(), NOW, g.effects);
      t.is(g.closed.length, 1);
      t.is(g.client.receive(bytes.slice()).kind, 'failed');
    }),
    runs,
  );
});

test('a connection of any bytes is refused at its first message or broken, whatever the pieces', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 8 }), (chunks) => {
      const responder = new NymResponder(NODE, NOW);
      const steps: string[] = [];
      const cutter = new NymStreamCutter('client', (_, bytes) => void steps.push(responder.receive(bytes, NOW).kind));
      for (const chunk of chunks) cutter.push(chunk);
      const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      t.is(steps[0], length >= KKT_REQUEST_LENGTH ? 'refuse' : undefined);
      t.true(steps.every((step) => step === 'refuse'));
    }),
    runs,
  );
});
