/**
 * The Noise messages of both versions: raw ones, and the genuine ones with bytes changed. A read that fails leaves the state
 * good for the genuine message, both providers agree, and nothing but the genuine message is read. Input: which message,
 * then bytes that are xored into it, and what follows it.
 */

import type { CryptoProvider } from '../../../src/lp/crypto/provider.ts';
import { XkInitiatorV1, XkResponderV1 } from '../../../src/lp/v1/noise-xk.ts';
import { XkInitiator, XkResponder } from '../../../src/lp/v2/noise-xk.ts';
import { concat } from '../../../src/lp/wire/bytes.ts';
import { CLIENT, GATEWAY, PROVIDERS } from '../../../test/lp/v1/people.ts';
import { type FuzzTarget, oracle, providersFor } from '../target.ts';

const [NATIVE, PORTABLE] = PROVIDERS;
const PAIR = [NATIVE, PORTABLE] as const;
const PSK = new Uint8Array(32).fill(8);
const PROLOGUE = new Uint8Array(20).fill(6);
const PAYLOAD = new Uint8Array(14).fill(4);

/** The three messages in order: `write` makes the genuine one, `read` says whether a message was read. */
interface Exchange {
  readonly write: () => Uint8Array | undefined;
  readonly read: (message: Uint8Array) => boolean;
}

const secret = (fill: number) => new Uint8Array(32).fill(fill);

function exchangesV1(crypto: CryptoProvider): Exchange[] {
  const initiator = new XkInitiatorV1(crypto, CLIENT.secret, GATEWAY.x25519, secret(1));
  let responder = new XkResponderV1(crypto, GATEWAY.x25519);
  return [
    {
      write: () => initiator.writeMessage1(),
      read: (message) => {
        // After a failure the state is of no more use, and the record makes a new one.
        responder = new XkResponderV1(crypto, GATEWAY.x25519);
        return responder.readMessage1(message, GATEWAY.secret);
      },
    },
    { write: () => responder.writeMessage2(secret(2)), read: (message) => initiator.readMessage2(message) },
    {
      write: () => initiator.writeMessage3(PSK)?.message,
      read: (message) => responder.readMessage3(message, PSK) !== undefined,
    },
  ];
}

function exchangesV2(crypto: CryptoProvider): Exchange[] {
  const initiator = new XkInitiator(crypto, PROLOGUE, CLIENT.secret, GATEWAY.x25519, secret(1));
  let responder = new XkResponder(crypto, PROLOGUE, GATEWAY.x25519);
  return [
    {
      write: () => initiator.writeMessage1(PAYLOAD),
      read: (message) => {
        responder = new XkResponder(crypto, PROLOGUE, GATEWAY.x25519);
        return responder.readMessage1(message, GATEWAY.secret) !== undefined;
      },
    },
    {
      write: () => responder.writeMessage2(secret(2), PSK, PAYLOAD),
      read: (message) => initiator.readMessage2(message, PSK, () => true) !== undefined,
    },
    {
      write: () => initiator.writeMessage3(PAYLOAD),
      read: (message) => responder.readMessage3(message) !== undefined,
    },
  ];
}

function play(exchanges: readonly Exchange[], which: number, change: Uint8Array): void {
  for (const [i, { write, read }] of exchanges.entries()) {
    const genuine = write();
    oracle(genuine !== undefined, `message ${i + 1} is written`);
    if (i === which) {
      const xored = Uint8Array.from(genuine, (byte, at) => byte ^ (change[at] ?? 0));
      const cut = change[change.length - 1] === 0xfe ? xored.subarray(0, change.length % (genuine.length + 1)) : xored;
      const changed = concat(cut, change.subarray(genuine.length));
      const same = Buffer.compare(changed, genuine) === 0;
      const wasRead = read(changed);
      oracle(wasRead === same, `message ${i + 1}: read ${wasRead}, genuine ${same}`);
      if (same) continue;
    }
    oracle(read(genuine), `the genuine message ${i + 1} is read`);
  }
}

function target(name: string, exchanges: (crypto: CryptoProvider) => Exchange[]): FuzzTarget {
  return {
    name,
    run: (input) => {
      for (const crypto of new Set(providersFor(input, PAIR)))
        play(exchanges(crypto), (input[0] ?? 0) % 3, input.subarray(1));
    },
    seeds: () =>
      [0, 1, 2].flatMap((which) => [Uint8Array.of(which), Uint8Array.of(which, 1), Uint8Array.of(which, 0, 0xfe)]),
    maxLength: 130,
    batch: 16,
  };
}

export const targets: readonly FuzzTarget[] = [target('v1-noise', exchangesV1), target('v2-noise', exchangesV2)];
