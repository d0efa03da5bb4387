/** The KEM key of a node, which a thread imports once, however many handshakes it makes. */
import test from 'ava';
import { importKemKey, type NymPeer } from '../../src/load/nym-peer.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { nymCrypto } from '../../src/lp/crypto/nym-load.ts';
import { NymInitiator, type NymStep } from '../../src/lp/nym/initiator.ts';
import { type NymNode, NymResponder } from '../../src/lp/nym/responder.ts';
import { systemRandom } from '../../src/system/random.ts';

const crypto = nymCrypto(await loadProvider('auto'));
const NOW = { monotonicMs: 0, unixMs: 1_780_000_000_000 };
const kemOf = (fill: number) => crypto.base.kems['ml-kem-768'].secretKeyFromSeed(new Uint8Array(64).fill(fill));

function nodeOf(fill: number): NymNode {
  const secret = new Uint8Array(32).fill(fill);
  return { crypto, random: systemRandom, secret, publicKey: crypto.base.x25519PublicKey(secret), kem: kemOf(fill) };
}

function peerOf({ publicKey: lpKey, kem }: NymNode): NymPeer {
  const kemDigest = { hash: 'blake3', digest: crypto.digest('blake3', kem.publicKey.bytes) } as const;
  const place = { host: '127.0.0.1', port: 1 };
  return { ...place, lpKey, kemDigest, source: 'given', kemKey: undefined, answered: new Set() };
}

function handshake(node: NymNode, peer: NymPeer, pipelined: boolean): NymStep {
  const responder = new NymResponder(node, NOW);
  const initiator = new NymInitiator({
    crypto,
    random: systemRandom,
    node: peer.lpKey,
    kemDigest: peer.kemDigest,
    hop: 'entry',
    kemKey: pipelined ? peer.kemKey?.bytes : undefined,
    importKemKey: (bytes) => importKemKey(crypto, peer, bytes),
  });
  let step = initiator.start(NOW);
  const inbox: Uint8Array[] = [];
  for (;;) {
    if (step.kind === 'send') inbox.push(...step.messages.map(({ bytes }) => bytes));
    const message = inbox.shift();
    if (message === undefined) return step;
    const answer = responder.receive(message, NOW);
    if (answer.kind === 'refuse') throw new Error(answer.reason);
    step = initiator.receive(answer.message, NOW);
  }
}

test('every handshake uses the key that the first one has imported', (t) => {
  const node = nodeOf(3);
  const peer = peerOf(node);
  t.is(handshake(node, peer, false).kind, 'established');
  const imported = peer.kemKey;
  t.deepEqual(imported?.bytes, node.kem.publicKey.bytes);
  for (const pipelined of [false, true]) {
    t.is(handshake(node, peer, pipelined).kind, 'established');
    t.is(peer.kemKey, imported);
  }
});

test('a key that is not the announced one is not kept', (t) => {
  const node = nodeOf(3);
  const peer = { ...peerOf(node), kemDigest: peerOf(nodeOf(4)).kemDigest };
  t.like(handshake(node, peer, false), { kind: 'failed', failure: { stage: 'kkt', reason: 'digest' } });
  t.is(peer.kemKey, undefined);
});

test('another key takes the place of the first, and one that is none leaves it', (t) => {
  const peer = peerOf(nodeOf(3));
  const first = importKemKey(crypto, peer, kemOf(3).publicKey.bytes);
  const second = importKemKey(crypto, peer, kemOf(4).publicKey.bytes);
  t.not(first, second);
  t.is(peer.kemKey, second);
  t.is(importKemKey(crypto, peer, new Uint8Array(1_184).fill(0xff)), undefined);
  t.is(peer.kemKey, second);
});
