/** Handshakes that fail, and one that only seems to succeed: ML-KEM's implicit rejection (lp2.md §4, §4.2). */
import type { CryptoProvider } from '../../../src/lp/crypto/provider.ts';
import { type GroundV2, groundV2, HostileClientV2 } from '../../../test/support/lp2-hostile.ts';
import { INPUTS, inputsOf, type Pair, withBit, withPart } from '../pair.ts';
import { ADMITTED, BatchPlaces, batchOf, shardPair } from './shard-pair.ts';

/** Behind the Noise message is the packet's own trailer. */
const TRAILER = 16;
const TAG = 16;
const NOISE_1_AT = 27;
const STATIC_TAG_AT = 18 + 32;
const ML_KEM_CIPHERTEXT = 1_088;
/** Enough that one record of an index expires before the next hello on it. */
const RECORD_LIFE_MS = 90_001;

export function handshakePairs(crypto: CryptoProvider): Pair[] {
  const ground = groundV2(crypto);
  return [
    h1Tag(ground),
    h1Ciphertext(ground),
    h1SmallOrder(ground),
    kemRejection(crypto),
    h3StaticTag(ground),
    h3PayloadTag(ground),
    h3States(ground),
    h3Conversion(ground),
  ];
}

function greeted(ground: GroundV2): HostileClientV2 {
  const client = new HostileClientV2(ground);
  ground.harness.packet(client.hello);
  return client;
}

type Texts = Pick<Pair, 'name' | 'kind' | 'classes' | 'learns'>;

function dropped(ground: GroundV2, texts: Texts, packets: readonly [Uint8Array[], Uint8Array[]]): Pair {
  return shardPair({ ...texts, harness: ground.harness, flags: ADMITTED, packets });
}

function h1Tag(ground: GroundV2): Pair {
  const client = greeted(ground);
  const h1s = inputsOf(() => client.attempt().h1);
  const texts: Texts = {
    name: 'h1-tag',
    kind: 'secret',
    classes: ['H1, first byte of the Noise tag wrong', 'last byte wrong'],
    learns: 'how much of the tag of an H1 is right',
  };
  const at = (offset: number) => h1s.map((h1) => withBit(h1, offset));
  return dropped(ground, texts, [at(-TRAILER - TAG), at(-TRAILER - 1)]);
}

/** The es key is a wrong one in both classes, so nothing behind it may be looked at. */
function h1Ciphertext(ground: GroundV2): Pair {
  const client = greeted(ground);
  const gatewayStatic = ground.crypto.x25519PublicKey(ground.prng.bytes(32));
  const { length } = client.encapsulate().ciphertext;
  const texts: Texts = {
    name: 'h1-unopened-ciphertext',
    kind: 'secret',
    classes: ['to another static, good KEM ciphertext', 'to another static, random KEM ciphertext'],
    learns: 'that an H1 that does not open is decapsulated all the same',
  };
  return dropped(ground, texts, [
    inputsOf(() => client.attempt({ gatewayStatic }).h1),
    inputsOf(() => client.attempt({ gatewayStatic, ciphertext: ground.prng.bytes(length) }).h1),
  ]);
}

function h1SmallOrder(ground: GroundV2): Pair {
  const client = greeted(ground);
  const h1s = inputsOf(() => client.attempt().h1);
  const texts: Texts = {
    name: 'h1-small-order',
    kind: 'public',
    classes: ['H1, Noise tag wrong', 'H1, ephemeral of small order'],
    learns: 'nothing: the ephemeral is on the wire, and anybody can see that it has small order',
  };
  return dropped(ground, texts, [
    h1s.map((h1) => withBit(h1, -TRAILER - 1)),
    h1s.map((h1) => withPart(h1, NOISE_1_AT, new Uint8Array(32))),
  ]);
}

