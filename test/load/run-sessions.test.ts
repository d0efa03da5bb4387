/** Whole load runs against a gateway: registrations, rekeyings, mixtures. */
import test from 'ava';
import type { TokenSource } from '../../src/client/token-source.ts';
import { parseBlindKey } from '../../src/issuer/blind-key.ts';
import { RFC_9578_ISSUER_KEY } from '../issuer/rfc9578.ts';
import { mintToken } from '../support/mint.ts';
import { startGateway, type TestGateway } from '../support/test-gateway.ts';
import { begun, noSessions, OPEN_GATES, operation, planOf, run, targetOf, troubles } from './in-process.ts';

const GATEWAY = { entry: 'in-thread', set: OPEN_GATES } as const;
const registered = ({ gateway }: TestGateway) => gateway.registrar.status().registrations.dvpn.active;

test.serial('registrations are made in as many handshakes, and released at the end', async (t) => {
  const gateway = await startGateway(t, GATEWAY);
  const result = await run(planOf(targetOf(gateway), { mix: { register: 1 } }));
  const register = operation(result, 'register');
  t.deepEqual(troubles(register), []);
  t.is(register.completed, begun(register));
  // With the warm-up, and the one that asked for the price.
  const { made, released, left } = result.registrations ?? { made: 0, released: 0, left: 1 };
  t.true(made > register.completed);
  t.deepEqual([released, left], [made, 0]);
  t.is(registered(gateway), 0);
  await noSessions(gateway);
});

test.serial('where registrations cost a token, each is paid with one of its own, and the rest goes back', async (t) => {
  const key = parseBlindKey(Buffer.from(RFC_9578_ISSUER_KEY))!;
  const priced = ['credentials.kind=privacy-pass', 'credentials.issuer=https://issuer.example'];
  const gateway = await startGateway(t, { entry: 'in-thread', set: [...OPEN_GATES, ...priced] });
  gateway.gateway.setIssuerKeys([{ spki: key.spki }]);
  let [minted, back] = [0, 0];
  const tokenSource: TokenSource = {
    token: (challenge) => {
      minted++;
      return Promise.resolve(mintToken(key, challenge));
    },
    giveBack: () => {
      back++;
      return Promise.resolve();
    },
  };
  const loop = { kind: 'open', arrivals: 'fixed', rate: 40 } as const;
  const result = await run(planOf(targetOf(gateway), { mix: { register: 1 }, facts: { loop } }), { tokenSource });
  const register = operation(result, 'register');
  t.deepEqual(troubles(register), []);
  t.true(register.completed > 10 && register.completed === begun(register));
  t.is(result.registrations?.left, 0);
  t.is(minted - back, result.registrations?.made ?? 0);
});

test.serial('without a source, registrations at a price fail and say what is missing', async (t) => {
  const priced = ['credentials.kind=privacy-pass', 'credentials.issuer=https://issuer.example'];
  const gateway = await startGateway(t, { entry: 'in-thread', set: [...OPEN_GATES, ...priced] });
  const loop = { kind: 'open', arrivals: 'fixed', rate: 20 } as const;
  const result = await run(planOf(targetOf(gateway), { mix: { register: 1 }, facts: { loop } }));
  t.is(operation(result, 'register').completed, 0);
  t.is(operation(result, 'register').errors[0]?.code, 'PAYMENT_FAILED_NO_TOKENS');
});

test.serial('rekeyings of as many sessions: all complete, none is put off', async (t) => {
  const gateway = await startGateway(t, GATEWAY);
  const result = await run(planOf(targetOf(gateway), { mix: { rekey: 1 }, sessions: 260 }));
  const rekey = operation(result, 'rekey');
  t.deepEqual(troubles(rekey), []);
  t.is(rekey.completed, begun(rekey));
  await noSessions(gateway);
});

test.serial('a client of a closed loop rekeys its session no more often than the protocol allows', async (t) => {
  const gateway = await startGateway(t, GATEWAY);
  const loop = { kind: 'closed', clients: 60, thinkMs: 0 } as const;
  const result = await run(planOf(targetOf(gateway), { mix: { rekey: 1 }, facts: { loop } }));
  const { completed, failed } = operation(result, 'rekey');
  t.true(completed >= 1 && completed <= 6, String(completed));
  t.is(failed, 0);
});

test.serial('a mixture has about the shares that it was given', async (t) => {
  const gateway = await startGateway(t, GATEWAY);
  const mix = { handshake: 10, echo: 75, rekey: 5, register: 10 };
  const result = await run(planOf(targetOf(gateway), { mix, sessions: 40 }));
  t.deepEqual(
    result.operations.map(({ name }) => name),
    ['handshake', 'echo', 'register', 'rekey'],
  );
  for (const each of result.operations) {
    t.deepEqual(troubles(each), []);
    t.true(each.completed > 0 && each.completed === begun(each), each.name);
  }
  t.true(operation(result, 'echo').started > 120);
  t.is(result.registrations?.left, 0);
  await noSessions(gateway);
});
