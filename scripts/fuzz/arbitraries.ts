/** Building stones of fresh inputs, and seeds drawn from them: the same ones every time. */
import fc from 'fast-check';

export const bytes = (min: number, max = min) => fc.uint8Array({ minLength: min, maxLength: max });
export const u8 = fc.integer({ min: 0, max: 0xff });
export const u16 = fc.integer({ min: 0, max: 0xffff });
export const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
export const u53 = fc.maxSafeNat();
/** As a decoder of packets sees them in a Forward. */
export const packets = (min: number) => fc.array(bytes(34, 90), { minLength: min, maxLength: 4 });

const SEED = 1;

export function samples(arbitrary: fc.Arbitrary<Uint8Array>, count = 12): Uint8Array[] {
  return fc.sample(arbitrary, { seed: SEED, numRuns: count });
}

export function text(value: string): Uint8Array {
  return Uint8Array.from(Buffer.from(value));
}

export function words(...values: readonly (string | readonly number[])[]): Uint8Array[] {
  return values.map((value) => (typeof value === 'string' ? text(value) : Uint8Array.from(value)));
}

export function utf8(input: Uint8Array): string {
  return Buffer.from(input.buffer, input.byteOffset, input.length).toString();
}
