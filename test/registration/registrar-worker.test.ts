/** The registrar's loop without its thread: what it answers, in how many messages, and what it says of itself. */
import test from 'ava';
import { decodeAnswer, encodeRequest, type RequestBody } from '../../src/lp/wire/registration-body.ts';
import type { RegistrationOutcome } from '../../src/registration/registrar.ts';
import {
  type FromRegistrar,
  packRequests,
  type RegistrarInit,
  type ToRegistrar,
  unpackAnswers,
} from '../../src/registration/registrar-messages.ts';
import { openParts, type RegistrarParts } from '../../src/registration/registrar-parts.ts';
import { RegistrarWorker } from '../../src/registration/registrar-worker.ts';
import { StoreError } from '../../src/registration/store/store.ts';
import { WireGuardError } from '../../src/registration/wireguard/backend.ts';
import { steppedClock } from '../../src/system/clock.ts';
import { systemTimers } from '../../src/system/timers.ts';
import { client, OPTIONS, START, seededRandom } from './fixture.ts';

const INIT: RegistrarInit = {
  options: OPTIONS,
  crypto: 'auto',
  store: { kind: 'memory', maxRegistrations: 1_000, maxTokens: 1_000 },
  wireguard: { kind: 'memory' },
  credentials: { kind: 'none' },
};

function createWorld(init: Partial<RegistrarInit> = {}, change: (parts: RegistrarParts) => RegistrarParts = (p) => p) {
  const posted: FromRegistrar[] = [];
  const waiting: ((message: FromRegistrar) => boolean)[] = [];
  const deferred: (() => void)[] = [];
  const worker = new RegistrarWorker({
    post: (message) => {
      posted.push(message);
      const at = waiting.findIndex((take) => take(message));
      if (at !== -1) waiting.splice(at, 1);
    },
    defer: (action) => {
      deferred.push(action);
      setImmediate(() => deferred.splice(deferred.indexOf(action), 1)[0]?.());
    },
    clock: steppedClock({ unixMs: START * 1_000 }),
    timers: systemTimers,
    random: seededRandom(3),
    open: async (asked, dependencies) => change(await openParts(asked, dependencies)),
  });
  const ask = <K extends FromRegistrar['kind']>(message: ToRegistrar, kind: K) =>
    new Promise<Extract<FromRegistrar, { kind: K }>>((resolve) => {
      waiting.push((answer) => {
        if (answer.kind !== kind) return false;
        resolve(answer as Extract<FromRegistrar, { kind: K }>);
        return true;
      });
      worker.receive(message);
    });
  const open = () => ask({ kind: 'open', init: { ...INIT, ...init } }, 'opened');
  const events = () => posted.flatMap((message) => (message.kind === 'event' ? [message.event] : []));
  return { worker, posted, ask, open, events };
}

const requestsOf = (bodies: readonly RequestBody[]) =>
  packRequests(
    bodies.map((body, i) => ({
      id: 100 + i,
      request: { body: encodeRequest(body), source: '198.51.100.7', family: 'f', quotesAllowed: 10 },
    })),
  );

function statusOf(outcome: RegistrationOutcome | undefined): string {
  if (outcome?.kind !== 'answer') return outcome?.text ?? 'none';
  const answer = decodeAnswer(outcome.body);
  return answer.kind === 'malformed'
    ? 'malformed'
    : answer.value.status === 'failed'
      ? answer.value.code
      : answer.value.status;
}

test('requests of one message are answered by one message, by their numbers, with a snapshot of what they made', async (t) => {
  const { ask, open } = createWorld();
  await open();
  const names = ['a', 'b', 'c'];
  const message = requestsOf([...names.map((name) => client(name).register()), client('d').balance()]);
  const answers = await ask(message, 'answers');
  // Those of different names come in any order.
  const outcomes = unpackAnswers(answers).toSorted((x, y) => x.id - y.id);
  t.deepEqual(
    outcomes.map(({ id, outcome }) => [id, statusOf(outcome)]),
    [
      [100, 'completed'],
      [101, 'completed'],
      [102, 'completed'],
      [103, 'not_owner'],
    ],
  );
  t.is(answers.snapshot?.status.registrations.dvpn.active, 3);
  // Owner secrets and preshared keys were in there.
  t.true(message.bodies.every((byte) => byte === 0));
});

