/**
 * The keys of one decoded map of a registration body (registration.md), read strictly: every key that is asked for must
 * be there with its type, and none may be left over. The first fault stands; no fault quotes the peer's own text.
 */
import ipaddr from 'ipaddr.js';
import type { MessagePackFault, PlainMap } from './strict-messagepack.ts';

/** Enough for every address of a gateway; a client need not go through more. */
export const MAX_ENDPOINTS = 16;

export type BodyFault =
  | MessagePackFault
  | 'missing_key'
  | 'superfluous_key'
  | 'wrong_type'
  | 'wrong_length'
  | 'unknown_value';

/** `key` is one of the table's own keys, never the peer's text. */
export interface MalformedBody {
  readonly kind: 'malformed';
  readonly reason: BodyFault;
  readonly key?: string;
}
/**
 * The keys of one map. The first fault is kept; after it every reader gives some value of its type, and the caller looks
 * at `fault` before it uses any of them. A key that no reader asked for is superfluous.
 */
export class BodyFields {
  readonly #map: PlainMap;
  readonly #asked = new Set<string>();
  fault: MalformedBody | undefined;

  constructor(map: PlainMap) {
    this.#map = map;
  }

  has(key: string): boolean {
    return this.#map.has(key);
  }

  fail(reason: BodyFault, key?: string): void {
    this.fault ??= key === undefined ? { kind: 'malformed', reason } : { kind: 'malformed', reason, key };
  }

  finish(): void {
    for (const key of this.#map.keys()) if (!this.#asked.has(key)) this.fail('superfluous_key');
  }

  integer(key: string): number {
    const value = this.#ask(key);
    if (typeof value === 'number') return value;
    this.fail('wrong_type', key);
    return 0;
  }

  text(key: string): string {
    const value = this.#ask(key);
    if (typeof value === 'string') return value;
    this.fail('wrong_type', key);
    return '';
  }

  bytes(key: string, length?: number): Uint8Array {
    const value = this.#ask(key);
    if (!(value instanceof Uint8Array)) this.fail('wrong_type', key);
    else if (length !== undefined && value.length !== length) this.fail('wrong_length', key);
    else return value;
    return new Uint8Array(0);
  }

  choice<const T extends string>(key: string, choices: readonly [T, ...T[]]): T {
    const text = this.text(key);
    const found = choices.find((choice) => choice === text);
    if (found === undefined) this.fail('unknown_value', key);
    return found ?? choices[0];
  }

  map<T>(key: string, read: (inner: BodyFields) => T): T {
    const value = this.#ask(key);
    if (!(value instanceof Map)) this.fail('wrong_type', key);
    const inner = new BodyFields(value instanceof Map ? value : new Map());
    const result = read(inner);
    inner.finish();
    this.fault ??= inner.fault;
    return result;
  }

  endpoints(key: string): readonly string[] {
    const value = this.#ask(key);
    if (!Array.isArray(value)) this.fail('wrong_type', key);
    const items: readonly unknown[] = Array.isArray(value) ? value : [];
    if (items.length === 0 || items.length > MAX_ENDPOINTS) this.fail('wrong_length', key);
    const endpoints: string[] = [];
    for (const item of items) {
      if (typeof item !== 'string') this.fail('wrong_type', key);
      else if (!isAnnouncedEndpoint(item)) this.fail('unknown_value', key);
      else endpoints.push(item);
    }
    return endpoints;
  }

  #ask(key: string): unknown {
    this.#asked.add(key);
    const value = this.#map.get(key);
    if (value === undefined) this.fail('missing_key', key);
    return value;
  }
}

/** `ip:port` that a client can send to: no name, no port 0, no unspecified address; IPv6 as `[ip]:port`. */
export function isAnnouncedEndpoint(text: string): boolean {
  const [, ipv6, ipv4, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([1-9][0-9]{0,4})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65535) return false;
  if (ipv4 !== undefined) {
    return ipaddr.IPv4.isValidFourPartDecimal(ipv4) && ipaddr.IPv4.parse(ipv4).toByteArray().some(Boolean);
  }
  return ipv6 !== undefined && ipaddr.IPv6.isValid(ipv6) && ipaddr.IPv6.parse(ipv6).range() !== 'unspecified';
}
