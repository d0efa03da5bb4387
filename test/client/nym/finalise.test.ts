import test from 'ava';
import { registerNym } from '../../../src/client/index.ts';
import { NYM_FAILURE_TEXT } from '../../../src/lp/nym/registration.ts';
import { SteppedTime } from '../../support/stepped-time.ts';
import { errorOf, hopAt, nodeFor, optionsFor, wallet } from './fixture.ts';

test('a Finalise whose answer is lost is learnt of by Initial on a fresh connection, and not paid again', async (t) => {
  const node = await nodeFor(t);
  let lost = 0;
  node.reply = (kind, bytes, n) => (kind === 'packet' && n === 3 && lost++ === 0 ? [] : [bytes]);
  node.closeAfter = (kind, n) => kind === 'packet' && n === 3 && lost === 1;
  const credentials = wallet();
  const { entry } = await registerNym(optionsFor(node.data(), { credentials }));
  t.like(entry, { ipv4: '10.1.0.5', paid: true, confirmedByInitial: true });
  t.is(credentials.asked.length, 1);
  t.is(node.spent.length, 1);
  t.deepEqual(node.requests, ['initial', 'finalise', 'initial']);
  t.deepEqual(credentials.outcomes, ['direct accepted']);
});

test('a Finalise that is answered too late is given up in time, and learnt of likewise', async (t) => {
  const time = new SteppedTime();
  const node = await nodeFor(t, { clock: time.clock });
  let held: Uint8Array | undefined;
  node.reply = (kind, bytes, n) => {
    if (kind !== 'packet' || n !== 3 || held !== undefined) return [bytes];
    held = bytes;
    return [];
  };
  const credentials = wallet();
  const options = optionsFor(node.data(), { credentials, clock: time.clock, timers: time });
  const startMs = time.nowMs;
  const { entry } = await time.drive(registerNym(options), 1_000);
  t.true(entry.confirmedByInitial);
  t.true(time.nowMs - startMs >= 30_000 && time.nowMs - startMs < 40_000);
  t.is(node.accepted, 2);
  t.is(credentials.asked.length, 1);
});

test('a Finalise that never arrived is sent again with the same credential', async (t) => {
  const node = await nodeFor(t);
  let swallowed = 0;
  node.register = ({ kind }) => {
    if (kind !== 'finalise' || swallowed++ > 0) return undefined;
    node.breakConnections();
    return { kind: 'credential_required' };
  };
  const credentials = wallet();
  const { entry } = await registerNym(optionsFor(node.data(), { credentials }));
  t.like(entry, { paid: true, confirmedByInitial: false });
  t.is(credentials.asked.length, 1);
  t.deepEqual(node.requests, ['initial', 'finalise', 'initial', 'finalise']);
});

test('a repeated Finalise that overtook its own success is settled by one more Initial', async (t) => {
  const node = await nodeFor(t);
  const key = Buffer.from(new Uint8Array(32).fill(0x11)).toString('hex');
  let finalised = 0;
  let late: (() => void) | undefined;
  node.register = ({ kind }) => {
    if (kind !== 'finalise') return undefined;
    if (finalised++ === 0) {
      // Executed later than the Initial that asks for it.
      late = () => node.registered.set(key, TUNNEL);
      node.breakConnections();
      return { kind: 'credential_required' };
    }
    late?.();
    return { kind: 'failed', mode: 'dvpn', text: 'LP registration has failed: credential verification failed' };
  };
  const { entry } = await registerNym(optionsFor(node.data(), { credentials: wallet() }));
  t.true(entry.paid && entry.confirmedByInitial);
  t.deepEqual(node.requests, ['initial', 'finalise', 'initial', 'finalise', 'initial']);
});

test('when nobody says what became of a credential, the error does, and so does the wallet', async (t) => {
  const node = await nodeFor(t);
  let finalised = false;
  node.register = ({ kind }) => {
    if (kind === 'finalise') finalised = true;
    if (finalised) node.breakConnections();
    return undefined;
  };
  const credentials = wallet();
  const error = await errorOf(t, registerNym(optionsFor(node.data(), { credentials, finaliseRepeats: 1 })));
  t.like(error, { code: 'outcome_unknown', step: 'finalise' });
  t.is(credentials.asked.length, 1);
  await Promise.resolve();
  t.deepEqual(credentials.outcomes, ['direct unknown']);
});

