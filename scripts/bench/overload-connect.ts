/**
 * A session from a given address of this machine, for benches that stand for many clients.
 */
import { connect } from 'node:net';
import type { HandshakeStep } from '../../src/lp/client-session.ts';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import type { KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { encodeFrames, FrameCutter } from '../../src/lp/wire/framing.ts';
import { systemClock } from '../../src/system/clock.ts';
import { type BenchTarget, type Established, initiatorOf } from './lp2-client.ts';

/** Rejects where the gateway does not answer as it should; hints count as that. */
export function handshakeFrom(
  target: BenchTarget,
  kemKey: KemAnnouncement | undefined,
  localAddress: string,
): Promise<Established> {
  return new Promise((resolve, reject) => {
    const initiator = initiatorOf(target, kemKey, new Uint8Array(0));
    const socket = connect({ host: '127.0.0.1', port: target.port, noDelay: true, localAddress });
    const act = (step: HandshakeStep<ClientFamily>) => {
      if (step.kind === 'send') socket.write(encodeFrames('be16', step.packets));
      else if (step.kind === 'established') {
        socket.removeAllListeners();
        resolve({ socket, family: step.session, kemKey: initiator.kemKey });
      } else if (step.kind === 'failed') reject(new Error(step.failure.reason));
    };
    const packet = (bytes: Uint8Array) => act(initiator.receive(bytes, systemClock.now()));
    const cutter = new FrameCutter({ admit: () => true, packet }, 'be16');
    socket.on('data', (chunk: Buffer) => cutter.push(chunk));
    socket.once('connect', () => act(initiator.start(systemClock.now())));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  });
}
