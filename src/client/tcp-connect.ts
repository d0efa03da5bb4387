/**
 * A TCP connection to a gateway, or a LewesError that says what is wrong. Invariant: when the promise rejects, the socket
 * is gone.
 */
import { connect, type Socket } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Timers } from '../system/timers.ts';
import { type Hop, LewesError } from './errors.ts';
import type { Address } from './gateway-target.ts';
import { reasonOf } from './wakeup.ts';

/** A gateway ends its side as soon as it has read ours; a second is for slow networks. */
export const CLOSE_GRACE_MS = 1_000;

export interface TcpOptions {
  readonly address: Address;
  readonly hop: Hop;
  readonly connectTimeoutMs: number;
  readonly localAddress: string | undefined;
  readonly timers: Timers;
}

/** Rejects with `connect_failed`, or with the signal's reason. The socket's errors are caught. */
export function connectSocket(options: TcpOptions, signal: AbortSignal): Promise<Socket> {
  if (signal.aborted) return Promise.reject(reasonOf(signal));
  const { address, localAddress, timers, connectTimeoutMs } = options;
  return new Promise((resolve, reject) => {
    const { host, port } = address;
    const socket = connect({ host, port, noDelay: true, ...(localAddress !== undefined && { localAddress }) });
    const settle = (finish: () => void) => {
      cancelTimer();
      signal.removeEventListener('abort', abort);
      socket.removeListener('error', failed);
      // Whoever gets the socket learns of an end by its `close`.
      socket.on('error', () => {});
      finish();
    };
    const give = (error: LewesError) =>
      settle(() => {
        socket.destroy();
        reject(error);
      });
    const failed = (error: NodeJS.ErrnoException) => give(connectError(options, error.code ?? 'unknown', error));
    const abort = () => give(reasonOf(signal));
    const cancelTimer = timers.after(connectTimeoutMs, () => give(connectError(options, 'timeout')));
    signal.addEventListener('abort', abort, { once: true });
    socket.once('error', failed);
    socket.once('connect', () => settle(() => resolve(socket)));
  });
}

function connectError({ address, hop }: TcpOptions, reason: string, cause?: unknown): LewesError {
  const at = `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
  const message = `no connection to ${at} (${reason}): ${ADVICE[reason] ?? 'check the address and the network'}`;
  return new LewesError({ code: 'connect_failed', hop, step: 'connect', reason, message, cause });
}

const ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there; check address and port, and that the gateway runs',
  timeout: 'no answer in time; check the address, and that no firewall is in between',
  ENOTFOUND: 'there is no such name',
  EADDRNOTAVAIL: 'the local address is none of this machine, or all its ports are in use',
};

/** What a name in the gateway's address has become; empty when the socket has gone meanwhile. */
export function remoteIp(socket: Socket): Uint8Array<ArrayBuffer> {
  const { remoteAddress = '' } = socket;
  return ipaddr.isValid(remoteAddress)
    ? Uint8Array.from(ipaddr.process(remoteAddress).toByteArray())
    : new Uint8Array(0);
}