test('a node that has forgotten the Initial is asked again, on the same connection', async (t) => {
  const node = await nodeFor(t);
  let once = true;
  node.register = ({ kind }) => {
    if (kind !== 'finalise' || !once) return undefined;
    once = false;
    return { kind: 'failed', mode: 'dvpn', text: NYM_FAILURE_TEXT.notInProgress };
  };
  const credentials = wallet();
  const { entry } = await registerNym(optionsFor(node.data(), { credentials }));
  t.true(entry.paid);
  t.is(node.accepted, 1);
  t.is(credentials.asked.length, 1);
});

test('a node that wants a credential for ever gets it a bounded number of times', async (t) => {
  const node = await nodeFor(t);
  node.register = ({ kind }) =>
    kind === 'initial' ? undefined : { kind: 'failed', mode: 'dvpn', text: NYM_FAILURE_TEXT.notInProgress };
  const credentials = wallet();
  const error = await errorOf(t, registerNym(optionsFor(node.data(), { credentials })));
  t.like(error, { code: 'refused', reason: 'unpaid' });
  t.true(node.requests.length < 12);
  t.is(credentials.asked.length, 1);
});

test('a refused credential is told in the words of the node, and ends it', async (t) => {
  const node = await nodeFor(t);
  node.register = ({ kind }) =>
    kind === 'initial'
      ? undefined
      : {
          kind: 'failed',
          mode: 'dvpn',
          text: 'LP registration has failed: credential verification failed: \u001b[31mno',
        };
  const credentials = wallet();
  const error = await errorOf(t, registerNym(optionsFor(node.data(), { credentials })));
  t.like(error, { code: 'refused', step: 'finalise' });
  t.regex(error.message, /it says: LP registration has failed: credential verification failed: \[31mno/);
  await Promise.resolve();
  t.deepEqual(credentials.outcomes, ['direct refused']);
});

test('an exit that is paid stays known when the entry fails', async (t) => {
  const [entryNode, exitNode] = [await nodeFor(t), await nodeFor(t, { fill: 0x51 })];
  entryNode.register = () => ({ kind: 'failed', mode: 'dvpn', text: NYM_FAILURE_TEXT.tryLater });
  const registered: string[] = [];
  const error = await errorOf(
    t,
    registerNym(
      optionsFor(entryNode.data(), {
        exit: hopAt(exitNode.data(), 0x21),
        credentials: wallet(),
        onRegistered: ({ hop, paid }) => void registered.push(`${hop} ${paid}`),
      }),
    ),
  );
  t.like(error, { code: 'refused', hop: 'entry', step: 'initial' });
  t.deepEqual(registered, ['exit true']);
});

test('a source that fails, is too slow, or gives no zk-nym sends nothing', async (t) => {
  const node = await nodeFor(t);
  const time = new SteppedTime();
  const sources = {
    source: { credential: () => Promise.reject(new Error('empty')) },
    malformed: { credential: () => Promise.resolve(new Uint8Array(8)) },
    timeout: { credential: () => new Promise<Uint8Array>(() => {}) },
  };
  for (const [reason, credentials] of Object.entries(sources)) {
    const options = optionsFor(node.data(), { credentials, clock: time.clock, timers: time });
    node.clockSkewS = Math.round((time.clock.now().unixMs - Date.now()) / 1_000);
    const error = await errorOf(t, time.drive(registerNym(options), 5_000));
    t.like(error, { code: 'payment_failed', step: 'credential', reason });
  }
  node.clockSkewS = 0;
  t.is((await errorOf(t, registerNym(optionsFor(node.data())))).reason, 'no_source');
  t.false(node.requests.includes('finalise'));
});

const TUNNEL = {
  wgPublicKey: new Uint8Array(32).fill(0x77),
  port: 51_822,
  ipv4: Uint8Array.of(10, 1, 0, 9),
  ipv6: new Uint8Array(16).fill(1),
  upgradeMode: false,
};
