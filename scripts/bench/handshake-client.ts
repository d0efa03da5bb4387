/**
 * Child: opens a connection, handshakes, has 256 bytes echoed and closes, again and again: LP2, TLS, or bare connections with
 * LP2's bytes. Arguments: `lp2 PORT IDENTITY-HEX`, `tls PORT` or `net PORT`. Request: `{count, concurrency}`; with `{mint, issuerKey}` before it the next
 * so many handshakes bring a paid registration each in place of the echo.
 */
import { connect as tlsConnect } from 'node:tls';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import { bareHandshakes } from './bare-handshake.ts';
import { serve } from './children.ts';
import { ECHO_BYTES, HANDSHAKE_BYTES, handshake } from './lp2-client.ts';
import { paidRegistrations } from './registrations.ts';

const [kind, port, identity = ''] = process.argv.slice(2);
const early = encodeFrame(KIND.opaque, 1, new Uint8Array(ECHO_BYTES));
const target = {
  crypto: await loadProvider('auto'),
  port: Number(port),
  identity: Uint8Array.from(Buffer.from(identity, 'hex')),
};
let kemKey: KemAnnouncement | undefined;
let registrations: Uint8Array[] = [];

async function lp2(): Promise<void> {
  const done = await handshake(target, kemKey, registrations.pop() ?? early);
  kemKey = done.kemKey;
  done.socket.destroy();
  done.family.wipe();
}

function tls(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({
      host: '127.0.0.1',
      port: target.port,
      rejectUnauthorized: false,
      ecdhCurve: 'X25519MLKEM768',
    });
    let received = 0;
    socket.setNoDelay(true);
    socket.once('secureConnect', () => socket.write(new Uint8Array(ECHO_BYTES)));
    socket.on('data', (chunk) => {
      received += chunk.length;
      if (received < ECHO_BYTES) return;
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}

const net = bareHandshakes(target.port, HANDSHAKE_BYTES);
const once = { lp2, tls, net }[kind ?? ''] ?? lp2;
type Request =
  | { readonly mint: number; readonly issuerKey: string }
  | { readonly mint?: undefined; readonly count: number; readonly concurrency: number };

serve({}, async (request: Request) => {
  if (request.mint !== undefined) {
    registrations = paidRegistrations(request.issuerKey, target.identity, request.mint);
    return {};
  }
  const { count, concurrency } = request;
  const started = performance.now();
  let left = count;
  const worker = async () => {
    while (left-- > 0) await once();
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return { seconds: (performance.now() - started) / 1e3 };
});
