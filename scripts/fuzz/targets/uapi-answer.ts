/**
 * Answers of WireGuard (UAPI): in any pieces the same outcome and the same dump; an outcome stays; nothing follows it; numbers
 * are safe integers and lists bounded. Input: whether a dump is read, piece sizes, the answer.
 */
import fc from 'fast-check';
import {
  type AnswerOutcome,
  AnswerParser,
  type DumpSink,
  MAX_STATUS_BYTES,
} from '../../../src/registration/wireguard/uapi-answer.ts';
import { MAX_ALLOWED_IPS } from '../../../src/registration/wireguard/uapi-protocol.ts';
import { bytes, samples, text, u8, u16, words } from '../arbitraries.ts';
import { type FuzzTarget, oracle, sameValue } from '../target.ts';

const MAX_BYTES = 3_000;

interface Reading {
  readonly outcome: AnswerOutcome;
  readonly dump: readonly unknown[];
}

function read(answer: Uint8Array, dumps: boolean, sizes: Uint8Array): Reading {
  const dump: unknown[] = [];
  let over = false;
  const sink: DumpSink = {
    device: ({ privateKey, ownPublicKey, listenPort }) => {
      oracle(dump.length === 0 && !over, 'the device comes once, before the peers');
      oracle(listenPort >= 0 && listenPort <= 65_535, 'a port is one');
      dump.push([privateKey?.slice(), ownPublicKey?.slice(), listenPort]);
    },
    peer: ({ publicKey, presharedKey, allowedIps, keepaliveSeconds, received, sent }) => {
      oracle(dump.length > 0 && !over, 'peers come after the device');
      oracle(allowedIps.length <= MAX_ALLOWED_IPS + 1, 'allowed IPs are bounded');
      for (const value of [keepaliveSeconds, received, sent]) {
        oracle(Number.isSafeInteger(value) && value >= 0, () => `${value} is no count`);
      }
      dump.push([publicKey.slice(), presharedKey.slice(), [...allowedIps], keepaliveSeconds, received, sent]);
    },
  };
  const parser = dumps ? new AnswerParser(MAX_BYTES, sink) : new AnswerParser(MAX_STATUS_BYTES);
  let outcome: AnswerOutcome | undefined;
  for (let at = 0, turn = 0; at < answer.length; turn++) {
    const size = sizes.length === 0 ? answer.length : 1 + (sizes[turn % sizes.length] ?? 0);
    const told = parser.push(answer.subarray(at, at + size));
    if (outcome !== undefined) oracle(told === outcome, 'an outcome stays');
    outcome = told ?? outcome;
    over = outcome !== undefined;
    at += size;
  }
  const end = parser.end();
  if (outcome !== undefined) oracle(end === outcome, 'an outcome stays at the end');
  parser.wipe();
  return { outcome: end, dump };
}

function run(input: Uint8Array): void {
  const dumps = ((input[0] ?? 0) & 1) === 1;
  const count = (input[1] ?? 0) % 16;
  const sizes = input.subarray(2, 2 + count);
  const answer = input.subarray(2 + count);
  const whole = read(answer, dumps, new Uint8Array(0));
  const pieces = read(answer, dumps, sizes);
  // Too long a whole is seen at once, or only when the bound is passed.
  if (answer.length > (dumps ? MAX_BYTES : MAX_STATUS_BYTES)) return;
  sameValue(pieces, whole, 'in any pieces the same');
}

const hexKey = bytes(32).map((key) => Buffer.from(key).toString('hex'));
const peer = fc
  .record({ key: hexKey, psk: hexKey, ips: fc.nat(3), keepalive: u16, rx: fc.maxSafeNat(), tx: u16 })
  .map(({ key, psk, ips, keepalive, rx, tx }) =>
    [
      `public_key=${key}`,
      `preshared_key=${psk}`,
      'protocol_version=1',
      ...Array.from({ length: ips }, (_, i) => `allowed_ip=10.0.0.${i}/32`),
      `persistent_keepalive_interval=${keepalive}`,
      `last_handshake_time_sec=0`,
      `rx_bytes=${rx}`,
      `tx_bytes=${tx}`,
    ].join('\n'),
  );
const dumpText = fc
  .tuple(hexKey, u16, fc.array(peer, { maxLength: 3 }), fc.constantFrom('0', '-22', '98'))
  .map(([key, port, peers, errno]) =>
    [`private_key=${key}`, `listen_port=${port}`, ...peers, `errno=${errno}`, '', ''].join('\n'),
  );
const answers = fc
  .tuple(u8, fc.array(u8, { maxLength: 8 }), fc.oneof(dumpText, fc.constantFrom('errno=0\n\n', 'errno=-2\n\n')))
  .map(([flags, sizes, answer]) => Uint8Array.from([flags, sizes.length, ...sizes, ...text(answer)]));

export const targets: readonly FuzzTarget[] = [
  {
    name: 'uapi-answer',
    run,
    fresh: answers,
    seeds: () => samples(answers, 20),
    dictionary: words(
      'errno=',
      'errno=0\n\n',
      'public_key=',
      'private_key=',
      'own_public_key=',
      'allowed_ip=',
      'rx_bytes=',
      'tx_bytes=',
      'listen_port=',
      'preshared_key=',
      'persistent_keepalive_interval=',
      '18446744073709551615',
      '65536',
      '-',
      '=',
      '\n',
      '\n\n',
    ),
    maxLength: 3_200,
  },
];
