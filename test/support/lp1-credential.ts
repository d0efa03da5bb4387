/**
 * A credential of LP1 (lp1.md §2.7) in the form of a genuine one with one ticket, and worth nothing. It is written field
 * by field from the specification, not from the layout that the code under test walks.
 */

export interface MockCredentialOptions {
  /** Every byte of every element. */
  readonly fill?: number;
  /** Elements of each vector. */
  readonly vectorLength?: number;
  readonly ticketType?: number;
}

function le(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => (i < 4 ? (value >>> (8 * i)) & 0xff : 0));
}

export function mockCredential(options: MockCredentialOptions = {}): Uint8Array {
  const { fill = 0x5a, vectorLength = 1, ticketType = 2 } = options;
  const sized = (length: number) => [...le(length, 8), ...new Array<number>(length).fill(fill)];
  const g1 = sized(48);
  const g2 = sized(96);
  const scalar = sized(32);
  const sig = [...g1, ...g1];
  const vec = (item: readonly number[]) => [
    ...le(vectorLength, 8),
    ...Array.from({ length: vectorLength }, () => item).flat(),
  ];
  const payment = [
    ...[g2, g2, sig, sig].flat(), // kappa, kappa_e, sig, sig_exp
    ...[vec(g2), vec(sig), vec(g1), vec(g1), vec(g1)].flat(), // kappa_k, omega, ss, tt, aa
    ...le(1, 8), // spend_value
    ...g1, // cc
    ticketType,
  ];
  const proof = [
    ...[scalar, scalar, scalar].flat(), // challenge, response_r, response_r_e
    ...[vec(scalar), vec(scalar), vec(scalar)].flat(), // responses_r_k, responses_l, responses_o_a
    ...scalar, // response_o_c
    ...[vec(scalar), vec(scalar), vec(scalar)].flat(), // responses_mu, responses_o_mu, responses_attributes
  ];
  const payInfo = sized(72);
  const spendDate = [...le(2026, 4), ...le(331, 2)];
  return Uint8Array.from([...payment, ...proof, ...payInfo, ...spendDate, ...le(7, 8)]);
}
