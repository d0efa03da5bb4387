/**
 * Access to `test/vectors/*.json`, by dotted paths as the files' own texts write them. A `VectorReader` keeps account of
 * what was read, so that a test can fail when a section or a case is left over.
 */
import { readFileSync } from 'node:fs';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export function loadVectors(name: string): { [key: string]: Json } {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), 'utf8'));
}

export function hex(text: Json | undefined): Uint8Array {
  if (typeof text !== 'string' || !/^(?:[0-9a-f]{2})*$/.test(text))
    throw new Error(`no hex: ${String(text).slice(0, 40)}`);
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function child(value: Json, key: string): Json | undefined {
  if (value === null || typeof value !== 'object') return undefined;
  return Array.isArray(value) ? value[Number(key)] : value[key];
}

/** The value at a dotted path. */
export function at(vectors: Json, path: string): Json {
  let value: Json = vectors;
  for (const key of path.split('.')) {
    const next = child(value, key);
    if (next === undefined) throw new Error(`nothing at ${path}`);
    value = next;
  }
  return value;
}

export function text(vectors: Json, path: string): string {
  const value = at(vectors, path);
  if (typeof value !== 'string') throw new Error(`no text at ${path}`);
  return value;
}

export function number(vectors: Json, path: string): number {
  const value = at(vectors, path);
  if (typeof value !== 'number') throw new Error(`no number at ${path}`);
  return value;
}

export function bytes(vectors: Json, path: string): Uint8Array {
  return hex(at(vectors, path));
}

/** A packet in hex, or the path of one. */
export function packetAt(vectors: Json, packet: Json): Uint8Array {
  if (typeof packet !== 'string') throw new Error('no packet');
  return hex(/^[0-9a-f]+$/.test(packet) ? packet : at(vectors, packet));
}

/** Vectors under one path. Readers that come from one another share the account of what was read. */
export class VectorReader {
  private readonly root: Json;
  private readonly prefix: string;
  private readonly read: Set<string>;

  constructor(root: Json, prefix = '', read = new Set<string>()) {
    this.root = root;
    this.prefix = prefix;
    this.read = read;
  }

  under(path: string): VectorReader {
    return new VectorReader(this.root, this.full(path), this.read);
  }

  /** The whole vectors, whatever this reader stands on. */
  top(): VectorReader {
    return new VectorReader(this.root, '', this.read);
  }

  has(path: string): boolean {
    const [last, ...before] = this.full(path).split('.').reverse();
    const parent = before.length === 0 ? this.root : at(this.root, before.reverse().join('.'));
    const value = child(parent, last ?? '');
    return value !== undefined && value !== null;
  }

  /** The members of an array or of an object, by their keys. */
  members(path: string): [string, VectorReader][] {
    const value = at(this.root, this.full(path));
    if (value === null || typeof value !== 'object') throw new Error(`no members at ${this.full(path)}`);
    return Object.keys(value).map((key) => [key, this.under(`${path}.${key}`)]);
  }

  text(path: string): string {
    this.read.add(this.full(path));
    return text(this.root, this.full(path));
  }

  number(path: string): number {
    this.read.add(this.full(path));
    return number(this.root, this.full(path));
  }

  hex(path: string): Uint8Array {
    return hex(this.text(path));
  }

  /** Passes over a text for readers, or a null that says that there is nothing. */
  skip(path: string): void {
    this.read.add(this.full(path));
    at(this.root, this.full(path));
  }

  /** Paths of leaves that nobody has read. */
  unread(): string[] {
    const found: string[] = [];
    this.collect(this.prefix === '' ? this.root : at(this.root, this.prefix), this.prefix, found);
    return found;
  }

  private collect(value: Json, path: string, found: string[]): void {
    if (value !== null && typeof value === 'object') {
      for (const [key, inner] of Object.entries(value))
        this.collect(inner, path === '' ? key : `${path}.${key}`, found);
    } else if (!this.read.has(path)) found.push(path);
  }

  private full(path: string): string {
    return this.prefix === '' ? path : `${this.prefix}.${path}`;
  }
}
