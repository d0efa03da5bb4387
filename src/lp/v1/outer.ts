/**
 * LP1's outer AEAD (lp1.md §1.3): ChaCha20-Poly1305 over version byte to end of content, the header as associated data,
 * nonce `LE64 counter ‖ 00000000` (the other way round than Noise and LP2 have it). One key serves both directions, so a
 * packet may be the receiver's own, sent back; whoever opens one has to reckon with that.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import { writeLe16 } from '../wire/bytes.ts';
import {
  CONTENT_OFFSET,
  HEADER_LENGTH,
  MIN_PACKET_LENGTH,
  TRAILER_LENGTH,
  VERSION_1,
  writeHeader,
} from '../wire/packet.ts';

/** Views into packets would cost the native provider more than these copies. Sealing and opening never interleave. */
const NONCE = new Uint8Array(12);
const HEADER = new Uint8Array(HEADER_LENGTH);

function load(packet: Uint8Array): void {
  for (let i = 0; i < HEADER_LENGTH; i++) HEADER[i] = packet[i] ?? 0;
  for (let i = 0; i < 8; i++) NONCE[i] = packet[4 + i] ?? 0;
}

/** A sealed packet. `content` is at most MAX_CONTENT_LENGTH bytes; the caller never gives a counter twice. */
export function sealOuter(
  crypto: CryptoProvider,
  key: Uint8Array,
  index: number,
  counter: number,
  type: number,
  content: Uint8Array,
): Uint8Array {
  const packet = new Uint8Array(MIN_PACKET_LENGTH + content.length);
  writeHeader(packet, index, counter);
  packet[HEADER_LENGTH] = VERSION_1;
  writeLe16(packet, HEADER_LENGTH + 4, type);
  packet.set(content, CONTENT_OFFSET);
  load(packet);
  const plaintext = packet.subarray(HEADER_LENGTH, packet.length - TRAILER_LENGTH);
  crypto.aeadSeal(packet.subarray(HEADER_LENGTH), plaintext, HEADER, NONCE, key);
  return packet;
}

/**
 * Opens in place: afterwards version, type and content can be read as from an unsealed packet. False for a wrong tag,
 * and then the packet is zero behind its header: to try another key, take a copy.
 */
export function openOuter(crypto: CryptoProvider, key: Uint8Array, packet: Uint8Array): boolean {
  load(packet);
  const plaintext = packet.subarray(HEADER_LENGTH, packet.length - TRAILER_LENGTH);
  return crypto.aeadOpen(plaintext, packet.subarray(HEADER_LENGTH), HEADER, NONCE, key);
}
