/**
 * `negative_gateway` of lp2.json against a whole shard, with both providers: each state is built from its packets, then
 * the case's packet must bring exactly the reply, or the drop under its reason.
 */
import test from 'ava';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import type { CryptoProvider, RandomSource } from '../../../src/lp/crypto/provider.ts';
import type { DropReason } from '../../../src/lp/drop-reason.ts';
import { writeLe32 } from '../../../src/lp/wire/bytes.ts';
import { ANSWER, REQUEST } from '../../../src/shard/messages.ts';
import { ShardHarness } from '../../support/shard-harness.ts';
import { bytes, hex, loadVectors, number, packetAt, toHex } from '../../support/vectors.ts';

const vectors = loadVectors('lp2.json');
const negative = vectors.negative_gateway as unknown as {
  how: string;
  randomness_of_several_h1: { states: string[]; index_and_ephemeral: [number, string][] };
  states: Record<string, string[]>;
  cases: Case[];
};
interface Case {
  name: string;
  state: string;
  packet: string;
  gateway_unix_ms?: number;
  monotonic_s_later?: number;
  expected: { outcome: 'drop' | 'reply' | 'no_reply'; reason?: DropReason; packet?: string };
}

/** Each draw of an index (4 bytes) takes the next line; ephemeral and coins come from the same line. */
function dictated(lines: { index: number; ephemeral: Uint8Array; coins: Uint8Array }[]): RandomSource {
  let line = -1;
  let draws = 0;
  return {
    kind: 'seeded',
    fill(out) {
      if (out.length === 4) {
        line++;
        draws = 0;
        const { index } = lines[line]!;
        writeLe32(out, 0, index);
        return;
      }
      const { ephemeral, coins } = lines[line]!;
      out.set(draws++ === 0 ? ephemeral : coins);
    },
  };
}

function randomness(state: string): RandomSource {
  const several = negative.randomness_of_several_h1;
  const none = new Uint8Array(32);
  if (several.states.includes(state)) {
    return dictated(several.index_and_ephemeral.map(([index, e]) => ({ index, ephemeral: hex(e), coins: none })));
  }
  const coins = bytes(vectors, 'inputs.kk_mlkem768_encapsulation_coins');
  const ephemeral = bytes(vectors, 'inputs.kk_ephemeral_gateway');
  return dictated([
    {
      index: number(vectors, 'suites.xwing.h2.session_index'),
      ephemeral: bytes(vectors, 'inputs.noise_ephemeral_gateway'),
      coins: none,
    },
    { index: number(vectors, 'subsession.first.kk2.new_index'), ephemeral, coins },
    { index: number(vectors, 'subsession.first_with_kem.kk2.new_index'), ephemeral, coins },
  ]);
}

function gateway(crypto: CryptoProvider, state: string): ShardHarness {
  const harness = new ShardHarness({
    crypto,
    random: randomness(state),
    gatewaySeed: bytes(vectors, 'inputs.gateway_ed25519_seed'),
    unixMs: number(vectors, 'inputs.gateway_unix_ms'),
  });
  const from = number(vectors, 'inputs.kem_key_not_before_unix_s');
  const until = number(vectors, 'inputs.kem_key_not_after_unix_s');
  harness.addKemKey('x-wing', bytes(vectors, 'suites.xwing.kem_key_seed'), from, until);
  harness.addKemKey('ml-kem-768', bytes(vectors, 'suites.mlkem768.kem_key_seed'), from, until);
  for (const packet of negative.states[state]!) harness.packet(packetAt(vectors, packet));
  return harness;
}

/** The gateway of the vectors allows no forward target: its forwarder answers so. */
function deliver(harness: ShardHarness, packet: Uint8Array): Uint8Array[] {
  return harness.packet(packet).flatMap((effect) => {
    if (effect.kind === 'reply') return [effect.packet];
    if (effect.kind !== 'request' || effect.request !== REQUEST.forward) return [];
    return harness
      .answer(effect.key, ANSWER.forward, Uint8Array.of(1))
      .flatMap((later) => (later.kind === 'reply' ? [later.packet] : []));
  });
}

/** What the loop below reads of a case: another key would go unnoticed. */
const CASE_KEYS = ['name', 'state', 'packet', 'gateway_unix_ms', 'monotonic_s_later', 'expected'];
const EXPECTED_KEYS = ['outcome', 'reason', 'packet'];

test('negative_gateway holds nothing but what is run: every state is used, every key of a case is read', (t) => {
  const used = new Set(negative.cases.map((c) => c.state));
  t.deepEqual([...used].sort(), Object.keys(negative.states).sort());
  t.true(negative.randomness_of_several_h1.states.every((state) => used.has(state)));
  for (const c of negative.cases) {
    t.true(
      Object.keys(c).every((key) => CASE_KEYS.includes(key)),
      c.name,
    );
    t.true(
      Object.keys(c.expected).every((key) => EXPECTED_KEYS.includes(key)),
      c.name,
    );
  }
});

for (const name of ['native', 'portable'] as const) {
  test(`every case of negative_gateway ends as it says (${name})`, async (t) => {
    const crypto = await loadProvider(name);
    t.true(negative.cases.length > 130);
    for (const c of negative.cases) {
      const harness = gateway(crypto, c.state);
      if (c.gateway_unix_ms !== undefined) harness.unixMs = c.gateway_unix_ms;
      harness.monotonicMs += (c.monotonic_s_later ?? 0) * 1_000;
      const before = harness.drops;
      const replies = deliver(harness, packetAt(vectors, c.packet));
      const after = harness.drops;
      const drops = Object.entries(after).filter(([reason, n]) => n > before[reason as DropReason]);
      const { outcome, reason, packet } = c.expected;
      t.deepEqual(replies.map(toHex), outcome === 'reply' ? [packet!] : [], c.name);
      t.deepEqual(
        drops.map(([r]) => r),
        outcome === 'drop' ? [reason!] : [],
        c.name,
      );
    }
  });
}
