/**
 * A bare LP2 client for benchmarks: handshakes over given connections, with one identity and a cached KEM key.
 */
import { connect, type Socket } from 'node:net';
import type { HandshakeStep } from '../../src/lp/client-session.ts';
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import { Initiator, type InitiatorOptions } from '../../src/lp/v2/initiator.ts';
import type { KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { encodeFrames, FrameCutter } from '../../src/lp/wire/framing.ts';
import { systemClock } from '../../src/system/clock.ts';
import { systemRandom } from '../../src/system/random.ts';

export interface BenchTarget {
  readonly crypto: CryptoProvider;
  readonly port: number;
  readonly identity: Uint8Array;
}

export interface Established {
  readonly socket: Socket;
  readonly family: ClientFamily;
  readonly kemKey: KemAnnouncement | undefined;
}

/** What is echoed where nothing else is said. */
export const ECHO_BYTES = 256;

/** What goes over the wire, framing included: hello and H1, their two replies, H3 with an echo, its answer. */
export const HANDSHAKE_BYTES = { first: 1_349, firstReply: 134, second: 393, secondReply: 297 } as const;

const CLIENT_SEED = new Uint8Array(32).fill(7);

export function initiatorOf(
  target: Omit<BenchTarget, 'port'>,
  kemKey: KemAnnouncement | undefined,
  earlyFrame: Uint8Array,
): Initiator {
  const gatewayX25519 = target.crypto.x25519PublicOfEd25519(target.identity);
  if (gatewayX25519 === undefined) throw new Error('the identity does not convert');
  const options: InitiatorOptions = {
    crypto: target.crypto,
    random: systemRandom,
    clientSeed: CLIENT_SEED,
    gatewayEd25519: target.identity,
    gatewayX25519,
    kem: 'x-wing',
    kemKey,
    pinnedHashes: [],
    clockOffsetMs: 0,
    earlyFrame,
  };
  return new Initiator(options, systemClock.now());
}

/** Connects, handshakes with an early frame and resolves when that is answered. The caller ends the socket. */
export function handshake(
  target: BenchTarget,
  kemKey: KemAnnouncement | undefined,
  earlyFrame: Uint8Array,
): Promise<Established> {
  return new Promise((resolve, reject) => {
    const initiator = initiatorOf(target, kemKey, earlyFrame);
    const socket = connect({ host: '127.0.0.1', port: target.port, noDelay: true });
    const act = (step: HandshakeStep<ClientFamily>) => {
      if (step.kind === 'send') socket.write(encodeFrames('be16', step.packets));
      else if (step.kind === 'established') {
        socket.removeAllListeners('data');
        resolve({ socket, family: step.session, kemKey: initiator.kemKey });
      } else if (step.kind === 'failed') reject(new Error(JSON.stringify(step.failure)));
    };
    const cutter = new FrameCutter(
      { admit: () => true, packet: (packet) => act(initiator.receive(packet, systemClock.now())) },
      'be16',
    );
    socket.on('data', (chunk: Buffer) => cutter.push(chunk));
    socket.once('connect', () => act(initiator.start(systemClock.now())));
    socket.once('error', reject);
  });
}
