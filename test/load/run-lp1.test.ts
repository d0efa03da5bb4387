/** Whole load runs over LP1: what it can do, with a connection for each packet and with several packets on one. */
import test from 'ava';
import { startGateway, type TestGateway, until } from '../support/test-gateway.ts';
import { begun, OPEN_GATES, operation, pair, planOf, run, targetOf, troubles } from './in-process.ts';

const LP1 = { entry: 'in-thread', set: [...OPEN_GATES, 'gateway.min_protocol_version=1'] } as const;
const registered = ({ gateway }: TestGateway) => gateway.registrar.status().registrations.dvpn.active;

for (const keepConnections of [false, true]) {
  const how = keepConnections ? 'several packets on a connection' : 'a connection for each packet';
  test.serial(`LP1, ${how}: handshakes, registrations and rekeyings complete; what was registered stays`, async (t) => {
    const gateway = await startGateway(t, LP1);
    const loop = { kind: 'open', arrivals: 'fixed', rate: 100 } as const;
    const mix = { handshake: 1, register: 1, rekey: 1 };
    const result = await run(
      planOf(targetOf(gateway), { protocol: 1, keepConnections, mix, sessions: 80, facts: { loop } }),
    );
    t.is(result.operations.length, 3);
    for (const each of result.operations) {
      t.deepEqual(troubles(each), []);
      t.true(each.completed > 0 && each.completed === begun(each), each.name);
    }
    const { made, released, left } = result.registrations ?? { made: 0, released: 1, left: 0 };
    t.deepEqual([released, left], [0, made]);
    await until(() => registered(gateway) === made, 'the registrations that were made stand');
  });
}

test.serial('LP1 forwards complete, too, one at a time on each session of the entry', async (t) => {
  const { exit, entry } = await pair(t, ['gateway.min_protocol_version=1']);
  const loop = { kind: 'open', arrivals: 'fixed', rate: 40 } as const;
  const plan = planOf(targetOf(exit), { via: targetOf(entry), protocol: 1, mix: { forward: 1 }, facts: { loop } });
  const result = await run(plan);
  const forward = operation(result, 'forward');
  t.deepEqual(troubles(forward), []);
  t.true(forward.completed > 0 && forward.completed === begun(forward));
});
