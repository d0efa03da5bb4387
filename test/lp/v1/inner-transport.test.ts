/**
 * The Noise transport inside LP1's packets (lp1.md §6.3): which nonce a data packet has, after control packets, losses and
 * reordering. What a nonce was accepted for once is never accepted again, whatever counter it comes under.
 */
import test from 'ava';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import type { CryptoProvider } from '../../../src/lp/crypto/provider.ts';
import { InnerReceiver, InnerSender } from '../../../src/lp/v1/inner-transport.ts';

const crypto = await loadProvider('native');
/** lp1.md's own bound is this implementation's: control packets between two data packets. */
const MAX_DRIFT = 16;

class Line {
  private readonly sender: InnerSender;
  readonly receiver: InnerReceiver;
  private counter: number;
  private said = 0;

  constructor(first: number, expected = first) {
    const key = new Uint8Array(32).fill(0x42);
    this.sender = new InnerSender(key.slice());
    this.receiver = new InnerReceiver(key.slice(), expected);
    this.counter = first;
  }

  /** Counters that other packets take. */
  control(count = 1): void {
    this.counter += count;
  }

  say(): { readonly counter: number; readonly sealed: Uint8Array; readonly text: string } {
    const text = `payload ${this.said++}`;
    return { counter: this.counter++, sealed: this.sender.seal(crypto, Buffer.from(text)), text };
  }

  opens({ counter, sealed, text }: ReturnType<Line['say']>): boolean {
    const payload = this.receiver.open(crypto, counter, sealed);
    return payload !== undefined && Buffer.from(payload).toString() === text;
  }
}

test('the nonce is the counter less what the handshake took', (t) => {
  for (const first of [0, 2, 3]) {
    const line = new Line(first);
    for (let i = 0; i < 100; i++) t.true(line.opens(line.say()));
  }
});

test(`up to ${MAX_DRIFT} control packets between two data packets change nothing`, (t) => {
  const line = new Line(3);
  for (let count = 0; count <= MAX_DRIFT; count++) {
    t.true(line.opens(line.say()));
    line.control(count);
  }
  t.true(line.opens(line.say()));
});

test('however many control packets lie before a data packet, it opens when no data was lost', (t) => {
  const line = new Line(3);
  for (const count of [17, 40, 200, 3_000]) {
    line.control(count);
    t.true(line.opens(line.say()), `${count}`);
    t.true(line.opens(line.say()), `${count}, the next one`);
  }
});

test('a packet that comes late opens, with control packets before and behind it', (t) => {
  const line = new Line(3);
  const early = Array.from({ length: 8 }, () => {
    line.control(2);
    return line.say();
  });
  t.true(line.opens(early[7]!));
  for (const packet of [early[3]!, early[0]!, early[6]!, early[1]!, early[5]!, early[4]!, early[2]!]) {
    t.true(line.opens(packet));
  }
});

test('after 1,000, 1,024 and 5,000 lost data packets the next one opens', (t) => {
  for (const lost of [1_000, 1_024, 5_000]) {
    const line = new Line(3);
    t.true(line.opens(line.say()));
    for (let i = 0; i < lost; i++) line.say();
    line.control(3);
    t.true(line.opens(line.say()), `${lost}`);
  }
});

test('the first packet opens though the counters began somewhere else than expected', (t) => {
  for (const [first, expected] of [
    [500, 0],
    [90_000, 12],
    [10, 14],
  ] as const) {
    const line = new Line(first, expected);
    const packets = Array.from({ length: 20 }, () => line.say());
    t.true(line.opens(packets[9]!), 'and nine before it are lost or late');
    for (const packet of [...packets.slice(0, 9), ...packets.slice(10)]) t.true(line.opens(packet));
  }
});

test('no nonce is accepted twice, under its own counter or another one', (t) => {
  const line = new Line(3);
  const packets = Array.from({ length: 30 }, () => line.say());
  for (const packet of packets) t.true(line.opens(packet));
  for (const { sealed } of packets) {
    for (let counter = 0; counter < 60; counter++) {
      t.is(line.receiver.open(crypto, counter, sealed), undefined);
    }
  }
  t.true(line.opens(line.say()));
});

test('what does not open changes nothing, at any counter', (t) => {
  const line = new Line(3);
  t.true(line.opens(line.say()));
  const genuine = line.say();
  for (const counter of [0, 4, 5, 900, 2 ** 40]) {
    for (const length of [0, 15, 16, 40]) {
      t.is(line.receiver.open(crypto, counter, new Uint8Array(length).fill(7)), undefined);
    }
    const wrong = genuine.sealed.slice();
    wrong[3]! ^= 1;
    t.is(line.receiver.open(crypto, counter, wrong), undefined);
  }
  t.true(line.opens(genuine));
  t.true(line.opens(line.say()));
});

