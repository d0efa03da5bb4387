/**
 * KKT of LP1 (lp1.md §4): both providers give the same answer to any request, an answer is good for the request that it
 * answers alone, and no changed answer is taken. Input: how to sign, then the request's context, session id and the rest.
 */

import { answerKktRequest, checkKktResponse, encodeKktRequest } from '../../../src/lp/v1/kkt.ts';
import { concat } from '../../../src/lp/wire/bytes.ts';
import { CLIENT, GATEWAY, PROVIDERS } from '../../../test/lp/v1/people.ts';
import { words } from '../arbitraries.ts';
import { type FuzzTarget, oracle, providersFor, sameBytes } from '../target.ts';

const [native, portable] = PROVIDERS;
const KEYS = { clientEd25519: CLIENT.ed25519, gatewaySeed: GATEWAY.seed, gatewayX25519: GATEWAY.x25519 };
const EXPECTED = { gatewayEd25519: GATEWAY.ed25519, gatewayX25519: GATEWAY.x25519 };
const SIGNED_LENGTH = 23;
const RESPONSE_LENGTH = 119;

function request(input: Uint8Array): void {
  const message = input.subarray(1);
  const signed = (input[0] ?? 0) % 2 === 1;
  const content = signed ? concat(message, native.ed25519Sign(CLIENT.seed, message)) : message;
  const answer = answerKktRequest(native, content, KEYS);
  const [, second] = providersFor(input, [native, portable]);
  const other = answerKktRequest(second, content, KEYS);
  oracle((answer === undefined) === (other === undefined), 'both providers answer, or neither does');
  if (answer === undefined || other === undefined) return;
  sameBytes(other, answer, 'both providers give one answer');
  oracle(answer.length === RESPONSE_LENGTH, 'an answer has one length');
  const sessionId = content.slice(7, SIGNED_LENGTH);
  const strange = sessionId.map((byte) => byte ^ 1);
  oracle(!checkKktResponse(native, answer, { ...EXPECTED, sessionId: strange }), 'an answer to another request');
}

/** Input: a response, by bytes that are xored into the genuine one and what follows it. */
function response(input: Uint8Array): void {
  const sessionId = new Uint8Array(16).fill(7);
  const genuine = answerKktRequest(native, encodeKktRequest(native, sessionId, CLIENT.seed), KEYS);
  oracle(genuine !== undefined, 'the genuine request is answered');
  const changed = Uint8Array.from(genuine, (byte, i) => byte ^ (input[i] ?? 0));
  const content = concat(changed, input.subarray(genuine.length));
  const verdicts = providersFor(input, [native, portable]).map((crypto) =>
    checkKktResponse(crypto, content, { ...EXPECTED, sessionId }),
  );
  oracle(verdicts[0] === verdicts[1], 'both providers judge alike');
  oracle(verdicts[0] === (Buffer.compare(content, genuine) === 0), 'the genuine answer and nothing else is taken');
}

const sessionId = new Uint8Array(16).fill(5);
const seeds = () => [
  Uint8Array.from([1, ...encodeKktRequest(native, sessionId, undefined)]),
  Uint8Array.from([0, ...encodeKktRequest(native, sessionId, undefined)]),
  Uint8Array.from([1, ...encodeKktRequest(native, sessionId, CLIENT.seed).subarray(0, SIGNED_LENGTH)]),
  Uint8Array.from([0, ...encodeKktRequest(native, sessionId, CLIENT.seed)]),
];
const dictionary = words([0x10, 0x00, 0xff], [0x10, 0x02, 0xff], [0x1e], [0x1f], [0x04], [0x80], [0, 0x20, 0], [0x01]);

export const targets: readonly FuzzTarget[] = [
  { name: 'v1-kkt-request', run: request, seeds, dictionary, maxLength: 1_400, batch: 64 },
  {
    name: 'v1-kkt-response',
    run: response,
    seeds: () => [new Uint8Array(0), new Uint8Array(120), new Uint8Array(119).fill(1, 118)],
    maxLength: 130,
    batch: 64,
  },
];
