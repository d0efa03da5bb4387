/**
 * The answer to one UAPI operation, parsed as it arrives and without keeping it: a dump of the interface holds the private
 * key and every preshared key. Total: any bytes in any pieces give an outcome, and lines, counts and the whole are bounded.
 * Secrets are decoded into arrays of this parser that are wiped; they never become strings.
 */
import type { Dialect } from './uapi-protocol.ts';
import { KEY_LENGTH, MAX_ALLOWED_IPS } from './uapi-protocol.ts';

/** What a dump says of the interface itself. Borrowed: valid until the call returns. */
export interface DumpedDevice {
  /** As the interface keeps it, that is clamped; absent where it has none or does not show it. */
  readonly privateKey: Uint8Array | undefined;
  /** boringtun shows this one instead. */
  readonly ownPublicKey: Uint8Array | undefined;
  /** 0: none. */
  readonly listenPort: number;
}

/** What a dump says of one peer. Borrowed: valid until the call returns. */
export interface DumpedPeer {
  readonly publicKey: Uint8Array;
  /** Zeros: none. */
  readonly presharedKey: Uint8Array;
  /** At most {@link MAX_ALLOWED_IPS} and one; that one says that there are more. */
  readonly allowedIps: readonly string[];
  readonly keepaliveSeconds: number;
  readonly received: number;
  readonly sent: number;
}

/** Is told what a dump holds while it is read; if the answer turns out broken, what came before is not to be trusted. */
export interface DumpSink {
  /** Once, before the peers. */
  device(device: DumpedDevice): void;
  peer(peer: DumpedPeer): void;
}

export type AnswerDefect =
  | 'answer_too_long'
  | 'line_too_long'
  | 'line_malformed'
  | 'value_malformed'
  | 'too_many_peers'
  | 'errno_missing'
  | 'ended_early';

export type AnswerOutcome =
  /** `errno` without its sign; the sign tells who answers, unless the number is 0. */
  | { readonly kind: 'answered'; readonly errno: number; readonly dialect: Dialect | undefined }
  | { readonly kind: 'broken'; readonly defect: AnswerDefect };

/** The longest line that is sent: a key, or an endpoint with the name of its link. */
const MAX_LINE_BYTES = 256;
/** wireguard-go has room for 65,536; twice that is no interface of ours. */
const MAX_PEERS = 131_072;
/** 65,536 peers of 310 bytes are 20 MB. */
export const MAX_DUMP_BYTES = 67_108_864;
/** The answer to a `set` is one line. */
export const MAX_STATUS_BYTES = 1_024;

const NEWLINE = 0x0a;
const EQUALS = 0x3d;
const MINUS = 0x2d;
const ALLOWED_IP_BYTES = /^[0-9a-fA-F.:/]{1,43}$/;

export class AnswerParser {
  readonly #sink: DumpSink | undefined;
  readonly #maxBytes: number;
  readonly #carry = Buffer.alloc(MAX_LINE_BYTES);
  #carried = 0;
  #total = 0;
  #peers = 0;
  /** The line before was `errno=`: only the empty line may follow. */
  #status: Extract<AnswerOutcome, { kind: 'answered' }> | undefined;
  #outcome: AnswerOutcome | undefined;
  #deviceTold = false;
  readonly #device = new DeviceFields();
  readonly #peer = new PeerFields();

  constructor(maxBytes: number, sink?: DumpSink) {
    this.#maxBytes = maxBytes;
    this.#sink = sink;
  }

