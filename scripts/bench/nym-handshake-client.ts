/**
 * Child: opens a connection, handshakes as Nym's clients do, KKT and then PSQ, and closes, again and again; or bare connections
 * with the same bytes. Arguments: `nym PORT LP-KEY-HEX KEM-DIGEST-HEX`, or `net PORT`. Request: `{count, concurrency}`.
 */
import { connect } from 'node:net';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { nymCrypto } from '../../src/lp/crypto/nym-load.ts';
import type { KemPublicKey } from '../../src/lp/crypto/provider.ts';
import { NymInitiator, type NymStep } from '../../src/lp/nym/initiator.ts';
import { NymStreamCutter } from '../../src/lp/nym/stream-cutter.ts';
import { systemClock } from '../../src/system/clock.ts';
import { systemRandom } from '../../src/system/random.ts';
import { bareHandshakes } from './bare-handshake.ts';
import { serve } from './children.ts';
import { NYM_HANDSHAKE_BYTES } from './nym-handshake-bytes.ts';

const [kind, port, lpKey = '', kemDigest = ''] = process.argv.slice(2);
const fromHex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));
const crypto = nymCrypto(await loadProvider('auto'));
const kem = crypto.base.kems['ml-kem-768'];
let imported: KemPublicKey | undefined;

function initiator(): NymInitiator {
  return new NymInitiator({
    crypto,
    random: systemRandom,
    node: fromHex(lpKey),
    kemDigest: { hash: 'blake3', digest: fromHex(kemDigest) },
    hop: 'entry',
    // One node: its key is imported once.
    importKemKey: (bytes) => (imported ??= kem.importPublicKey(bytes)),
  });
}

function nym(): Promise<void> {
  return new Promise((resolve, reject) => {
    const client = initiator();
    const socket = connect({ host: '127.0.0.1', port: Number(port), noDelay: true });
    const follow = (step: NymStep) => {
      if (step.kind === 'send') for (const { bytes } of step.messages) socket.write(bytes);
      if (step.kind === 'failed') reject(new Error(`${step.failure.stage}: ${step.failure.reason}`));
      if (step.kind !== 'established') return;
      step.session.wipe();
      socket.destroy();
      resolve();
    };
    const cutter = new NymStreamCutter('node', (_, bytes) => follow(client.receive(bytes, systemClock.now())));
    socket.once('connect', () => follow(client.start(systemClock.now())));
    socket.on('data', (chunk: Buffer) => cutter.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length)));
    socket.once('end', () => reject(new Error(`the node ended the connection while ${client.awaits} was awaited`)));
    socket.once('error', reject);
  });
}

const once = kind === 'nym' ? nym : bareHandshakes(Number(port), NYM_HANDSHAKE_BYTES);
serve({}, async ({ count, concurrency }: { readonly count: number; readonly concurrency: number }) => {
  const started = performance.now();
  let left = count;
  const worker = async () => {
    while (left-- > 0) await once();
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return { seconds: (performance.now() - started) / 1e3 };
});
