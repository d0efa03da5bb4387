/** How many handshakes and sessions of Nym's a shard holds, told in shared memory after each batch: its statistics have no such gauge. */

export function makeStreamCount(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

export function countStreams(memory: SharedArrayBuffer, count: number): void {
  Atomics.store(new Int32Array(memory), 0, count);
}

export function streamsIn(memory: SharedArrayBuffer): number {
  return Atomics.load(new Int32Array(memory), 0);
}
