/**
 * Nym's core in this process, by provider: what a node's handshake costs against the sum of the primitives that it needs, and
 * what a frame of 256 bytes costs in both directions beside the AEAD alone.
 */
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { nymCrypto } from '../../src/lp/crypto/nym-load.ts';
import type { NymCrypto } from '../../src/lp/crypto/nym-provider.ts';
import { NymChannel, WireScratch, wireLength } from '../../src/lp/nym/channel.ts';
import { FRAME_KIND, NO_ATTRIBUTES } from '../../src/lp/nym/frame.ts';
import { DEFAULT_NYM_LIFETIMES, NymGatewaySession } from '../../src/lp/nym/gateway-session.ts';
import { NymInitiator } from '../../src/lp/nym/initiator.ts';
import { type NymNode, NymResponder, type NymResponderStep } from '../../src/lp/nym/responder.ts';
import { systemRandom } from '../../src/system/random.ts';
import { againstPrimitives } from './against-primitives.ts';
import { PROVIDERS } from './core.ts';
import { type Figure, figure, ratioFigure, series } from './figures.ts';
import { nymPrimitives } from './nym-primitives.ts';
import { ownUs, timed } from './own-time.ts';

const NOW = { monotonicMs: 1_000, unixMs: 1_780_000_000_000 };
const FRAME_BYTES = 256;
const PREFIX = 4;
/** Version and frame header, before the content. */
const INNER_BYTES = 20 + FRAME_BYTES;
const TAG_BYTES = 16;

function makeNode(crypto: NymCrypto): NymNode {
  const secret = new Uint8Array(32).fill(3);
  const kem = crypto.base.kems['ml-kem-768'].secretKeyFromSeed(new Uint8Array(64).fill(5));
  return { crypto, random: systemRandom, secret, publicKey: crypto.base.x25519PublicKey(secret), kem };
}

function reply(step: NymResponderStep): Uint8Array {
  if (step.kind === 'refuse') throw new Error(`the node refused: ${step.reason}`);
  return step.message;
}

/** So many handshakes side by side, message by message; the node's microseconds, its sessions included. */
function handshakes(node: NymNode, n: number): number {
  const { crypto, publicKey, kem } = node;
  const digest = crypto.digest('blake3', kem.publicKey.bytes);
  const kemDigest = { hash: 'blake3', digest } as const;
  const clients = Array.from(
    { length: n },
    () => new NymInitiator({ crypto, random: systemRandom, node: publicKey, kemDigest, hop: 'entry' }),
  );
  const responders: NymResponder[] = [];
  const sessions: NymGatewaySession[] = [];
  const firstOf = (client: NymInitiator, message?: Uint8Array) => {
    const step = message === undefined ? client.start(NOW) : client.receive(message, NOW);
    const sent = step.kind === 'send' ? step.messages[0] : undefined;
    if (sent === undefined) throw new Error(`the client does not go on: ${step.kind}`);
    return sent.bytes;
  };
  const requests = clients.map((client) => firstOf(client));
  let started = ownUs();
  const responses = requests.map((request) => {
    const responder = new NymResponder(node, NOW);
    responders.push(responder);
    return reply(responder.receive(request, NOW));
  });
  let spentUs = ownUs() - started;
  const messages1 = clients.map((client, i) => firstOf(client, responses[i]));
  started = ownUs();
  const messages2 = messages1.map((message, i) => {
    const step = responders[i]?.receive(message, NOW) ?? { kind: 'refuse', reason: 'over' };
    if (step.kind !== 'established') throw new Error(`no session: ${step.kind}`);
    const { channel } = step;
    sessions.push(new NymGatewaySession({ channel, lifetimes: DEFAULT_NYM_LIFETIMES, dvpn: true }, NOW));
    return step.message;
  });
  spentUs += ownUs() - started;
  for (const [i, client] of clients.entries()) {
    const step = client.receive(messages2[i] ?? new Uint8Array(0), NOW);
    if (step.kind !== 'established') throw new Error(`the client has no session: ${step.kind}`);
    step.session.wipe();
  }
  for (const session of sessions) session.wipe();
  return spentUs;
}

