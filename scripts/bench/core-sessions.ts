/**
 * Live sessions in this process: a packet of 256 bytes opened and another one sealed, against the AEAD operations that this
 * takes; the same as an echo through a whole shard; a rekeying at the responder.
 */
import type { ClientSession } from '../../src/lp/client-session.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import { TransportV1 } from '../../src/lp/v1/transport.ts';
import { ownPlace, PacketScratch, Transport } from '../../src/lp/v2/transport.ts';
import { encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { TYPE } from '../../src/lp/wire/packet.ts';
import { PROVIDERS, VERSIONS, versionName } from './core.ts';
import { type Figure, figure, ratioFigure, series } from './figures.ts';
import { InProcessGateway } from './in-process.ts';
import { ownUs, timed } from './own-time.ts';

const LENGTH = 256;
const SESSIONS = 64;

interface Pair {
  /** Packets of the peer. */
  seal(): Uint8Array;
  /** The responder's work for one packet: opens it and seals another one. */
  echo(packet: Uint8Array): boolean;
}

function lp2Pair(crypto: CryptoProvider): Pair {
  const secrets = {
    initiatorToResponder: new Uint8Array(32).fill(1),
    responderToInitiator: new Uint8Array(32).fill(2),
    chain: new Uint8Array(32).fill(3),
  };
  const make = (role: 'initiator' | 'responder') =>
    Transport.make(0x8000_0001, ownPlace(), role, secrets, new Uint8Array(32), 0);
  const [client, gateway] = [make('initiator'), make('responder')];
  const content = new Uint8Array(LENGTH);
  const memory = new PacketScratch();
  return {
    seal() {
      const packet = client.seal(crypto, TYPE.encryptedData, content);
      if (packet === undefined) throw new Error('the session is spent');
      return packet;
    },
    echo: (packet) =>
      gateway.open(crypto, packet) === undefined &&
      gateway.seal(crypto, TYPE.encryptedData, content, memory) !== undefined,
  };
}

function lp1Pair(crypto: CryptoProvider): Pair {
  const key = (byte: number) => new Uint8Array(32).fill(byte);
  const make = (send: number, receive: number) =>
    new TransportV1({
      crypto,
      index: 0x1234_5678,
      outerKey: key(9),
      sendKey: key(send),
      receiveKey: key(receive),
      counters: { next: 3, heard: 3 },
      firstReceived: 3,
      expectedFirst: 3,
    });
  const [client, gateway] = [make(1, 2), make(2, 1)];
  const payload = new Uint8Array(LENGTH);
  return {
    seal() {
      const packet = client.sealData(payload);
      if (packet === undefined) throw new Error('the session is spent');
      return packet;
    },
    echo: (packet) => gateway.open(packet).kind === 'data' && gateway.sealData(payload) !== undefined,
  };
}

/** One opening and one sealing of LP2; LP1 has two layers of each. */
function aeadUs(crypto: CryptoProvider, layers: number, n: number): number {
  const [key, nonce, aad] = [new Uint8Array(32).fill(1), new Uint8Array(12), new Uint8Array(12)];
  const plaintext = new Uint8Array(LENGTH + 6);
  const sealed = new Uint8Array(plaintext.length + 16);
  crypto.aeadSeal(sealed, plaintext, aad, nonce, key);
  const seal = timed(n, () => crypto.aeadSeal(sealed, plaintext, aad, nonce, key));
  return layers * (seal + timed(n, () => crypto.aeadOpen(plaintext, sealed, aad, nonce, key)));
}

function openSealFigure(name: string, crypto: CryptoProvider, pair: Pair, layers: number, rounds: number): Figure {
  const n = crypto.name === 'native' ? 5_000 : 500;
  const own: number[] = [];
  const floor: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const packets = Array.from({ length: n }, () => pair.seal());
    let at = 0;
    let failed = 0;
    const us = timed(n, () => {
      const packet = packets[at++];
      if (packet === undefined || !pair.echo(packet)) failed++;
    });
    if (failed > 0) throw new Error(`${failed} of ${n} packets did not open`);
    const aead = aeadUs(crypto, layers, n);
    if (round < 0) continue;
    own.push(us);
    floor.push(aead);
  }
  return ratioFigure(name, series('open and seal', 'us', own), series('AEAD alone', 'us', floor));
}

