/**
 * What can go wrong on the way to a WireGuard interface, in words for the operator: what it is, and what to do. The texts
 * are made of names and numbers alone; nothing that was sent or read gets into them.
 */
import { WireGuardError } from './backend.ts';
import type { OperationOutcome } from './uapi-socket.ts';

/** EIO, and wireguard-go's "unknown": the implementation's own trouble, not the request's. */
const TRANSIENT_ERRNO: ReadonlySet<number> = new Set([5, 55]);

const ERRNO_TEXT: Readonly<Record<number, string>> = {
  1: 'EPERM: its process may not do this; give it CAP_NET_ADMIN',
  5: 'EIO: it could not carry the operation out; its own log says why',
  22: 'EINVAL: it does not take a key or value of the request; its own log says which, or that it has no room for more peers',
  71: 'EPROTO: it does not understand the request; check that its version is current',
};
const EADDRINUSE = 98;

const UNREACHABLE_TEXT: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket: start wireguard-go for this interface, or correct the name of the interface',
  ECONNREFUSED: 'its process has ended and left the socket behind: start wireguard-go for this interface again',
  EACCES:
    'this user may not open it: let the gateway and wireguard-go run as the same user (a chmod or chgrp of the socket makes wireguard-go end)',
  ENOTSOCK: 'this is no socket: correct the path',
  EMFILE: 'this process has too many files open: raise its limit (LimitNOFILE)',
  EAGAIN: 'its process does not accept connections fast enough: look whether it is stopped or overloaded',
};

/**
 * Whether the same may work at once on the same process. What timed out may still be carried out by it, after whatever
 * would be sent next: that needs a look at everything, not a repetition.
 */
export function isTransient(outcome: OperationOutcome): boolean {
  if (outcome.kind === 'answered') return TRANSIENT_ERRNO.has(outcome.errno);
  if (outcome.kind === 'unreachable') return outcome.code === 'EAGAIN';
  return outcome.kind === 'broken' && outcome.defect !== 'timed_out';
}

export function unreachableError(socketPath: string, code: string): WireGuardError {
  const text = UNREACHABLE_TEXT[code] ?? 'look after its process';
  return new WireGuardError('WIREGUARD_UNAVAILABLE', `WireGuard does not answer at ${socketPath} (${code}): ${text}`);
}

export function brokenError(
  socketPath: string,
  defect: Extract<OperationOutcome, { kind: 'broken' }>['defect'],
): WireGuardError {
  const what = defect.replaceAll('_', ' ');
  return new WireGuardError(
    'WIREGUARD_UNAVAILABLE',
    `the answer of WireGuard at ${socketPath} cannot be used (${what}): look whether its process is stopped, overloaded, or no WireGuard at all`,
  );
}

export function refusedError(errno: number, listenPort: number): WireGuardError {
  const text =
    errno === EADDRINUSE
      ? `EADDRINUSE: UDP port ${listenPort} is taken; end what uses it or choose another port`
      : (ERRNO_TEXT[errno] ?? `errno ${errno}`);
  return new WireGuardError('WIREGUARD_REFUSED', `WireGuard refused (${text})`);
}

export function restartedError(socketPath: string): WireGuardError {
  return new WireGuardError(
    'WIREGUARD_UNAVAILABLE',
    `the WireGuard process at ${socketPath} has ended: its peers are set anew when it is back; if it stays away, start it`,
  );
}

export function lostKeyError(socketPath: string): WireGuardError {
  return new WireGuardError(
    'WIREGUARD_UNAVAILABLE',
    `the interface at ${socketPath} has lost its key or port: it is set up anew; if this comes again, something else configures it`,
  );
}

export function ownKeyError(): WireGuardError {
  return new WireGuardError('WIREGUARD_REFUSED', "a peer has the interface's own public key; it can have no tunnel");
}

export function takenAddressError(): WireGuardError {
  return new WireGuardError(
    'WIREGUARD_REFUSED',
    "a peer has an address that is another peer's; its tunnel would cut the other's",
  );
}

export function tooManyError(limit: number): WireGuardError {
  return new WireGuardError(
    'WIREGUARD_UNAVAILABLE',
    `${limit} changes of WireGuard peers are waiting already; try later`,
  );
}

export function closedError(): WireGuardError {
  return new WireGuardError('WIREGUARD_CLOSED', 'the WireGuard backend has been closed');
}