/** Each H1 reads, so each needs a record that is new: the hello goes before it, unmeasured, 90 s later. */
function kemRejection(crypto: CryptoProvider): Pair {
  const ground = groundV2(crypto);
  const { harness } = ground;
  const make = (spoil: boolean) => {
    const client = new HostileClientV2(ground);
    const { ciphertext } = client.encapsulate();
    const at = Math.floor(Math.random() * ML_KEM_CIPHERTEXT);
    const { h1 } = client.attempt({ ciphertext: spoil ? withBit(ciphertext, at) : ciphertext });
    return { hello: batchOf(harness, client.hello, ADMITTED), h1: batchOf(harness, h1, ADMITTED) };
  };
  const classes = [false, true].map((spoil) => Array.from({ length: INPUTS }, () => make(spoil)));
  const places = new BatchPlaces(Math.max(...classes.flat().map(({ h1 }) => h1.length)));
  let batch = places.copy(new Uint8Array(0));
  let monotonicMs = harness.monotonicMs;
  const atTime = (template: Uint8Array) => {
    const copy = places.copy(template);
    new DataView(copy.buffer).setFloat64(8, monotonicMs, true);
    return copy;
  };
  return {
    name: 'kem-rejection',
    kind: 'secret',
    classes: ['H1 with a good KEM ciphertext', 'with one that ML-KEM rejects implicitly'],
    learns: 'whether a chosen ciphertext decapsulates: the oracle by which an ML-KEM key can be recovered',
    prepare(of) {
      const { hello, h1 } = classes[of]?.[Math.floor(Math.random() * INPUTS)] ?? make(of === 1);
      monotonicMs += RECORD_LIFE_MS;
      harness.shard.handle(atTime(hello));
      batch = atTime(h1);
    },
    run: () => harness.shard.handle(batch),
  };
}

/** H3 of INPUTS handshakes whose payloads `payload` makes; each is dropped, so each can be sent again. */
function h3s(ground: GroundV2, payload: (client: HostileClientV2) => Uint8Array): Uint8Array[] {
  return inputsOf(() => {
    const client = greeted(ground);
    const attempt = client.attempt();
    const [h2] = ground.harness.replies(attempt.h1.slice());
    if (h2 === undefined) throw new Error('a good H1 gets an H2');
    return attempt.h3(h2, payload(client));
  });
}

function h3StaticTag(ground: GroundV2): Pair {
  const packets = h3s(ground, ({ ed25519 }) => ed25519);
  const texts: Texts = {
    name: 'h3-tag',
    kind: 'secret',
    classes: ['H3, first byte of the static’s tag wrong', 'last byte wrong'],
    learns: 'how much of the tag of an H3 is right',
  };
  const at = (offset: number) => packets.map((packet) => withBit(packet, offset));
  return dropped(ground, texts, [at(STATIC_TAG_AT), at(STATIC_TAG_AT + TAG - 1)]);
}

function h3PayloadTag(ground: GroundV2): Pair {
  const packets = h3s(ground, ({ ed25519 }) => ed25519);
  const texts: Texts = {
    name: 'h3-payload-tag',
    kind: 'secret',
    classes: ['H3, first byte of the payload’s tag wrong', 'last byte wrong'],
    learns: 'how much of the tag behind the psk is right',
  };
  const at = (offset: number) => packets.map((packet) => withBit(packet, offset));
  return dropped(ground, texts, [at(-TRAILER - TAG), at(-TRAILER - 1)]);
}

function h3States(ground: GroundV2): Pair {
  const withStates = (states: number) => {
    const client = greeted(ground);
    const attempts = Array.from({ length: states }, () => client.attempt());
    const [h2] = attempts.map(({ h1 }) => ground.harness.replies(h1)[0]);
    const h3 = h2 === undefined ? undefined : attempts[0]?.h3(h2, client.ed25519);
    if (h3 === undefined) throw new Error('a good H1 gets an H2');
    return inputsOf((n) => withBit(h3, STATIC_TAG_AT + (n % TAG)));
  };
  const texts: Texts = {
    name: 'h3-states',
    kind: 'public',
    classes: ['H3 with a wrong tag, one H1 was read', 'three were'],
    learns: 'how many H1 a record has read, for whoever knows its index: whoever sees the connection has counted them',
  };
  return dropped(ground, texts, [withStates(1), withStates(3)]);
}

function h3Conversion(ground: GroundV2): Pair {
  const stranger = ground.crypto.ed25519PublicKey(ground.prng.bytes(32));
  const converting = h3s(ground, ({ ed25519 }) => ed25519);
  const texts: Texts = {
    name: 'h3-conversion',
    kind: 'public',
    classes: ['H3, key converts, payload’s tag wrong', 'H3, key that does not convert'],
    learns: 'nothing: only who has the psk gets so far, and that is who chose the key',
  };
  return dropped(ground, texts, [
    converting.map((packet) => withBit(packet, -TRAILER - 1)),
    h3s(ground, () => stranger),
  ]);
}
