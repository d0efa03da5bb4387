/**
 * A client that makes LP2's handshake messages as it likes: any KEM ciphertext behind a good tag, any payload in H3, as
 * often as it likes from one ephemeral. Written over Noise and the key schedule, without the initiator under test.
 */
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import { KkInitiator } from '../../src/lp/noise/kk.ts';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import { createKemKey, importKemKey, type KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { handshakePrologue, handshakePsk, subsessionPrologue, subsessionPsk } from '../../src/lp/v2/key-schedule.ts';
import { XkInitiator } from '../../src/lp/v2/noise-xk.ts';
import { concat, le32 } from '../../src/lp/wire/bytes.ts';
import { encodeClientHello, encodeSalt } from '../../src/lp/wire/message.ts';
import { contentOf, encodeUnsealed, TYPE } from '../../src/lp/wire/packet.ts';
import { sealAny, transportOf } from './hostile.ts';
import { Prng } from './prng.ts';
import { ShardHarness } from './shard-harness.ts';
import type { StepRecord } from './step-record.ts';

const START_UNIX_MS = 1_764_583_200_000;
const GATEWAY_SEED = new Uint8Array(32).fill(0x22);
const KEM_SEED = new Uint8Array(32).fill(0x33);
const CLIENT_SEED = new Uint8Array(32).fill(0x44);
const SALT_OFFSET = 68;

/** A shard with an X-Wing key, and what its clients know of it. */
export interface GroundV2 {
  readonly crypto: CryptoProvider;
  readonly harness: ShardHarness;
  readonly prng: Prng;
  readonly gatewayX25519: Uint8Array;
  readonly announcement: KemAnnouncement;
}

/** `crypto` is the clients'; the shard's calls of it are recorded where there is a record. */
export function groundV2(crypto: CryptoProvider, record?: StepRecord, prng = new Prng(11)): GroundV2 {
  const random = prng.source();
  const harness = new ShardHarness({
    crypto: record?.crypto ?? crypto,
    random: record?.watch(random) ?? random,
    gatewaySeed: GATEWAY_SEED,
    unixMs: START_UNIX_MS,
  });
  harness.createKemKey('x-wing', KEM_SEED.slice());
  const identity = { ed25519Seed: GATEWAY_SEED, ed25519Public: harness.ed25519Public };
  const material = createKemKey(crypto, 'x-wing', KEM_SEED.slice(), identity, START_UNIX_MS / 1_000, 86_400);
  const gatewayX25519 = crypto.x25519PublicOfEd25519(harness.ed25519Public)!;
  return { crypto, harness, prng, gatewayX25519, announcement: importKemKey(crypto, material).announcement };
}

export interface HostileV2Options {
  readonly clientSeed?: Uint8Array;
}

export class HostileClientV2 {
  readonly index: number;
  readonly hello: Uint8Array;
  readonly ed25519: Uint8Array;
  private readonly ground: GroundV2;
  private readonly staticSecret: Uint8Array;

  constructor(ground: GroundV2, { clientSeed = CLIENT_SEED }: HostileV2Options = {}) {
    const { crypto, harness, prng } = ground;
    this.ground = ground;
    this.index = 1 + prng.below(0x7fff_fffe);
    const salt = encodeSalt(Math.floor(harness.unixMs / 1_000), prng.bytes(24));
    this.hello = encodeUnsealed(0, 0, TYPE.clientHello, encodeClientHello({ handshakeIndex: this.index, salt }));
    this.ed25519 = crypto.ed25519PublicKey(clientSeed);
    this.staticSecret = crypto.x25519SecretOfEd25519(clientSeed);
  }

  /** What a good KEM ciphertext is, and its secret. */
  encapsulate() {
    const { crypto, prng, announcement } = this.ground;
    return crypto.kems['x-wing'].encapsulate(announcement.publicKey, prng.source())!;
  }

  /** An H1 of an ephemeral of its own. Another static or another prologue than the gateway's makes its tag a wrong one. */
  attempt(
    changes: {
      readonly ciphertext?: Uint8Array;
      readonly gatewayStatic?: Uint8Array;
      readonly helloContent?: Uint8Array;
    } = {},
  ): AttemptV2 {
    const { ground } = this;
    const { crypto, harness, announcement, prng } = ground;
    const kem = this.encapsulate();
    const ciphertext = changes.ciphertext ?? kem.ciphertext;
    const helloContent = changes.helloContent ?? contentOf(this.hello);
    const { publicKeyHash } = announcement;
    return new AttemptV2(ground, this.index, {
      prologue: handshakePrologue(crypto, helloContent, harness.ed25519Public, announcement),
      ephemeral: prng.bytes(32),
      staticSecret: this.staticSecret,
      gatewayStatic: changes.gatewayStatic ?? ground.gatewayX25519,
      ciphertext,
      psk: handshakePsk(crypto, kem.sharedSecret, publicKeyHash, ciphertext, helloContent.subarray(SALT_OFFSET)),
    });
  }
}

interface AttemptInputs {
  readonly prologue: Uint8Array;
  readonly ephemeral: Uint8Array;
  readonly staticSecret: Uint8Array;
  readonly gatewayStatic: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly psk: Uint8Array;
}

export class AttemptV2 {
  readonly h1: Uint8Array;
  private readonly ground: GroundV2;
  private readonly index: number;
  private readonly inputs: AttemptInputs;

  constructor(ground: GroundV2, index: number, inputs: AttemptInputs) {
    this.ground = ground;
    this.index = index;
    this.inputs = inputs;
    const head = concat(Uint8Array.of(ground.crypto.kems['x-wing'].id), ground.announcement.keyId);
    this.h1 = encodeUnsealed(index, 1, TYPE.handshake, concat(head, this.begin().message));
  }

  /** H3 after this H2, with any payload; each call starts from the ephemeral anew. */
  h3(h2: Uint8Array, payload: Uint8Array): Uint8Array {
    const { noise } = this.begin();
    if (noise.readMessage2(contentOf(h2), this.inputs.psk, () => true) === undefined) throw new Error('no such H2');
    return encodeUnsealed(this.index, 2, TYPE.handshake, noise.writeMessage3(payload)!);
  }

  private begin() {
    const { prologue, staticSecret, gatewayStatic, ephemeral, ciphertext } = this.inputs;
    const noise = new XkInitiator(this.ground.crypto, prologue, staticSecret, gatewayStatic, ephemeral.slice());
    return { noise, message: noise.writeMessage1(ciphertext)! };
  }
}

/** A KK1 of an established client with any payload; `spoil` changes its Noise message before it is sealed. */
export function kk1Packet(
  { crypto, prng, gatewayX25519 }: GroundV2,
  family: ClientFamily,
  clientSeed: Uint8Array,
  kk1: { readonly n: number; readonly payload: Uint8Array; readonly spoil?: (message: Uint8Array) => Uint8Array },
): Uint8Array {
  const transport = transportOf(family);
  const staticSecret = crypto.x25519SecretOfEd25519(clientSeed);
  const initiatorStatic = crypto.x25519PublicKey(staticSecret);
  const noise = new KkInitiator(
    crypto,
    subsessionPrologue(family.index, kk1.n),
    { staticSecret, initiatorStatic, responderStatic: gatewayX25519 },
    subsessionPsk(crypto, transport.chain, kk1.n),
    prng.bytes(32),
  );
  const message = noise.writeMessage1(kk1.payload)!;
  return sealAny(crypto, transport, 2, TYPE.subsessionKk1, concat(le32(kk1.n), kk1.spoil?.(message) ?? message));
}
