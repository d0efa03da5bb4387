/**
 * Registration bodies through a registrar with its store and WireGuard in memory: hostile bytes and valid requests in any
 * order, with time in between. It never rejects, never reports a mistake of its own, answers in its own form, and its books
 * agree with its store. Input: steps of `op ‖ length ‖ body`.
 */
import fc from 'fast-check';
import {
  decodeAnswer,
  decodeRequest,
  encodeRequest,
  type RequestBody,
} from '../../../src/lp/wire/registration-body.ts';
import { client, createFixture, type Fixture, PRICED, token } from '../../../test/registration/fixture.ts';
import { samples, words } from '../arbitraries.ts';
import { Tape } from '../tape.ts';
import { type FuzzTarget, oracle } from '../target.ts';

const MAX_STEPS = 40;
const SOURCES = ['198.51.100.7', '198.51.100.8', '2001:db8::/64'];

async function run(input: Uint8Array): Promise<void> {
  const tape = new Tape(input);
  const free = tape.chance(0.3);
  const small = { ipv4: { cidr: '10.9.0.0/29' }, registrationsLimit: 6 };
  const fixture = createFixture(small, free ? {} : { verifier: PRICED });
  for (let step = 0; step < MAX_STEPS && !tape.ended; step++) await act(fixture, tape);
  await fixture.registrar.sweep();
  await checkBooks(fixture);
  await fixture.registrar.close();
  oracle(fixture.faults.length === 0, () => `faults: ${fixture.faults.map(({ error }) => String(error)).join()}`);
}

async function act(fixture: Fixture, tape: Tape): Promise<void> {
  const op = tape.below(16);
  if (op === 0) fixture.now += tape.pick([1, 100, 3_700, 90_000]);
  else if (op === 1) await fixture.registrar.sweep();
  else if (op === 2) fixture.registrar.peersLost();
  else {
    const body = tape.take(tape.below(256) + (op === 3 ? 256 : 0));
    const request = { source: tape.pick(SOURCES), family: `family ${tape.below(3)}`, quotesAllowed: 2 };
    const decoded = decodeRequest(body);
    const outcome = await fixture.registrar.handle({ body, ...request });
    if (outcome.kind === 'answer') oracle(decodeAnswer(outcome.body).kind === 'value', 'an answer has its form');
    else oracle(outcome.code === 1, 'nothing but a malformed body is a failure');
    oracle(
      (outcome.kind === 'failure') === (decoded.kind === 'malformed'),
      'a malformed body, and no other, is a failure',
    );
  }
}

async function checkBooks({ registrar, store, wireguard }: Fixture): Promise<void> {
  const addresses: string[] = [];
  let peers = 0;
  for await (const registration of store.registrations()) {
    if (registration.mode !== 'dvpn') continue;
    addresses.push(registration.addresses.ipv4.join('.'));
    if (registration.phase.kind !== 'grace') peers++;
    registration.presharedKey.wipe();
  }
  oracle(new Set(addresses).size === addresses.length, 'an address was leased twice');
  const { leases, registrations } = registrar.status();
  oracle(leases.ipv4.allocated === addresses.length, () => `${leases.ipv4.allocated} of ${addresses.length} allocated`);
  oracle(registrations.dvpn.active === peers && wireguard.size === peers, () => `${wireguard.size} of ${peers} peers`);
}

const requests = fc
  .tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom('t1', 't2', 'bad', undefined), fc.nat(5), fc.boolean())
  .map(([name, paid, op, own]): RequestBody => {
    const one = client(name, own ? name : 'mallory');
    const credential = paid === undefined ? undefined : token(paid);
    const all = [one.quote(), one.register(credential), one.finalise(credential), one.topup(credential), one.balance()];
    return all[op] ?? one.release();
  });
const programs = fc.array(requests, { minLength: 1, maxLength: 7 }).map((list) =>
  Uint8Array.from([
    200,
    ...list.flatMap((request) => {
      const body = encodeRequest(request);
      return [4, Math.min(255, body.length), ...body.subarray(0, 255), 0, 0];
    }),
  ]),
);

export const targets: readonly FuzzTarget[] = [
  {
    name: 'registration-registrar',
    run,
    fresh: programs,
    seeds: () => samples(programs, 16),
    dictionary: words(
      'quote',
      'register',
      'finalise',
      'topup',
      'balance',
      'release',
      'dvpn',
      'mixnet',
      [0xc4, 0x20],
      [0, 3],
      [1],
    ),
    maxLength: 2_048,
    batch: 64,
    weight: 2,
  },
];
