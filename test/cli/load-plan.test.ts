/** What `lewes load` makes of its options, and what it refuses before anything is sent. */

import test from 'ava';
import { Command } from 'commander';
import { UsageError } from '../../src/cli/exit.ts';
import { register } from '../../src/cli/load.ts';
import { type LoadTask, planLoad } from '../../src/cli/load-plan.ts';
import type { LoadFlags } from '../../src/cli/load-shape.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';

const crypto = await loadProvider('auto');
const KEY = 'GhL8CN9Pjvx1Xr3SVbCfQmHMKtqJmdUDJNvcfY9Wi1pW';

/** As the command line reads them, defaults included. */
function plan(args: readonly string[]): LoadTask {
  const program = new Command().exitOverride();
  register(program);
  const command = program.commands[0]!;
  let task: LoadTask | undefined;
  command.action((target: string, flags: LoadFlags) => {
    task = planLoad(target, flags, crypto);
  });
  program.parse(['load', ...args], { from: 'user' });
  return task!;
}

const OWN = ['127.0.0.1:41264', '--identity', KEY];
const WRONG: readonly (readonly [what: string, args: readonly string[], says: RegExp])[] = [
  ['a target that is not on this machine', ['192.0.2.1:41264', '--identity', KEY], /attack.*--i-own-this-node/],
  ['an entry that is not', [...OWN, '--scenario', 'forward', '--via', `192.0.2.1:1/${KEY}`], /--i-own-this-node/],
  ['a name instead of an address', ['example.net:41264', '--identity', KEY], /IP/i],
  ['no identity', ['127.0.0.1:41264'], /--identity/],
  ['a key that is none', ['127.0.0.1:41264', '--identity', 'abc'], /--identity/],
  ['an unknown scenario', [...OWN, '--scenario', 'dance'], /handshake, echo/],
  ['both loops', [...OWN, '--rate', '5', '--clients', '5'], /open loop.*closed/],
  ['weights without mixed', [...OWN, '--mix', 'echo=1'], /--scenario mixed/],
  ['mixed without weights', [...OWN, '--scenario', 'mixed'], /--mix/],
  ['a weight of nothing', [...OWN, '--scenario', 'mixed', '--mix', 'dance=1'], /dance/],
  ['no weight above zero', [...OWN, '--scenario', 'mixed', '--mix', 'echo=0'], /above 0/],
  ['forward without an entry', [...OWN, '--scenario', 'forward'], /--via/],
  ['an entry without forward', [...OWN, '--via', `127.0.0.1:1/${KEY}`], /--scenario forward/],
  ['LP1 with echoes', [...OWN, '--scenario', 'echo', '--protocol', '1'], /LP1 has no echo/],
  ['kept connections in LP2', [...OWN, '--keep-connections'], /LP1/],
  ['tokens without registrations', [...OWN, '--token-file', 'x'], /register/],
  ['too few sessions to rekey', [...OWN, '--scenario', 'rekey', '--rate', '10', '--sessions', '50'], /at least 100/],
  ['sessions of a closed loop', [...OWN, '--scenario', 'echo', '--sessions', '50'], /closed loop/],
  ['sources for a target that is not 127.0.0.0/8', ['[::1]:41264', '--identity', KEY, '--sources', '5'], /127.0.0.0/],
  ['a rate that is no number', [...OWN, '--rate', 'fast'], /--rate/],
  ['unknown arrivals', [...OWN, '--rate', '5', '--arrivals', 'late'], /poisson or fixed/],
  ['a protocol with a plan of its own', [...OWN, '--protocol', 'nym'], /nym/],
];

for (const [what, args, says] of WRONG) {
  test(`refused: ${what}`, (t) => {
    const error = t.throws(() => plan(args), { instanceOf: UsageError });
    t.regex(`${error?.message}. ${error?.remedy}`, says);
  });
}

test('without options it is a closed loop of 16 clients for 10 s, fewer than a gateway admits at once', (t) => {
  const { plan: made, maxErrorShare } = plan(OWN);
  t.like(made, { protocol: 2, mix: { handshake: 1 }, timeoutMs: 10_000, sessions: 16, maxInFlight: 10_000 });
  t.like(made.facts, {
    target: '127.0.0.1:41264',
    identity: KEY,
    scenario: 'handshake',
    loop: { kind: 'closed', clients: 16, thinkMs: 0 },
    rampSeconds: 0,
    warmUpSeconds: 1,
    durationSeconds: 10,
    sources: 1,
    payloadBytes: 256,
  });
  t.true(made.facts.threads >= 1);
  t.is(maxErrorShare, 0.01);
});

test('a rate makes the loop open, with Poisson arrivals unless they are to be fixed', (t) => {
  t.deepEqual(plan([...OWN, '--rate', '2.5']).plan.facts.loop, { kind: 'open', arrivals: 'poisson', rate: 2.5 });
  const fixed = plan([...OWN, '--rate', '100', '--arrivals', 'fixed']).plan.facts.loop;
  t.deepEqual(fixed, { kind: 'open', arrivals: 'fixed', rate: 100 });
});

test('a load that rekeys has ten sessions and some more for each rekeying per second', (t) => {
  t.is(plan([...OWN, '--scenario', 'rekey', '--rate', '20']).plan.sessions, 260);
  const mixed = ['--scenario', 'mixed', '--mix', 'echo=90,rekey=10', '--rate', '100'];
  t.is(plan([...OWN, ...mixed]).plan.sessions, 130);
  t.is(plan([...OWN, '--scenario', 'echo', '--rate', '500']).plan.sessions, 16);
});

test('a target elsewhere is taken from its owner, and an entry with its key', (t) => {
  t.is(plan(['192.0.2.1:41264', '--identity', KEY, '--i-own-this-node']).plan.target.host, '192.0.2.1');
  const forward = plan([...OWN, '--scenario', 'forward', '--via', `[::1]:41265/${KEY}`]).plan;
  t.like(forward.via, { host: '::1', port: 41_265 });
  t.is(forward.facts.via, `[::1]:41265/${KEY}`);
});
