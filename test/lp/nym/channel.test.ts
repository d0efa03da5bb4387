import test from 'ava';
import fc from 'fast-check';
import { MAX_FRAME_CONTENT, NymChannel, WireScratch, wireLength } from '../../../src/lp/nym/channel.ts';
import { NO_ATTRIBUTES } from '../../../src/lp/nym/frame.ts';
import { writeLe64 } from '../../../src/lp/wire/bytes.ts';
import { channels, native, randomBytes } from './pair.ts';

const CONTENT = Uint8Array.of(1, 2, 3);
const packetFrom = (channel: NymChannel, content = CONTENT) => channel.seal(1, content)!.slice(4);
const outcome = (channel: NymChannel, packet: Uint8Array) => {
  const opened = channel.open(packet);
  return opened.kind === 'frame' ? 'frame' : opened.reason;
};

/** With another counter than its nonce says. */
function numbered(packet: Uint8Array, counter: number): Uint8Array {
  const out = packet.slice();
  writeLe64(out, 4, counter);
  return out;
}

test('both directions carry frames of any size, and what is too large is not sealed', (t) => {
  const { client, node } = channels();
  for (const length of [0, 1, 43, 44, 300, 16_363, 16_364, MAX_FRAME_CONTENT]) {
    for (const [from, to] of [
      [client, node],
      [node, client],
    ] as const) {
      const content = new Uint8Array(length).fill(length);
      const wire = from.seal(2, content)!;
      t.is(wire.length, wireLength(length));
      const opened = to.open(wire.subarray(4));
      t.deepEqual(opened, { kind: 'frame', frame: { kind: 2, attributes: NO_ATTRIBUTES, content } });
    }
  }
  t.is(client.seal(1, new Uint8Array(MAX_FRAME_CONTENT + 1)), undefined);
  t.is(outcome(node, packetFrom(client)), 'frame');
});

test('a packet cut anywhere is refused, and the whole one still opens', (t) => {
  const { client, node } = channels();
  const packet = packetFrom(client);
  for (let length = 0; length < packet.length; length++) t.not(outcome(node, packet.slice(0, length)), 'frame');
  t.is(outcome(node, packet), 'frame');
});

test('a flipped bit anywhere but in the counter is refused, and the whole one still opens', (t) => {
  const { client, node } = channels();
  const packet = packetFrom(client);
  for (let at = 0; at < packet.length; at++) {
    if (at >= 4 && at < 12) continue;
    const flipped = packet.slice();
    flipped[at]! ^= 0x10;
    t.not(outcome(node, flipped), 'frame', String(at));
  }
  t.is(outcome(node, packet), 'frame');
});

test('each field names its own refusal', (t) => {
  const { client, node } = channels();
  const packet = packetFrom(client);
  const changed = (at: number, value: number) => {
    const out = packet.slice();
    out[at] = value;
    return out;
  };
  t.is(outcome(node, changed(0, 0xff)), 'unknown_index');
  t.is(outcome(node, changed(19, 1)), 'channel');
  t.is(outcome(node, changed(20, 0x05)), 'length');
  t.is(outcome(node, changed(20, 0xc0)), 'length');
  t.is(outcome(node, changed(packet.length - 1, packet.at(-1)! ^ 1)), 'tag');
  t.is(outcome(node, Uint8Array.from([...packet, 0])), 'length');
  t.is(outcome(node, new Uint8Array(65_537)), 'length');
  t.is(outcome(client, packet.slice()), 'tag');
  t.is(outcome(node, packet), 'frame');
});

test('counters that no honest sender reaches are refused, and close nothing for those that follow', (t) => {
  const { client, node } = channels();
  const packet = packetFrom(client);
  for (const counter of [2 ** 48, 2 ** 53, 2 ** 63]) t.is(outcome(node, numbered(packet, counter)), 'counter_limit');
  t.is(outcome(node, packet), 'frame');
  t.is(outcome(node, numbered(packetFrom(client), 2 ** 48 - 1)), 'frame');
  t.is(outcome(node, packetFrom(client)), 'out_of_window');
});

test('the replay window is exact: a counter opens once, in any order, as a plain set of the last 1,024 has it', (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat(3_000), { minLength: 1, maxLength: 60 }), (counters) => {
      const { client, node } = channels();
      const seen = new Set<number>();
      let next = 0;
      let waiting = packetFrom(client);
      for (const counter of counters) {
        const expected = counter + 1024 < next ? 'out_of_window' : seen.has(counter) ? 'duplicate' : 'frame';
        t.is(outcome(node, numbered(waiting, counter)), expected);
        if (expected !== 'frame') continue;
        // Its nonce is used: the sender's next packet fits.
        waiting = packetFrom(client);
        seen.add(counter);
        next = Math.max(next, counter + 1);
      }
    }),
    { numRuns: 60 },
  );
});

test('packets that are sealed into one scratch are those that lie alone', (t) => {
  const secrets = { index: 9, initiatorToResponder: randomBytes(16), responderToInitiator: randomBytes(16) };
  const [one, two] = [new NymChannel(native, 'initiator', secrets), new NymChannel(native, 'initiator', secrets)];
  const scratch = new WireScratch();
  const ids = Uint8Array.from({ length: 14 }, (_, i) => i);
  for (const length of [700, 3, 44, 700, 20_000, 43, 0]) {
    const content = randomBytes(length);
    t.deepEqual(one.seal(3, content, ids, scratch)!.slice(), two.seal(3, content, ids)!);
    t.deepEqual(one.seal(1, content, undefined, scratch)!.slice(), two.seal(1, content)!);
  }
});

test('a wiped channel neither seals nor opens', (t) => {
  const { client, node } = channels();
  const packet = packetFrom(client);
  node.wipe();
  t.is(outcome(node, packet), 'tag');
  t.is(node.seal(1, CONTENT), undefined);
  t.is(String(node), '<redacted>');
});

test('any bytes are refused with a reason', (t) => {
  const { node } = channels();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, withHeader) => {
      const packet = bytes.slice();
      if (withHeader && packet.length >= 21) {
        packet.set([4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet[20] = Math.max(0, Math.min(63, packet.length - 37));
      }
      t.not(outcome(node, packet), 'frame');
    }),
  );
});