test('a body that is none is the failure of its own request only', async (t) => {
  const { ask, open } = createWorld();
  await open();
  const good = { body: encodeRequest(client('a').register()), source: 's', family: 'f', quotesAllowed: 1 };
  const message = packRequests([
    { id: 1, request: { ...good, body: new Uint8Array(0) } },
    { id: 2, request: good },
  ]);
  const outcomes = unpackAnswers(await ask(message, 'answers'));
  t.like(outcomes[0], { id: 1, outcome: { kind: 'failure', code: 1 } });
  t.is(statusOf(outcomes[1]?.outcome), 'completed');
});

test('what cannot be configured is refused with its code, and nothing stays open', async (t) => {
  let closed = 0;
  const { ask } = createWorld({}, (parts) => ({
    ...parts,
    store: Object.assign(Object.create(parts.store), { close: async () => void closed++ }),
  }));
  const init = { ...INIT, options: { ...OPTIONS, ipv4: { cidr: '10.9.0.0/31' } } };
  t.like(await ask({ kind: 'open', init }, 'refused'), { error: { code: 'POOL_SIZE' } });
  t.is(closed, 1);
});

test('an issuer key that is none is refused at the start, and reported later', async (t) => {
  const credentials = {
    kind: 'privacy-pass',
    zkNym: 'off',
    nym: 'off',
    issuerName: 'issuer.example',
    originInfo: 'gateway',
    price: { tokens: 1, bandwidth: 1_000, lifetime: 100 },
  } as const;
  const bad = [{ spki: Uint8Array.of(1) }];
  const early = createWorld();
  const init = { ...INIT, credentials: { ...credentials, keys: bad } };
  t.like(await early.ask({ kind: 'open', init }, 'refused'), { error: { code: 'CREDENTIALS_KEY' } });

  const late = createWorld({ credentials: { ...credentials, keys: [] } });
  await late.open();
  t.like(await late.ask({ kind: 'keys', keys: bad }, 'event'), { event: { kind: 'keysRefused' } });
  const outcomes = unpackAnswers(await late.ask(requestsOf([client('a').quote()]), 'answers'));
  t.is(statusOf(outcomes[0]?.outcome), 'credential_required');
});

test('a store that fails raises its alarm once, and a sweep that finds it working clears it', async (t) => {
  let failing = false;
  const { ask, open, events } = createWorld({}, (parts) => ({
    ...parts,
    store: Object.assign(Object.create(parts.store), {
      transaction: (body: Parameters<RegistrarParts['store']['transaction']>[0]) =>
        failing ? Promise.reject(new StoreError('STORE_FULL', 'the disk is full')) : parts.store.transaction(body),
    }),
  }));
  await open();
  failing = true;
  const answers = await ask(requestsOf(['a', 'b', 'c'].map((name) => client(name).register())), 'answers');
  t.deepEqual(
    unpackAnswers(answers).map(({ outcome }) => statusOf(outcome)),
    ['try_later', 'try_later', 'try_later'],
  );
  const alarm = { part: 'store', since: START, code: 'STORE_FULL', message: 'the disk is full' } as const;
  t.deepEqual(events(), [{ kind: 'alarm', alarm }]);
  t.deepEqual((await ask({ kind: 'sweep' }, 'swept')).snapshot.alarms, [alarm]);
  failing = false;
  t.deepEqual((await ask({ kind: 'sweep' }, 'swept')).snapshot.alarms, []);
  t.deepEqual(events(), [
    { kind: 'alarm', alarm },
    { kind: 'recovered', part: 'store' },
  ]);
  t.is(statusOf(unpackAnswers(await ask(requestsOf([client('a').register()]), 'answers'))[0]?.outcome), 'completed');
});

