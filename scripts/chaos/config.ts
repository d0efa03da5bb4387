/** Configurations of the two gateways of a run: the entry sells registrations and reaches the exit, which echoes and would sell them, too. */
import { BANDWIDTH } from '../e2e/crash-customers.ts';

export const ISSUER = 'issuer.example';
/** Seconds; no clock that jumps by days ends a registration. */
const REGISTRATION_LIFETIME_S = 2_592_000;
export const GRACE_S = 3_600;
/** A thread that is silent for longer is given up; a gateway that replaces one more often within the window ends. */
export const SILENCE_LIMIT_S = 30;
export const MAX_REPLACEMENTS = 5;
export const REPLACEMENT_WINDOW_MS = 60_000;

const COMMON = `
[admin]
listen = "off"
[limits]
handshakes_per_address = 2000
handshake_burst = 8000
records_per_address = 100000
forwards_per_session = 16
quotes_per_address = 1000
[lifetimes]
sweep_interval = 1
rekey_after = 15
[forward]
connect_timeout = 1
timeout = 1
[nym]
listen = "127.0.0.1:0"
forward_timeout = 1
handshake_timeout = 10
`;

export interface EntryPlan {
  readonly shards: number;
  /** Of the exit, base58, and the ports of the proxies before it. */
  readonly exitIdentity: string;
  readonly exitPort: number;
  readonly exitNymPort: number;
  /** Name of the interface; without one, tunnels are in memory. */
  readonly wireGuard: string | undefined;
}

export function entryConfig({ shards, exitIdentity, exitPort, exitNymPort, wireGuard }: EntryPlan): string {
  const interface_ = wireGuard === undefined ? 'kind = "memory"' : `kind = "uapi"\ninterface = "${wireGuard}"`;
  return `
[gateway]
listen = "127.0.0.1:0"
shards = ${shards}
${COMMON}
[[forward.allow]]
identity = "${exitIdentity}"
address = "127.0.0.1"
port = ${exitPort}
[[forward.allow]]
identity = "${exitIdentity}"
address = "127.0.0.1"
port = ${exitNymPort}
[registration]
modes = ["dvpn"]
ipv4_pool = "10.200.0.0/24"
endpoints = ["192.0.2.1:51820"]
bandwidth = ${BANDWIDTH}
lifetime = ${REGISTRATION_LIFETIME_S}
grace = ${GRACE_S}
[store]
kind = "lmdb"
[metering]
interval = 1
[credentials]
kind = "privacy-pass"
issuer = "https://${ISSUER}"
[wireguard]
${interface_}
`;
}

export function exitConfig(): string {
  return `
[gateway]
listen = "127.0.0.1:0"
shards = 1
${COMMON}
[registration]
modes = ["dvpn"]
ipv4_pool = "10.201.0.0/24"
endpoints = ["192.0.2.2:51820"]
[store]
kind = "memory"
[credentials]
kind = "privacy-pass"
issuer = "https://${ISSUER}"
[wireguard]
kind = "memory"
`;
}
