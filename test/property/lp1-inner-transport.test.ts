/**
 * LP1's inner transport (lp1.md §6.3) under every pattern of control packets, loss, reordering and repetition within its
 * bound: what arrives opens once, with its own payload.
 */
import test from 'ava';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { InnerReceiver, InnerSender } from '../../src/lp/v1/inner-transport.ts';
import type { Prng } from '../support/prng.ts';
import { forSeeds, must, runs } from '../support/property.ts';

const crypto = await loadProvider('native');
const KEY = new Uint8Array(32).fill(0x42);
/** Control packets between two data packets that arrive. */
const MAX_DRIFT = 16;
const PACKETS = 150;

interface Packet {
  readonly counter: number;
  readonly sealed: Uint8Array;
  readonly text: string;
}

class Sender {
  private readonly inner = new InnerSender(KEY.slice());
  private readonly prng: Prng;
  private counter: number;
  private said = 0;

  constructor(prng: Prng, first: number) {
    this.prng = prng;
    this.counter = first;
  }

  control(count: number): void {
    this.counter += count;
  }

  say(): Packet {
    const text = `${this.said++} ${'.'.repeat(this.prng.below(30))}`;
    return { counter: this.counter++, sealed: this.inner.seal(crypto, Buffer.from(text)), text };
  }
}

function opens(receiver: InnerReceiver, { counter, sealed, text }: Packet): boolean {
  const payload = receiver.open(crypto, counter, sealed);
  must(payload === undefined || Buffer.from(payload).toString() === text, 'a payload is another one’s');
  return payload !== undefined;
}

test(`with at most ${MAX_DRIFT} control packets between two data packets that arrive, each opens exactly once`, (t) => {
  forSeeds(runs(60, 2_000), (prng) => {
    const first = prng.below(4);
    const sender = new Sender(prng, first);
    const receiver = new InnerReceiver(KEY.slice(), first);
    const loss = prng.pick([0, 0.1, 0.5, 0.95]);
    const control = prng.pick([0, 0.1, 0.6]);
    let drift = 0;
    for (let i = 0; i < PACKETS; i++) {
      if (prng.chance(control)) {
        const count = prng.below(MAX_DRIFT - drift + 1);
        drift += count;
        sender.control(count);
      }
      const packet = sender.say();
      if (prng.chance(loss)) continue;
      drift = 0;
      must(opens(receiver, packet), () => `packet ${i} does not open`);
      // One that does not open is tried under every nonce that it could have.
      if (prng.chance(0.1)) must(!opens(receiver, packet), () => `packet ${i} opens twice`);
    }
  });
  t.pass();
});

test(`in any order, with at most ${MAX_DRIFT} control packets in reach of the reordering, each opens exactly once`, (t) => {
  forSeeds(runs(60, 2_000), (prng) => {
    const sender = new Sender(prng, 3);
    const receiver = new InnerReceiver(KEY.slice(), 3);
    must(opens(receiver, sender.say()), 'the first one opens');
    for (let burst = 0; burst < 10; burst++) {
      const packets: Packet[] = [];
      let drift = 0;
      for (let i = prng.below(40); i >= 0; i--) {
        const count = prng.chance(0.3) ? prng.below(MAX_DRIFT - drift + 1) : 0;
        drift += count;
        sender.control(count);
        packets.push(sender.say());
      }
      for (let i = packets.length - 1; i > 0; i--) {
        const j = prng.below(i + 1);
        [packets[i], packets[j]] = [packets[j]!, packets[i]!];
      }
      for (const packet of packets) must(opens(receiver, packet), 'a packet of the burst opens');
      for (let i = 0; i < 4; i++) must(!opens(receiver, prng.pick(packets)), 'none of them opens twice');
    }
  });
  t.pass();
});

test('without loss and reordering each opens, whatever number of control packets lies between', (t) => {
  forSeeds(runs(50, 1_000), (prng) => {
    const sender = new Sender(prng, prng.below(100));
    const receiver = new InnerReceiver(KEY.slice(), prng.below(100));
    for (let i = 0; i < PACKETS; i++) {
      sender.control(prng.pick([0, 0, 1, prng.below(17), prng.below(5_000)]));
      must(opens(receiver, sender.say()), () => `packet ${i} opens`);
    }
  });
  t.pass();
});

test('whatever arrives under whatever counter, a payload is never given twice', (t) => {
  forSeeds(runs(60, 1_000), (prng) => {
    const sender = new Sender(prng, 3);
    const receiver = new InnerReceiver(KEY.slice(), 3);
    const packets = Array.from({ length: 40 }, () => {
      sender.control(prng.below(4));
      return sender.say();
    });
    const given = new Set<string>();
    for (let i = 0; i < 120; i++) {
      const packet = prng.pick(packets);
      const counter = prng.chance(0.5) ? packet.counter : prng.below(200);
      const payload = receiver.open(crypto, counter, packet.sealed);
      if (payload === undefined) continue;
      must(Buffer.from(payload).toString() === packet.text && !given.has(packet.text), 'once, and its own');
      given.add(packet.text);
    }
  });
  t.pass();
});
