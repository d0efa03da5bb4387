/** From the configuration to what Nym's parts take. */

import type { Config, SocketAddress } from '../../ops/config/index.ts';
import type { NymShardOptions } from '../../shard/nym/connections.ts';
import type { RawForwarderOptions } from '../forward/raw-forwarder.ts';
import type { NymAcceptorOptions } from './acceptor.ts';

export interface NymServiceOptions {
  readonly listen: SocketAddress;
  /** Default: the one that is bound. */
  readonly announcedPort: number | undefined;
  readonly dataPort: number;
  readonly acceptor: NymAcceptorOptions;
  readonly forward: Omit<RawForwarderOptions, 'find'>;
}

/** A client that takes nothing of what is written: as long as an exit may take (nym.md §10). */
const WRITE_MS = 30_000;

/** `undefined` where Nym is not spoken. */
export function nymOptionsOf({ nym, lifetimes, forward }: Config, shards: number): NymServiceOptions | undefined {
  const { listen } = nym;
  if (listen === undefined) return undefined;
  return {
    listen,
    announcedPort: nym.announced_port,
    dataPort: nym.data_port,
    acceptor: {
      connections: nym.connections,
      shards,
      timeouts: {
        handshakeMs: nym.handshake_timeout * 1_000,
        unprovenMs: lifetimes.connection_unproven * 1_000,
        frameMs: lifetimes.frame_timeout * 1_000,
        writeMs: WRITE_MS,
      },
    },
    forward: {
      maxConnections: nym.forward_connections,
      connectMs: forward.connect_timeout * 1_000,
      exchangeMs: nym.forward_timeout * 1_000,
    },
  };
}

export function nymShardOptionsOf({ nym, registration }: Config): Omit<NymShardOptions, 'lpSecret' | 'kemSeed'> {
  return {
    handshakeMs: nym.handshake_timeout * 1_000,
    lifetimes: {
      unusedMs: nym.unused_session * 1_000,
      idleMs: nym.session_idle * 1_000,
      maxMs: nym.session_max * 1_000,
    },
    dvpn: registration.modes.includes('dvpn'),
  };
}
