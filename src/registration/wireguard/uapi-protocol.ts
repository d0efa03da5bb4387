/**
 * WireGuard's configuration protocol (UAPI) as bytes, without any socket: requests for one operation, and what both sides
 * agree on. The answer's parser is `uapi-answer.ts`. Secrets are hex bytes in arrays that the caller wipes, never strings.
 * Keys and lines: https://www.wireguard.com/xplatform/#configuration-protocol.
 */

export const KEY_LENGTH = 32;
/**
 * Peers in one `set`: some 30 ms of wireguard-go (0.1 ms each), during which it takes no other operation, and 75 KB to encode
 * in one go. Revise with the loop delay of a full resync.
 */
export const MAX_PEERS_PER_SET = 256;
/** Host routes of one peer; a tunnel here has one per family. */
export const MAX_ALLOWED_IPS = 16;

/**
 * Which implementation answers. boringtun carries fields from one peer of a `set` into the next, does not know
 * `update_only`, and cannot change a standing peer; it answers with positive error numbers and shows no private key.
 */
export type Dialect = 'wireguard-go' | 'boringtun';

export type PeerChange =
  | {
      readonly kind: 'upsert';
      readonly publicKey: Uint8Array;
      readonly presharedKey: Uint8Array;
      readonly allowedIps: readonly string[];
      readonly keepaliveSeconds: number;
    }
  | { readonly kind: 'remove'; readonly publicKey: Uint8Array };

export interface DeviceChange {
  readonly privateKey?: Uint8Array;
  readonly listenPort?: number;
}

const NEWLINE = 0x0a;
const HEX_KEY_LENGTH = 2 * KEY_LENGTH;
/** More than all the fixed text and the numbers of one peer. */
const FIXED_TEXT_PER_PEER = 160;
/** An address with its prefix, as text; also what keeps a line break out of a request. */
const ALLOWED_IP = /^[0-9a-f.:]{2,39}\/[0-9]{1,3}$/;
const MAX_PORT = 65_535;

/** Holds no secret. */
export const GET_REQUEST: Uint8Array = Uint8Array.from(Buffer.from('get=1\n\n', 'latin1'));

/** The caller wipes what it gets. */
export function encodeDeviceSet({ privateKey, listenPort }: DeviceChange): Uint8Array {
  const writer = new RequestWriter(2 * HEX_KEY_LENGTH);
  writer.line('set=1');
  if (privateKey !== undefined) writer.keyLine('private_key=', privateKey);
  if (listenPort !== undefined) writer.line(`listen_port=${checkedUint16(listenPort)}`);
  return writer.end();
}

/**
 * One `set` that carries the changes out in their order. Never replaces all peers: that would end every session. The
 * caller wipes what it gets.
 */
export function encodePeersSet(changes: readonly PeerChange[], dialect: Dialect): Uint8Array {
  const limit = dialect === 'boringtun' ? 1 : MAX_PEERS_PER_SET;
  if (changes.length > limit) throw new Error(`assertion: at most ${limit} peers in one set`);
  let size = FIXED_TEXT_PER_PEER;
  for (const change of changes) size += sizeOf(change);
  const writer = new RequestWriter(size);
  writer.line('set=1');
  for (const change of changes) writePeer(writer, change, dialect);
  return writer.end();
}

export function isAllowedIp(text: string): boolean {
  return ALLOWED_IP.test(text);
}

function sizeOf(change: PeerChange): number {
  let size = FIXED_TEXT_PER_PEER + 2 * HEX_KEY_LENGTH;
  if (change.kind === 'upsert') for (const allowedIp of change.allowedIps) size += 16 + allowedIp.length;
  return size;
}

function writePeer(writer: RequestWriter, change: PeerChange, dialect: Dialect): void {
  writer.keyLine('public_key=', change.publicKey);
  if (change.kind === 'remove') {
    // Otherwise an unknown peer is made first, which costs a DH and fails where the table is full.
    if (dialect === 'wireguard-go') writer.line('update_only=true');
    writer.line('remove=true');
    return;
  }
  writer.keyLine('preshared_key=', change.presharedKey);
  writer.line('replace_allowed_ips=true');
  if (change.allowedIps.length > MAX_ALLOWED_IPS) throw new Error('assertion: too many allowed IPs for one peer');
  for (const allowedIp of change.allowedIps) {
    if (!isAllowedIp(allowedIp)) throw new Error('assertion: an allowed IP is ADDRESS/BITS in lower case');
    writer.line(`allowed_ip=${allowedIp}`);
  }
  writer.line(`persistent_keepalive_interval=${checkedUint16(change.keepaliveSeconds)}`);
}

function checkedUint16(value: number): number {
  if (!Number.isInteger(value) || value < 0 || value > MAX_PORT) throw new Error('assertion: not a 16-bit number');
  return value;
}

class RequestWriter {
  /** Not from Node's pool, so that wiping the request wipes all there was of it. */
  readonly #bytes: Buffer;
  #length = 0;

  constructor(capacity: number) {
    this.#bytes = Buffer.alloc(capacity);
  }

  line(text: string): void {
    this.#length += this.#bytes.write(text, this.#length, 'latin1');
    this.#bytes[this.#length++] = NEWLINE;
  }

  keyLine(name: string, key: Uint8Array): void {
    if (key.length !== KEY_LENGTH) throw new Error('assertion: a WireGuard key has 32 bytes');
    this.#length += this.#bytes.write(name, this.#length, 'latin1');
    for (const byte of key) {
      this.#bytes[this.#length++] = hexDigit(byte >> 4);
      this.#bytes[this.#length++] = hexDigit(byte & 15);
    }
    this.#bytes[this.#length++] = NEWLINE;
  }

  end(): Uint8Array {
    this.#bytes[this.#length++] = NEWLINE;
    if (this.#length > this.#bytes.length) throw new Error('assertion: a request longer than was computed');
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Without a table, whose cache lines would depend on the secret. */
function hexDigit(nibble: number): number {
  return nibble + 0x30 + (((9 - nibble) >> 31) & 0x27);
}