class Counting {
  tries = 0;
  readonly crypto: CryptoProvider = {
    ...crypto,
    aeadOpen: (...args) => {
      this.tries++;
      return crypto.aeadOpen(...args);
    },
  };

  /** Tries that one packet takes. */
  of(receiver: InnerReceiver, { counter, sealed }: { readonly counter: number; readonly sealed: Uint8Array }): number {
    this.tries = 0;
    receiver.open(this.crypto, counter, sealed);
    return this.tries;
  }
}

/** What the other direction's key sealed, as a packet has it that comes back to its sender. */
function ownPackets(count: number): Uint8Array[] {
  const own = new InnerSender(new Uint8Array(32).fill(0x17));
  return Array.from({ length: count }, (_, i) => own.seal(crypto, new Uint8Array(40).fill(i)));
}

test('a data packet that does not open costs a bounded number of tries', (t) => {
  const counting = new Counting();
  const receiver = new InnerReceiver(new Uint8Array(32).fill(1), 3);
  for (const counter of [0, 3, 50, 2_000, 2 ** 45]) {
    const tries = counting.of(receiver, { counter, sealed: new Uint8Array(64) });
    t.true(tries <= 2 * MAX_DRIFT + 1, `${tries} at counter ${counter}`);
  }
});

test('a packet is tried under no nonce that the packets before and behind it leave no room for', (t) => {
  const counting = new Counting();
  const line = new Line(3);
  const packets = Array.from({ length: 20 }, () => line.say());
  for (const packet of packets) if (packet !== packets[7]) line.opens(packet);
  const [own] = ownPackets(1);
  const at = (counter: number) => counting.of(line.receiver, { counter, sealed: own! });
  t.is(at(packets[7]!.counter), 1, 'one is missing there');
  t.is(at(packets[8]!.counter), 0, 'none behind it');
  t.is(at(packets[19]!.counter + 1), 1, 'the next one');
  t.is(at(packets[19]!.counter + 5), 5);
  t.true(line.opens(packets[7]!));
});

test('a packet that comes back again and again under one counter is tried once, and the genuine one still opens', (t) => {
  const counting = new Counting();
  const line = new Line(3);
  line.opens(line.say());
  const held = Array.from({ length: 12 }, () => line.say());
  const own = ownPackets(held.length).map((sealed, i) => ({ counter: held[i]!.counter, sealed }));
  const first = own.reduce((sum, packet) => sum + counting.of(line.receiver, packet), 0);
  t.true(first <= own.length * (2 * MAX_DRIFT + 1), `${first}`);
  for (let i = 0; i < 500; i++) t.is(counting.of(line.receiver, own[i % own.length]!), 0);
  for (const packet of held) t.true(line.opens(packet));
  for (let i = 0; i < 500; i++) t.is(counting.of(line.receiver, own[i % own.length]!), 0);
});

test('whatever came back before, a packet opens behind control packets and lost data', (t) => {
  const counting = new Counting();
  const line = new Line(3);
  line.opens(line.say());
  const own = ownPackets(6).map((sealed, i) => ({ counter: 5 + 7 * i, sealed }));
  for (let i = 0; i < 5_000; i++) counting.of(line.receiver, own[i % own.length]!);
  for (let i = 0; i < 40; i++) line.say();
  line.control(MAX_DRIFT);
  t.true(line.opens(line.say()));
});

test('control packets and lost data before each packet spend nothing', (t) => {
  const line = new Line(3);
  for (let i = 0; i < 200; i++) {
    t.true(line.opens(line.say()), `${i}`);
    for (let lost = 0; lost < 20; lost++) line.say();
    line.control(MAX_DRIFT);
  }
});

test('a peer that seals what does not open has few tries for it, and more only for what opens', (t) => {
  const counting = new Counting();
  const line = new Line(3);
  line.opens(line.say());
  const flood = () => {
    let tries = 0;
    for (let i = 0; i < 1_000; i++) {
      const sealed = new Uint8Array(64);
      sealed[i % 64] = 1 + (i >> 6);
      tries += counting.of(line.receiver, { counter: 1_000 + i, sealed });
    }
    return tries;
  };
  const first = flood();
  t.true(first < 2_500, `${first}, two for each and an allowance`);
  t.true(flood() <= 2_000, 'the allowance is spent');
  for (let i = 0; i < 200; i++) t.true(line.opens(line.say()), 'none of it costs the session a packet');
  t.is(counting.of(line.receiver, { counter: 90_000, sealed: new Uint8Array(64) }), 2 * MAX_DRIFT + 1);
  line.control(40);
  t.true(line.opens(line.say()));
});

test('after the wipe nothing opens', (t) => {
  const line = new Line(0);
  const packet = line.say();
  line.receiver.wipe();
  t.false(line.opens(packet));
});
