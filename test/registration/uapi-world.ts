/** A UAPI backend on a fake WireGuard process, with stepped time and everything that it reports. */
import { inspect } from 'node:util';
import type { ExecutionContext } from 'ava';
import { PresharedKey } from '../../src/registration/preshared-key.ts';
import type { Peer, PeerCounters } from '../../src/registration/wireguard/backend.ts';
import {
  createUapiWireGuard,
  type InterfaceState,
  type UapiEvent,
  type UapiWireGuard,
  type UapiWireGuardOptions,
} from '../../src/registration/wireguard/uapi.ts';
import { tempDir } from '../ops/temp-dir.ts';
import { SteppedTime } from '../support/stepped-time.ts';
import { type FakeUapi, OWN_PUBLIC_KEY, startFakeUapi } from './fake-uapi.ts';
import { bytes32 } from './fixture.ts';

export const PRIVATE_KEY = bytes32('interface');
export const PORT = 51_820;

export interface UapiWorld {
  readonly fake: FakeUapi;
  readonly time: SteppedTime;
  readonly wireguard: UapiWireGuard;
  readonly states: InterfaceState[];
  readonly events: UapiEvent[];
}

export async function createWorld(
  t: ExecutionContext,
  options: Partial<UapiWireGuardOptions> = {},
  fakeDialect?: 'wireguard-go' | 'boringtun',
): Promise<UapiWorld> {
  const fake = await startFakeUapi(t, tempDir(t), fakeDialect);
  const time = new SteppedTime();
  const states: InterfaceState[] = [];
  const events: UapiEvent[] = [];
  const wireguard = createUapiWireGuard({
    interfaceName: 'wg0',
    socketPath: fake.path,
    privateKey: { bytes: PRIVATE_KEY },
    publicKey: OWN_PUBLIC_KEY,
    listenPort: PORT,
    timers: time,
    clock: time.clock,
    onState: (state) => states.push(state),
    report: (event) => events.push(event),
    ...options,
  });
  t.teardown(async () => {
    await wireguard.close();
    if (time.pending !== 0) throw new Error('a closed backend has timers');
    if (SECRETS.test(inspect([states, events], { depth: 10, showHidden: true })))
      throw new Error('a secret was reported');
  });
  return { fake, time, wireguard, states, events };
}

export function peer(name: string, allowedIps: readonly string[], presharedKey = `psk of ${name}`): Peer {
  return {
    publicKey: bytes32(name),
    presharedKey: new PresharedKey(bytes32(presharedKey)),
    allowedIps,
    keepaliveSeconds: 25,
  };
}

/** Number `i` of many, with addresses of its own. */
export function nthPeer(i: number): Peer {
  return peer(`peer ${i}`, [`10.1.${i >> 8}.${i & 255}/32`, `fd00::${(i + 1).toString(16)}/128`]);
}

export function nthPeers(count: number): Peer[] {
  return Array.from({ length: count }, (_, i) => nthPeer(i));
}

export async function* stream(peers: Iterable<Peer>): AsyncIterable<Peer> {
  for (const each of peers) yield each;
}

export async function collect(counters: AsyncIterable<PeerCounters>): Promise<PeerCounters[]> {
  const all: PeerCounters[] = [];
  for await (const each of counters) all.push(each);
  return all;
}

/** The private key as it was given and as an interface shows it, and some preshared keys, in every usual form. */
const SECRETS = new RegExp(
  [PRIVATE_KEY, ...['a', 'b', 'peer 0', 'peer 1'].map((name) => bytes32(`psk of ${name}`))]
    .map((key) => Buffer.from(key))
    .flatMap((key) => [
      key.toString('hex').slice(4, 60),
      key.toString('base64').slice(4, 36),
      [...key.subarray(4, 12)].join(', '),
    ])
    .map((text) => text.replaceAll(/[+/]/g, '\\$&'))
    .join('|'),
  'i',
);
