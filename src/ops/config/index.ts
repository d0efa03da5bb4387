/** The door of the configuration: loading it, its types, its messages, and its documented defaults. */

export type { Cidr, Parsed, SocketAddress } from './addresses.ts';
export { formatCidr, formatSocketAddress, parseSocketAddress } from './addresses.ts';
export type { ConfigError } from './config-error.ts';
export { formatConfigError } from './config-error.ts';
export { exampleConfig } from './example.ts';
export type { ConfigSources, LoadedConfig } from './load.ts';
export { loadConfig } from './load.ts';
export type { Config, Limits, ListedLimits, Registration } from './resolve.ts';