test('a store that takes no write keeps its alarm, though it can be read', async (t) => {
  let full = false;
  const { ask, open } = createWorld({}, (parts) => ({
    ...parts,
    store: Object.assign(Object.create(parts.store), {
      transaction: (body: Parameters<RegistrarParts['store']['transaction']>[0]) =>
        parts.store.transaction((tx) => {
          const refuse = async () => {
            throw new StoreError('STORE_FULL', 'the disk is full');
          };
          if (!full) return body(tx);
          return body({
            get: (name) => tx.get(name),
            due: (now, limit) => tx.due(now, limit),
            put: refuse,
            spend: refuse,
            delete: refuse,
            unspend: refuse,
            forgetTokens: refuse,
          });
        }),
    }),
  }));
  await open();
  full = true;
  await ask(requestsOf([client('a').register()]), 'answers');
  t.is((await ask({ kind: 'sweep' }, 'swept')).snapshot.alarms.length, 1);
  full = false;
  t.deepEqual((await ask({ kind: 'sweep' }, 'swept')).snapshot.alarms, []);
});

test('a pool that runs dry answers with a code, raises its alarm, and clears it when an address is free', async (t) => {
  // The network, broadcast and the gateway's own address leave one.
  const { ask, open, events } = createWorld({ options: { ...OPTIONS, ipv4: { cidr: '10.9.0.0/30' } } });
  await open();
  const status = async (body: RequestBody) =>
    statusOf(unpackAnswers(await ask(requestsOf([body]), 'answers'))[0]?.outcome);
  t.is(await status(client('a').register()), 'completed');
  t.is(await status(client('b').register()), 'pool_exhausted');
  t.like(events(), [{ kind: 'alarm', alarm: { part: 'pool', code: 'POOL_EXHAUSTED' } }]);
  t.is(await status(client('a').release()), 'completed');
  t.deepEqual(events().at(-1), { kind: 'recovered', part: 'pool' });
  t.is(events().length, 2);
});

test('a WireGuard interface that is gone raises its alarm, and the sweep that sets the peers clears it', async (t) => {
  let gone = true;
  const refuse = () => Promise.reject(new WireGuardError('WIREGUARD_UNAVAILABLE', 'no socket'));
  const { ask, open, events } = createWorld({}, (parts) => ({
    ...parts,
    wireguard: {
      upsert: (peer) => (gone ? refuse() : parts.wireguard.upsert(peer)),
      remove: (publicKey) => (gone ? refuse() : parts.wireguard.remove(publicKey)),
      resync: (peers) => (gone ? refuse() : parts.wireguard.resync(peers)),
      list: () => parts.wireguard.list(),
      close: () => parts.wireguard.close(),
    },
  }));
  await open();
  t.like((await ask({ kind: 'sweep' }, 'swept')).snapshot.alarms, [
    { part: 'wireguard', code: 'WIREGUARD_UNAVAILABLE' },
  ]);
  const answers = await ask(requestsOf([client('a').register()]), 'answers');
  t.is(statusOf(unpackAnswers(answers)[0]?.outcome), 'try_later');
  gone = false;
  await ask({ kind: 'sweep' }, 'swept');
  t.deepEqual(
    events().map(({ kind }) => kind),
    ['alarm', 'recovered'],
  );
});

test('a tick is answered at once, and closing finishes what is queued', async (t) => {
  const { ask, open, posted } = createWorld();
  await open();
  t.is((await ask({ kind: 'tick' }, 'snapshot')).snapshot.status.queueLength, 0);
  const closed = ask({ kind: 'close' }, 'closed');
  await closed;
  const again = createWorld();
  await again.open();
  again.worker.receive(requestsOf([client('a').register(), client('b').register()]));
  await again.ask({ kind: 'close' }, 'closed');
  const kinds = again.posted.map(({ kind }) => kind);
  t.true(kinds.indexOf('answers') < kinds.indexOf('closed'), kinds.join());
  t.is(posted.at(-1)?.kind, 'closed');
});
