/**
 * LP2's announcements of KEM keys (lp2.md §4.1) and the transport of sessions (§4.3): both providers judge alike, what is
 * signed or sealed properly is judged by its content alone, and the window forgets nothing.
 */

import type { CryptoProvider, KemName } from '../../../src/lp/crypto/provider.ts';
import { checkAnnouncement, createKemKey, kemBodyLength, signedKemMessage } from '../../../src/lp/v2/kem-key.ts';
import { ownPlace, Transport } from '../../../src/lp/v2/transport.ts';
import { contentOf, TYPE, typeOf, VERSION_2 } from '../../../src/lp/wire/packet.ts';
import { GATEWAY, PROVIDERS } from '../../../test/lp/v1/people.ts';
import { sealAny } from '../../../test/support/hostile.ts';
import { memoryOf } from '../../../test/support/shard-state.ts';
import { words } from '../arbitraries.ts';
import { Tape } from '../tape.ts';
import { type FuzzTarget, oracle, plain, providersFor, sameBytes } from '../target.ts';

const [native, portable] = PROVIDERS;
const NOW_S = 1_764_583_200;
const KEMS: readonly KemName[] = ['ml-kem-768', 'x-wing'];
const IDENTITY = { ed25519Seed: GATEWAY.seed, ed25519Public: GATEWAY.ed25519 };
const GENUINE = KEMS.map((kem) => {
  const seed = new Uint8Array(native.kems[kem].seedLength).fill(4);
  return createKemKey(native, kem, seed, IDENTITY, NOW_S, 86_400);
});
const MAX_VALIDITY_S = 8n * 86_400n;

/** Input: suite and whether to sign; offset and bytes that are written into key or times, as often as there are. */
function announcement(input: Uint8Array): void {
  const tape = new Tape(input);
  const material = GENUINE[tape.below(2)] ?? GENUINE[0];
  if (material === undefined) return;
  const signs = tape.chance(0.8);
  const body = material.body.slice();
  const times = body.length - 16;
  while (!tape.ended) {
    const at = tape.chance(0.7) ? times + tape.below(16) : tape.below(body.length);
    body.set(tape.take(Math.min(1 + tape.below(8), body.length - at)), at);
  }
  const message = signedKemMessage(GATEWAY.ed25519, native.kems[material.kem].id, body);
  const signature = signs ? native.ed25519Sign(GATEWAY.seed, message) : material.signature;
  const checks = { gatewayEd25519: GATEWAY.ed25519, unixSeconds: NOW_S, pinnedHashes: [] };
  const [one, other] = providersFor(input, [native, portable]).map((crypto) => {
    const result = checkAnnouncement(crypto, material.kem, body, signature, checks);
    return plain(result.kind === 'refuse' ? result : { ...result.announcement, publicKey: '' });
  });
  oracle(one === other, () => `${one} and ${other}`.slice(0, 300));
  if (signs) oracle(!one?.includes('"signature"}'), 'what is signed has its signature');
  const view = new DataView(body.buffer, times);
  const [from, to] = [view.getBigUint64(0, true), view.getBigUint64(8, true)];
  const valid = from <= BigInt(NOW_S) && BigInt(NOW_S) <= to && to - from <= MAX_VALIDITY_S;
  if (one?.includes('keyId') === true) oracle(valid, 'a key that is taken is valid now and not for long');
  oracle(body.length === kemBodyLength(native, material.kem), 'the body has its length');
}

function sides(): [Transport, Transport] {
  const secrets = {
    initiatorToResponder: new Uint8Array(32).fill(1),
    responderToInitiator: new Uint8Array(32).fill(2),
    chain: new Uint8Array(32).fill(3),
  };
  const make = (role: 'initiator' | 'responder') =>
    Transport.make(0x8000_0007, ownPlace(), role, secrets, new Uint8Array(32), role === 'responder' ? 1 : 0);
  return [make('initiator'), make('responder')];
}

/** Input: a program of packets, sealed by one side with any version, type, counter and content, changed or repeated. */
function transport(input: Uint8Array): void {
  const verdicts = providersFor(input, [native, portable]).map((crypto) => transportRun(crypto, new Tape(input)));
  oracle(plain(verdicts[0]) === plain(verdicts[1]), () => `${plain(verdicts[0])}, ${plain(verdicts[1])}`.slice(0, 400));
}

function transportRun(crypto: CryptoProvider, tape: Tape): unknown[] {
  const [client, gateway] = sides();
  const sent: Uint8Array[] = [];
  const opened = new Set<number>();
  const verdicts: unknown[] = [];
  for (let i = 0; i < 24 && !tape.ended; i++) {
    const packet = nextPacket(crypto, client, tape, sent);
    const marks = memoryOf(gateway).slice();
    const before = packet.slice();
    const verdict = gateway.open(crypto, packet) ?? 'opened';
    const counter = new DataView(before.buffer).getBigUint64(4, true);
    if (verdict === 'opened' || verdict === 'version' || verdict === 'type') {
      oracle(!opened.has(Number(counter)), 'no counter is opened twice');
      oracle(
        sent.some((genuine) => Buffer.compare(genuine, before) === 0),
        'nothing opens but what was sealed',
      );
      opened.add(Number(counter));
    } else sameBytes(memoryOf(gateway), marks, 'what is dropped leaves no mark');
    verdicts.push([verdict, verdict === 'opened' ? [typeOf(packet), contentOf(packet).slice()] : 0]);
  }
  return verdicts;
}

function nextPacket(crypto: CryptoProvider, client: Transport, tape: Tape, sent: Uint8Array[]): Uint8Array {
  if (sent.length > 0 && tape.chance(0.3)) {
    const packet = tape.pick(sent).slice();
    if (tape.chance(0.5)) return packet;
    const at = tape.below(packet.length);
    packet[at] = (packet[at] ?? 0) ^ (1 + tape.below(255));
    return packet;
  }
  const inside = client as unknown as { sendCounter: number };
  if (tape.chance(0.3)) inside.sendCounter += tape.pick([1, 2, 1_022, 1_023, 1_024, 1_025, 5_000, 2 ** 40]);
  const version = tape.chance(0.1) ? tape.below(5) : VERSION_2;
  const type = tape.chance(0.8) ? tape.pick(Object.values(TYPE)) : tape.below(0x1_0000);
  const packet = sealAny(crypto, client, version, type, tape.take(tape.below(8)));
  sent.push(packet.slice());
  return packet;
}

const seeds = (count: number) =>
  Array.from({ length: count }, (_, i) =>
    Uint8Array.from({ length: 8 + 6 * i }, (__, at) => (at * (31 + 7 * i)) & 0xff),
  );

export const targets: readonly FuzzTarget[] = [
  {
    name: 'v2-kem-announcement',
    run: announcement,
    seeds: () => [Uint8Array.of(0, 1), Uint8Array.of(1, 1), ...seeds(4)],
    maxLength: 80,
    batch: 32,
    dictionary: words([0xff, 0xff, 0xff, 0xff], [0, 0, 0, 0]),
  },
  { name: 'v2-transport', run: transport, seeds: () => seeds(12), maxLength: 200, batch: 128 },
];