/** An echo through the whole shard, in batches of a packet from each session. */
function shardEchoFigure(name: string, crypto: CryptoProvider, rounds: number): Figure {
  const gateway = new InProcessGateway(crypto, 'x-wing');
  const sessions = gateway.sessions(SESSIONS);
  const frame = encodeFrame(KIND.opaque, 2, new Uint8Array(LENGTH));
  const batches = crypto.name === 'native' ? 60 : 10;
  const values: number[] = [];
  for (let round = -1; round < rounds; round++) {
    let spentUs = 0;
    for (let i = 0; i < batches; i++) {
      const packets = sessions.flatMap((session) => sealed(session, frame, gateway));
      const started = ownUs();
      const replies = gateway.exchange(packets);
      spentUs += ownUs() - started;
      if (replies.length !== SESSIONS) throw new Error(`${replies.length} of ${SESSIONS} packets were answered`);
    }
    if (round >= 0) values.push(spentUs / batches / SESSIONS);
  }
  return figure(name, 'us', values, { note: `a whole shard, batches of ${SESSIONS}, batch codec included` });
}

function sealed(session: ClientSession, frame: Uint8Array, gateway: InProcessGateway): readonly Uint8Array[] {
  const result = session.sealFrame(frame, gateway.now);
  if (result.kind !== 'packets') throw new Error(`the session does not seal: ${result.kind}`);
  return result.packets;
}

/** KK1 and Ready at the responder. Each session is rekeyed once, for rules bound how often one may. */
function rekeyRound(gateway: InProcessGateway, n: number, kem: boolean): number {
  const sessions = gateway.sessions(n);
  const kk1 = sessions.map((session) => {
    const started = session.startRekey(kem, gateway.now);
    if (started.kind !== 'packet') throw new Error(`no rekeying: ${started.reason}`);
    return started.packet;
  });
  let started = ownUs();
  const kk2 = gateway.exchange(kk1);
  let spentUs = ownUs() - started;
  const ready = kk2.flatMap((packet, i) => {
    const received = sessions[i]?.receive(packet, gateway.now);
    return received?.kind === 'rekeyed' ? received.packets : [];
  });
  if (ready.length !== n) throw new Error(`${ready.length} of ${n} sessions were rekeyed`);
  started = ownUs();
  gateway.exchange(ready);
  spentUs += ownUs() - started;
  for (const session of sessions) session.wipe();
  return spentUs / n;
}

function rekeyFigure(name: string, make: () => InProcessGateway, n: number, kem: boolean, rounds: number): Figure {
  const gateway = make();
  const values: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const us = rekeyRound(gateway, n, kem);
    if (round >= 0) values.push(us);
  }
  return figure(name, 'us', values);
}

export async function coreSessionFigures(quick: boolean): Promise<Figure[]> {
  const rounds = quick ? 5 : 11;
  const figures: Figure[] = [];
  for (const provider of PROVIDERS) {
    const crypto = await loadProvider(provider);
    const n = provider === 'native' ? 64 : 6;
    figures.push(openSealFigure(`core/lp2-${provider}-open-seal`, crypto, lp2Pair(crypto), 1, rounds));
    figures.push(openSealFigure(`core/lp1-${provider}-open-seal`, crypto, lp1Pair(crypto), 2, rounds));
    figures.push(shardEchoFigure(`core/lp2-${provider}-shard-echo`, crypto, rounds));
    for (const version of VERSIONS) {
      // The ratchet's KEM is ML-KEM-768 in every suite.
      if (version === 'ml-kem-768') continue;
      const make = () => new InProcessGateway(crypto, version);
      const name = version === 'lp1' ? versionName(version) : 'lp2';
      if (version !== 'lp1') figures.push(rekeyFigure(`core/${name}-${provider}-rekey-kem`, make, n, true, rounds));
      figures.push(rekeyFigure(`core/${name}-${provider}-rekey`, make, n, false, rounds));
    }
  }
  return figures;
}
