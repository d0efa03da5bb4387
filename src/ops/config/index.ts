/** The door of the configuration: loading it, its types, its messages, and its documented defaults. */

export type { SocketAddress } from './addresses.ts';
export { formatCidr, formatSocketAddress, parseSocketAddress } from './addresses.ts';
export { formatConfigError } from './config-error.ts';
export { exampleConfig } from './example.ts';
export type { LoadedConfig } from './load.ts';
export { loadConfig } from './load.ts';
export type { Config } from './resolve.ts';
