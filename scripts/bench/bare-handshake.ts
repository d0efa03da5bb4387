/** A connection with the reads and writes of a handshake and nothing else: the floor of what a gateway does for one. */
import { connect } from 'node:net';

/** Bytes of each message, in order. */
export interface HandshakeBytes {
  readonly first: number;
  readonly firstReply: number;
  readonly second: number;
  readonly secondReply: number;
}

/** Opens such connections to a port of this machine; each ends when the second reply is whole. */
export function bareHandshakes(port: number, bytes: HandshakeBytes): () => Promise<void> {
  const { firstReply, secondReply } = bytes;
  const [first, second] = [new Uint8Array(bytes.first), new Uint8Array(bytes.second)];
  return () =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, noDelay: true });
      let received = 0;
      socket.once('connect', () => socket.write(first));
      socket.on('data', (chunk) => {
        const before = received;
        received += chunk.length;
        if (before < firstReply && received >= firstReply) socket.write(second);
        if (received < firstReply + secondReply) return;
        socket.destroy();
        resolve();
      });
      socket.once('error', reject);
    });
}
