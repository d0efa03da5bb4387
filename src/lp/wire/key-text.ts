/**
 * Keys of 32 bytes as texts: base64 in LP1's requests (lp1.md §2.6), base58 in its responses (§2.8) and for a gateway's
 * identity in challenges (registration.md). Decoding is strict: every key has exactly one text in each, any other text gives `undefined`.
 */
const KEY_LENGTH = 32;
const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

export const KEY_BASE64_LENGTH = 44;
/** 32 zero bytes have 32 characters. */
export const KEY_BASE58_LENGTH = { min: 32, max: 44 } as const;

export function keyToBase64(key: Uint8Array): string {
  return btoa(String.fromCharCode(...key));
}

export function keyFromBase64(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) return undefined;
  const key = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  // The last digit has two bits to spare, and they are zero in one spelling only.
  return keyToBase64(key) === text ? key : undefined;
}

export function keyToBase58(key: Uint8Array): string {
  let value = 0n;
  for (const byte of key) value = value * 256n + BigInt(byte);
  let text = '';
  for (; value > 0n; value /= 58n) text = BASE58.charAt(Number(value % 58n)) + text;
  const zeros = key.findIndex((byte) => byte !== 0);
  return '1'.repeat(zeros < 0 ? key.length : zeros) + text;
}

export function keyFromBase58(text: string): Uint8Array | undefined {
  if (text.length < KEY_BASE58_LENGTH.min || text.length > KEY_BASE58_LENGTH.max) return undefined;
  let value = 0n;
  for (const character of text) {
    const digit = BASE58.indexOf(character);
    if (digit < 0) return undefined;
    value = value * 58n + BigInt(digit);
  }
  const key = new Uint8Array(KEY_LENGTH);
  for (let i = KEY_LENGTH - 1; i >= 0; i--, value >>= 8n) key[i] = Number(value & 0xffn);
  // Another number of leading ones would be a key of another length.
  return value === 0n && keyToBase58(key) === text ? key : undefined;
}