  /** Reads a piece and keeps nothing of it but an unfinished line; gives the outcome as soon as there is one. */
  push(piece: Uint8Array): AnswerOutcome | undefined {
    if (this.#outcome !== undefined) return this.#outcome;
    this.#total += piece.length;
    if (this.#total > this.#maxBytes) return this.#broken('answer_too_long');
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    let start = 0;
    // What follows the end was not asked for, and goes with the connection.
    while (start < bytes.length && this.#outcome === undefined) {
      const end = bytes.indexOf(NEWLINE, start);
      const line = end === -1 ? bytes.subarray(start) : bytes.subarray(start, end);
      if (this.#carried + line.length > MAX_LINE_BYTES) return this.#broken('line_too_long');
      if (end === -1) {
        this.#carry.set(line, this.#carried);
        this.#carried += line.length;
        break;
      }
      const defect = this.#carried === 0 ? this.#line(line) : this.#carriedLine(line);
      if (defect !== undefined) return this.#broken(defect);
      start = end + 1;
    }
    return this.#outcome;
  }

  /** The other side has closed. An error number without the empty line after it still counts. */
  end(): AnswerOutcome {
    if (this.#outcome !== undefined) return this.#outcome;
    if (this.#status === undefined || this.#carried > 0) return this.#broken('ended_early');
    return this.#finish(this.#status);
  }

  /** Forgets secrets; is done already where there is an outcome. */
  wipe(): void {
    this.#carry.fill(0);
    this.#carried = 0;
    this.#device.wipe();
    this.#peer.wipe();
  }

  #carriedLine(rest: Buffer): AnswerDefect | undefined {
    this.#carry.set(rest, this.#carried);
    const length = this.#carried + rest.length;
    this.#carried = 0;
    const defect = this.#line(this.#carry.subarray(0, length));
    this.#carry.fill(0, 0, length);
    return defect;
  }

  #line(line: Buffer): AnswerDefect | undefined {
    if (line.length === 0) {
      if (this.#status === undefined) return 'errno_missing';
      this.#finish(this.#status);
      return undefined;
    }
    const split = line.indexOf(EQUALS);
    if (split <= 0 || this.#status !== undefined) return 'line_malformed';
    const key = line.toString('latin1', 0, split);
    const value = line.subarray(split + 1);
    if (key === 'errno') return this.#errno(value);
    if (this.#sink === undefined) return undefined;
    if (key === 'public_key') return this.#nextPeer(value);
    const known = this.#deviceTold ? this.#peer.take(key, value) : this.#device.take(key, value);
    return known ? undefined : 'value_malformed';
  }

  #errno(value: Buffer): AnswerDefect | undefined {
    const negative = value[0] === MINUS;
    const errno = decimal(negative ? value.subarray(1) : value, 65_535);
    if (errno === undefined) return 'value_malformed';
    this.#tell();
    const dialect = errno === 0 ? undefined : negative ? 'wireguard-go' : 'boringtun';
    this.#status = { kind: 'answered', errno, dialect };
    return undefined;
  }

  #nextPeer(value: Buffer): AnswerDefect | undefined {
    this.#tell();
    this.#peers += 1;
    if (this.#peers > MAX_PEERS) return 'too_many_peers';
    return this.#peer.begin(value) ? undefined : 'value_malformed';
  }

  /** What was gathered until here is complete. */
  #tell(): void {
    if (!this.#deviceTold) {
      this.#deviceTold = true;
      this.#sink?.device(this.#device);
      this.#device.wipe();
    } else if (this.#peers > 0) {
      this.#sink?.peer(this.#peer);
      this.#peer.wipe();
    }
  }

  #finish(status: AnswerOutcome): AnswerOutcome {
    this.#outcome = status;
    this.wipe();
    return status;
  }

  #broken(defect: AnswerDefect): AnswerOutcome {
    return this.#finish({ kind: 'broken', defect });
  }
}

class DeviceFields implements DumpedDevice {
  readonly #privateKey = new Uint8Array(KEY_LENGTH);
  readonly #ownPublicKey = new Uint8Array(KEY_LENGTH);
  #hasPrivateKey = false;
  #hasOwnPublicKey = false;
  listenPort = 0;

  get privateKey(): Uint8Array | undefined {
    return this.#hasPrivateKey ? this.#privateKey : undefined;
  }

  get ownPublicKey(): Uint8Array | undefined {
    return this.#hasOwnPublicKey ? this.#ownPublicKey : undefined;
  }

  /** Whether the value is one that this key may have; keys that nobody here needs may have any. */
  take(key: string, value: Buffer): boolean {
    if (key === 'private_key') {
      this.#hasPrivateKey = decodeKey(value, this.#privateKey);
      return this.#hasPrivateKey;
    }
    if (key === 'own_public_key') {
      this.#hasOwnPublicKey = decodeKey(value, this.#ownPublicKey);
      return this.#hasOwnPublicKey;
    }
    if (key !== 'listen_port') return true;
    const port = decimal(value, 65_535);
    this.listenPort = port ?? 0;
    return port !== undefined;
  }

  wipe(): void {
    this.#privateKey.fill(0);
    this.#hasPrivateKey = false;
  }
}

class PeerFields implements DumpedPeer {
  readonly publicKey = new Uint8Array(KEY_LENGTH);
  readonly presharedKey = new Uint8Array(KEY_LENGTH);
  allowedIps: string[] = [];
  keepaliveSeconds = 0;
  received = 0;
  sent = 0;

  begin(value: Buffer): boolean {
    this.allowedIps = [];
    this.keepaliveSeconds = 0;
    this.received = 0;
    this.sent = 0;
    return decodeKey(value, this.publicKey);
  }

  take(key: string, value: Buffer): boolean {
    switch (key) {
      case 'preshared_key':
        return decodeKey(value, this.presharedKey);
      case 'allowed_ip':
        return this.#takeAllowedIp(value.toString('latin1'));
      case 'persistent_keepalive_interval':
        this.keepaliveSeconds = decimal(value, 65_535) ?? -1;
        return this.keepaliveSeconds >= 0;
      case 'rx_bytes':
        this.received = decimal(value, Number.POSITIVE_INFINITY) ?? -1;
        return this.received >= 0;
      case 'tx_bytes':
        this.sent = decimal(value, Number.POSITIVE_INFINITY) ?? -1;
        return this.sent >= 0;
      default:
        return true;
    }
  }

  #takeAllowedIp(text: string): boolean {
    if (this.allowedIps.length <= MAX_ALLOWED_IPS) this.allowedIps.push(text);
    return ALLOWED_IP_BYTES.test(text);
  }

  wipe(): void {
    this.presharedKey.fill(0);
  }
}

/** At most 20 digits, as a 64-bit number has; what a double cannot hold exactly becomes the greatest that it can. */
function decimal(value: Uint8Array, max: number): number | undefined {
  if (value.length === 0 || value.length > 20) return undefined;
  let result = 0;
  for (const byte of value) {
    const digit = byte - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    result = result * 10 + digit;
  }
  if (result > max) return undefined;
  return Math.min(result, Number.MAX_SAFE_INTEGER);
}

function decodeKey(hex: Uint8Array, out: Uint8Array): boolean {
  if (hex.length !== 2 * KEY_LENGTH) return false;
  let invalid = 0;
  for (let i = 0; i < KEY_LENGTH; i += 1) {
    const high = nibbleOf(hex[2 * i] ?? 0);
    const low = nibbleOf(hex[2 * i + 1] ?? 0);
    invalid |= high | low;
    out[i] = (high << 4) | low;
  }
  return invalid >= 0;
}

/** Value of a hex digit of either case, negative for anything else; without branches, for the digits are a secret's. */
function nibbleOf(code: number): number {
  const digit = code - 0x30;
  const letter = (code | 0x20) - 0x61;
  const isDigit = ~digit & (digit - 10);
  const isLetter = ~letter & (letter - 6);
  return ((isDigit >> 31) & digit) | ((isLetter >> 31) & (letter + 10)) | (~((isDigit | isLetter) >> 31) & -1);
}
