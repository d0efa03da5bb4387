/** An Ed25519 signature of 64 bytes as base58 text, as announcements have it (nym.md §3.2). Strict: one text per signature. */
import { keyToBase58 } from '../wire/key-text.ts';

const SIGNATURE_LENGTH = 64;
const MAX_TEXT_LENGTH = 88;
const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

export function signatureFromBase58(text: string): Uint8Array | undefined {
  if (text.length < SIGNATURE_LENGTH || text.length > MAX_TEXT_LENGTH) return undefined;
  let value = 0n;
  for (const character of text) {
    const digit = BASE58.indexOf(character);
    if (digit < 0) return undefined;
    value = value * 58n + BigInt(digit);
  }
  const signature = new Uint8Array(SIGNATURE_LENGTH);
  for (let i = SIGNATURE_LENGTH - 1; i >= 0; i--, value >>= 8n) signature[i] = Number(value & 0xffn);
  return value === 0n && keyToBase58(signature) === text ? signature : undefined;
}
