import test from 'ava';
import { planNymProbe } from '../../src/cli/nym-probe-plan.ts';
import { refuseNymFlags } from '../../src/cli/probe-flags.ts';
import { nymFlags } from './nym-flags.ts';

const KEY = 'ab'.repeat(32);
const HAND = ['--lp-key', KEY, '--kem-digest', KEY];
const plan = (address: string, ...args: string[]) => planNymProbe(address, nymFlags(args));
const AT = '203.0.113.7:41264';

test('by default a probe goes as far as it costs nothing, and no further', (t) => {
  t.is(plan(AT, ...HAND).extent, 'initial');
  t.is(plan(AT, ...HAND, '--handshake-only').extent, 'handshake');
  t.is(plan(AT, ...HAND, '--register', '--credential-file', 'x').extent, 'finalise');
  t.true(plan(AT, ...HAND, '--register', '--mock-credential').mockCredential);
});

test('an announcement is looked for where nodes serve it, unless its place is named', (t) => {
  const { data } = plan('[2001:db8::1]:41264', '--identity', KEY).target;
  t.deepEqual(data, {
    kind: 'announced',
    from: ['http://[2001:db8::1]:8080', 'https://[2001:db8::1]', 'http://[2001:db8::1]'].map(
      (base) => `${base}/api/v1/lewes-protocol`,
    ),
  });
  const named = plan('node.example', '--identity', KEY, '--announcement', 'node.json').target;
  t.deepEqual(named.data, { kind: 'announced', from: ['node.json'] });
});

test('an entry is named with its identity, or by hand without it', (t) => {
  const { via, target } = plan(AT, '--identity', KEY, '--via', `198.51.100.3:41264/${KEY}`);
  t.is(target.hop, 'exit');
  t.like(via, { hop: 'entry', address: '198.51.100.3:41264' });
  t.is(via?.identity?.length, 32);
  const bare = plan(AT, ...HAND, '--via', '198.51.100.3:41264', '--via-lp-key', KEY, '--via-kem-digest', KEY);
  t.is(bare.via?.identity, undefined);
  t.is(bare.via?.data.kind, 'given');
});

for (const [what, told, args] of [
  ['neither identity nor keys', /know the node by something/, []],
  ['an entry without identity and keys', /know the entry by something/, [...HAND, '--via', AT]],
  ['an option of other protocols', /--rekey does not go with --protocol nym/, [...HAND, '--rekey']],
  ['a token', /--token-file does not go/, [...HAND, '--token-file', 'x']],
  ['registering without a credential', /spends a credential at every node/, [...HAND, '--register']],
  ['a credential without registering', /spends a credential/, [...HAND, '--credential-file', 'x']],
  [
    'two credentials',
    /either mock or from a file/,
    [...HAND, '--register', '--mock-credential', '--credential-file', 'x'],
  ],
  ['both ways to go', /exclude each other/, [...HAND, '--register', '--mock-credential', '--handshake-only']],
  ['an option of an entry without one', /--via-lp-key is for an entry/, [...HAND, '--via-lp-key', KEY]],
  ['half of what an announcement says', /what an announcement says/, ['--lp-key', KEY]],
  ['a digest that is none', /KEM digest is not 64 hex digits/, ['--lp-key', KEY, '--kem-digest', 'x']],
  ['a key that is none', /the LP key has the character/, ['--lp-key', '0', '--kem-digest', KEY]],
] as const) {
  test(`${what} is refused before anything is sent`, (t) => {
    t.throws(() => plan(AT, ...args), { code: 'ERR_USAGE', message: told });
  });
}

test('an address without a port needs an announcement', (t) => {
  t.throws(() => plan('nowhere', ...HAND), { code: 'ERR_USAGE', message: /not host:port/ });
});

test('options of nym are refused with the other protocols', (t) => {
  t.throws(() => refuseNymFlags({ handshakeOnly: true }), { message: /--handshake-only is for --protocol nym/ });
  t.notThrows(() => refuseNymFlags({}));
});
