/**
 * What counts as one source address (lp2.md §4.5): an IPv4 address, an IPv6 /64, or a listed CIDR as a whole.
 */
import { BlockList } from 'node:net';
import ipaddr from 'ipaddr.js';

export interface ListedSource {
  readonly cidr: string;
  readonly handshakesPerSecond: number;
  readonly burst: number;
  readonly sessions: number;
  readonly quotes: number;
  readonly records: number;
  readonly connections: number;
}

/** `1.2.3.4`, or the first 64 bits of an IPv6 address; what does not parse counts as one source of its own. */
export function sourceKey(address: string): string {
  if (!ipaddr.isValid(address)) return 'unknown';
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return `${parsed
    .toByteArray()
    .slice(0, 8)
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')}/64`;
}

/** Finds the first listed CIDR that holds an address. */
export class ListedSources {
  private readonly entries: readonly { readonly listed: ListedSource; readonly block: BlockList }[];

  constructor(listed: readonly ListedSource[]) {
    this.entries = listed.map((entry) => {
      const [network, prefix] = ipaddr.parseCIDR(entry.cidr);
      const block = new BlockList();
      block.addSubnet(network.toString(), prefix, network.kind());
      return { listed: entry, block };
    });
  }

  find(address: string): ListedSource | undefined {
    if (!ipaddr.isValid(address)) return undefined;
    const parsed = ipaddr.process(address);
    return this.entries.find(({ block }) => block.check(parsed.toString(), parsed.kind()))?.listed;
  }
}
