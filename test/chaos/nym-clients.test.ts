/** Clients of Nym's in the chaos runner: what they take for an answer, and for a violation. */
import test, { type ExecutionContext } from 'ava';
import { Violations } from '../../scripts/chaos/invariants.ts';
import { NymClient, type NymParts } from '../../scripts/chaos/nym-clients.ts';
import { countStreams, makeStreamCount, streamsIn } from '../../scripts/chaos/stream-count.ts';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import { type NymNodeOptions, NymTestNode, tunnelNumber } from '../support/nym-node.ts';
import { until } from '../support/stepped-time.ts';

const crypto = await loadProvider('auto');

async function listen(t: ExecutionContext, options: NymNodeOptions = {}): Promise<NymTestNode> {
  const node = await NymTestNode.listen(options);
  t.teardown(() => node.close());
  return node;
}

/** Runs until `enough`, and then to its end. */
async function run(parts: Omit<NymParts, 'crypto' | 'violations' | 'stop'>, enough: (client: NymClient) => boolean) {
  const violations = new Violations();
  const stop = new AbortController();
  const client = new NymClient('nym', { ...parts, crypto, violations, stop: stop.signal });
  const running = client.run();
  try {
    await until(() => enough(client) || violations.first !== undefined);
  } finally {
    stop.abort();
    await running;
  }
  return { client, violation: violations.first };
}

const CALM = { pipelining: false, aheadS: () => 0, harmedSince: () => false };
const worked = ({ record }: NymClient) => record.recoveredAfter(0) !== undefined;
const failed = ({ record }: NymClient) => record.attemptsSince(0) > 0;

for (const pipelining of [false, true]) {
  test(`a client is content when its node wants a credential, and leaves${pipelining ? ', pipelined, too' : ''}`, async (t) => {
    const node = await listen(t);
    const { violation } = await run({ ...CALM, entry: node.data(), pipelining }, worked);
    t.is(violation, undefined);
    t.is(node.registered.size, 0);
    t.true(node.requests.every((kind) => kind === 'initial'));
    await until(() => node.connections === 0);
  });
}

test('through an entry both nodes are asked', async (t) => {
  const [entry, exit] = [await listen(t), await listen(t, { fill: 0x51 })];
  const { violation } = await run({ ...CALM, entry: entry.data(), exit: exit.data() }, worked);
  t.is(violation, undefined);
  t.true(entry.requests.length > 0 && exit.requests.length > 0);
});

test('a registration that nobody has paid is a violation', async (t) => {
  const node = await listen(t);
  node.register = () => ({ kind: 'completed', tunnel: tunnelNumber(5) });
  const { violation } = await run({ ...CALM, entry: node.data() }, worked);
  t.regex(violation ?? '', /asking for a credential: direct/);
});

test('a node whose clock is hours ahead is reached by the hint', async (t) => {
  const node = await listen(t);
  node.clockSkewS = 6 * 3_600;
  const { client } = await run({ ...CALM, entry: node.data(), aheadS: () => 6 * 3_600 }, worked);
  t.is(client.record.attemptsSince(0), 0);
});

test('a broken answer is a violation, unless bytes were harmed on the way', async (t) => {
  const node = await listen(t);
  // A whole answer that does not open.
  node.reply = (kind, bytes) => [kind === 'kkt' ? bytes.map((byte) => byte ^ 1) : bytes];
  const broken = await run({ ...CALM, entry: node.data() }, failed);
  t.regex(broken.violation ?? '', /malformed_answer/);
  const harmed = await run({ ...CALM, entry: node.data(), harmedSince: () => true }, failed);
  t.is(harmed.violation, undefined);
  t.regex(harmed.client.record.lastError, /malformed_answer/);
});

test('a connection that ends early is no violation', async (t) => {
  const node = await listen(t);
  node.closeAfter = (kind) => kind === 'psq';
  const { client, violation } = await run({ ...CALM, entry: node.data() }, failed);
  t.is(violation, undefined);
  t.regex(client.record.lastError, /connection_lost/);
});

test('how many connections a shard knows is read as it was told', (t) => {
  const memory = makeStreamCount();
  t.is(streamsIn(memory), 0);
  countStreams(memory, 3);
  t.is(streamsIn(memory), 3);
});
