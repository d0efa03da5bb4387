/** Faults that lie behind conditions: each step towards one shows in the coverage, and nothing else does. */

/** "LWS!" and a length that lies: four bytes in a row that random bytes never are. */
export function decodeMagic(input: Uint8Array): void {
  if (input.length < 6) {
    return;
  }
  if (input[0] !== 0x4c) {
    return;
  }
  if (input[1] !== 0x57) {
    return;
  }
  if (input[2] !== 0x53) {
    return;
  }
  if (input[3] === 0x21) {
    readBody(input.subarray(4));
  }
}

function readBody(body: Uint8Array): void {
  if ((body[0] ?? 0) > body.length - 1) throw new RangeError(`a body of ${body[0]} bytes has ${body.length - 1}`);
}

export function spinFor(input: Uint8Array): void {
  if (input[0] !== 0xff) return;
  if (input[1] === 0xff) for (;;);
}

/** The length is believed before it is compared. */
export function growForEver(input: Uint8Array): void {
  if (input[0] !== 0xff) return;
  const taken: number[][] = [];
  for (let i = (input[1] ?? 0) * 10; i > 0; i--) taken.push(new Array<number>(1_000_000).fill(i / 3));
}
