/**
 * Public keys as text: base58 with the Bitcoin alphabet (no checksum), which is how the network shows them, and hex.
 * Decoding is total and bounded: any text gives bytes or a reason, and the quadratic work stops at MAX_TEXT_LENGTH.
 */
const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const DIGITS = new Map([...ALPHABET].map((character, value) => [character, value]));
/** 93 bytes at most. Keys have 44 characters; the work grows with the square of the length. */
export const MAX_TEXT_LENGTH = 128;
const KEY_LENGTH = 32;

/** Big-endian number in base 58, one `1` for every leading zero byte. */
export function encodeBase58(bytes: Uint8Array): string {
  const zeros = leading(bytes, 0);
  const digits = changeBase(bytes.subarray(zeros), 256, 58);
  return '1'.repeat(zeros) + digits.map((digit) => ALPHABET.charAt(digit)).join('');
}

/** `undefined` for text that is too long or has a character outside the alphabet. */
export function decodeBase58(text: string): Uint8Array | undefined {
  if (text.length > MAX_TEXT_LENGTH) return undefined;
  const digits: number[] = [];
  for (const character of text) {
    const digit = DIGITS.get(character);
    if (digit === undefined) return undefined;
    digits.push(digit);
  }
  const zeros = leading(digits, 0);
  const tail = changeBase(digits.slice(zeros), 58, 256);
  const bytes = new Uint8Array(zeros + tail.length);
  bytes.set(tail, zeros);
  return bytes;
}

export type ParsedKey =
  | { readonly ok: true; readonly key: Uint8Array }
  | { readonly ok: false; readonly reason: string };

/** A 32-byte key from base58 or 64 hex digits. The reason is a phrase that continues "the key …". */
export function parseKey(text: string): ParsedKey {
  // 32 bytes of base58 have 32 to 44 characters, so 64 hex digits are never both.
  if (/^[0-9a-f]{64}$/i.test(text)) return { ok: true, key: new Uint8Array(Buffer.from(text, 'hex')) };
  if (text.length === 0) return { ok: false, reason: 'is empty' };
  if (text.length > MAX_TEXT_LENGTH) return { ok: false, reason: `has ${text.length} characters, which is too long` };
  const key = decodeBase58(text);
  if (key === undefined) {
    const bad = [...text].find((character) => !DIGITS.has(character)) ?? '';
    return { ok: false, reason: `has the character ${JSON.stringify(bad)}, which base58 does not have` };
  }
  if (key.length === KEY_LENGTH) return { ok: true, key };
  return { ok: false, reason: `has ${key.length} bytes instead of ${KEY_LENGTH}` };
}

function leading(values: ArrayLike<number>, wanted: number): number {
  let count = 0;
  while (count < values.length && values[count] === wanted) count++;
  return count;
}

/** Digits of a number, most significant first, from one base to another; no leading zeros come out. */
function changeBase(digits: Iterable<number>, from: number, to: number): number[] {
  const out: number[] = [];
  for (const digit of digits) {
    let carry = digit;
    for (let i = 0; i < out.length; i++) {
      carry += (out[i] ?? 0) * from;
      out[i] = carry % to;
      carry = Math.floor(carry / to);
    }
    for (; carry > 0; carry = Math.floor(carry / to)) out.push(carry % to);
  }
  return out.reverse();
}
