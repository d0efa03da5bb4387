import test from 'ava';
import { type Readiness, startAdmin } from '../../src/ops/admin.ts';
import { createRegistry } from '../../src/ops/metrics.ts';
import { OperatorError } from '../../src/ops/operator-error.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };
const READY: Readiness = { ready: true, reasons: [] };
const sources = (ready: () => Readiness = () => READY) => ({
  registry: createRegistry(),
  ready,
  status: () => ({ identity: 'abc', shards: [{ sessions: 3 }] }),
});

test('the four paths answer on the port that was bound', async (t) => {
  const admin = await startAdmin(LOOPBACK, sources());
  t.teardown(() => admin.close());
  t.true(admin.address.port > 0);
  t.is(admin.url, `http://127.0.0.1:${admin.address.port}`);

  const metrics = await fetch(`${admin.url}/metrics`);
  t.regex(metrics.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  t.regex(await metrics.text(), /^lewes_process_resident_memory_bytes \d+$/m);
  t.is((await fetch(`${admin.url}/livez`)).status, 200);
  const status = await fetch(`${admin.url}/status`);
  t.is(status.headers.get('cache-control'), 'no-store');
  t.deepEqual(await status.json(), { ready: true, reasons: [], identity: 'abc', shards: [{ sessions: 3 }] });
  t.is((await fetch(`${admin.url}/other`)).status, 404);
});

test('readyz is 200 when the gateway is ready and 503 with reasons otherwise', async (t) => {
  let readiness = READY;
  const admin = await startAdmin(
    LOOPBACK,
    sources(() => readiness),
  );
  t.teardown(() => admin.close());
  t.is((await fetch(`${admin.url}/readyz`)).status, 200);
  readiness = { ready: false, reasons: ['draining'] };
  const answer = await fetch(`${admin.url}/readyz`);
  t.is(answer.status, 503);
  t.deepEqual(await answer.json(), readiness);
  t.is((await fetch(`${admin.url}/livez`)).status, 200);
});

test('an IPv6 address is bound and shown in brackets', async (t) => {
  const admin = await startAdmin({ host: '::1', port: 0 }, sources());
  t.teardown(() => admin.close());
  t.regex(admin.url, /^http:\/\/\[::1\]:\d+$/);
  t.is((await fetch(`${admin.url}/livez`)).status, 200);
});

test('a busy port is told with its address and what to do', async (t) => {
  const first = await startAdmin(LOOPBACK, sources());
  t.teardown(() => first.close());
  const error = await t.throwsAsync(startAdmin(first.address, sources()), { instanceOf: OperatorError });
  t.is(error.code, 'ERR_ADMIN_ADDRESS_IN_USE');
  t.true(error.message.includes(`127.0.0.1:${first.address.port}`));
  t.regex(error.remedy, /admin\.listen/);
});

test('an address of another machine is refused', async (t) => {
  const error = await t.throwsAsync(startAdmin({ host: '192.0.2.1', port: 0 }, sources()), {
    instanceOf: OperatorError,
  });
  t.is(error.code, 'ERR_ADMIN_LISTEN');
});

test('closing does not wait for a kept connection', async (t) => {
  const admin = await startAdmin(LOOPBACK, sources());
  // fetch keeps its connection open after the answer.
  await (await fetch(`${admin.url}/livez`)).text();
  await admin.close();
  await t.throwsAsync(fetch(`${admin.url}/livez`));
});