interface Channels {
  readonly client: NymChannel;
  readonly node: NymChannel;
}

function makeChannels(crypto: NymCrypto): Channels {
  const [initiatorToResponder, responderToInitiator] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
  const secrets = { index: 0x0102_0304, initiatorToResponder, responderToInitiator };
  return { client: new NymChannel(crypto, 'initiator', secrets), node: new NymChannel(crypto, 'responder', secrets) };
}

/** The AEAD of such a frame alone, once each way. */
function aeadUs(crypto: NymCrypto, n: number): number {
  const key = new Uint8Array(16).fill(1);
  const [sealing, opening] = [crypto.channel(key), crypto.channel(key)];
  const length = INNER_BYTES + TAG_BYTES;
  const memory = new Uint8Array(n * length);
  let nonce = 0;
  const seal = timed(n, () => sealing.seal(++nonce, memory, (nonce - 1) * length, INNER_BYTES));
  nonce = 0;
  let failed = 0;
  const open = timed(n, () => {
    if (!opening.open(++nonce, memory, (nonce - 1) * length, INNER_BYTES)) failed++;
  });
  if (failed > 0) throw new Error(`${failed} of ${n} did not open`);
  return seal + open;
}

/** What a node does for a frame: opens one, seals another. */
function openSealFigures(crypto: NymCrypto, rounds: number): Figure[] {
  const n = crypto.base.name === 'native' ? 5_000 : 500;
  const { client, node } = makeChannels(crypto);
  const content = new Uint8Array(FRAME_BYTES);
  const scratch = new WireScratch();
  const own: number[] = [];
  const floor: number[] = [];
  const length = wireLength(FRAME_BYTES) - PREFIX;
  for (let round = -1; round < rounds; round++) {
    const memory = new Uint8Array(n * length);
    for (let i = 0; i < n; i++) {
      const wire = client.seal(FRAME_KIND.forward, content, NO_ATTRIBUTES, scratch);
      if (wire === undefined) throw new Error('the channel is spent');
      memory.set(wire.subarray(PREFIX), i * length);
    }
    const packets = Array.from({ length: n }, (_, i) => memory.subarray(i * length, (i + 1) * length));
    let at = 0;
    let failed = 0;
    const us = timed(n, () => {
      const packet = packets[at++];
      if (packet === undefined || node.open(packet).kind !== 'frame') failed++;
      if (node.seal(FRAME_KIND.forward, content, NO_ATTRIBUTES, scratch) === undefined) failed++;
    });
    if (failed > 0) throw new Error(`${failed} of ${n} frames failed`);
    const aead = aeadUs(crypto, n);
    if (round < 0) continue;
    own.push(us);
    floor.push(aead);
  }
  const name = `core/nym-${crypto.base.name}-open-seal`;
  const alone = series('AEAD alone', 'us', floor);
  return [
    figure(name, 'us', own, { parts: [alone], note: `a frame of ${FRAME_BYTES} bytes, each way` }),
    ratioFigure(`${name}-vs-aead`, series('open and seal', 'us', own), alone),
  ];
}

export async function nymCoreFigures(quick: boolean): Promise<Figure[]> {
  const figures: Figure[] = [];
  const rounds = quick ? 7 : 15;
  for (const provider of PROVIDERS) {
    const crypto = nymCrypto(await loadProvider(provider));
    const node = makeNode(crypto);
    const perRound = provider === 'native' ? (quick ? 96 : 192) : quick ? 6 : 12;
    const run = (n: number) => handshakes(node, n);
    figures.push(
      againstPrimitives(`core/nym-${provider}-handshake`, run, nymPrimitives(crypto), rounds, perRound),
      ...openSealFigures(crypto, quick ? 5 : 11),
    );
  }
  return figures;
}
