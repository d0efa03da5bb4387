/** The gateway with LP1 admitted: what its shards get, indices that they claim, and what its operator is told. */
import test, { type ExecutionContext } from 'ava';
import { LP1_WEAKNESSES } from '../../src/gateway/lp1-warning.ts';
import type { ShardThread } from '../../src/gateway/shard-thread.ts';
import { le32 } from '../../src/lp/wire/bytes.ts';
import { ANSWER, OutboundWriter, REQUEST, readInbound } from '../../src/shard/messages.ts';
import type { ShardOptions } from '../../src/shard/shard.ts';
import { makeGateway, startGateway, until } from '../support/test-gateway.ts';

const LP1 = ['gateway.min_protocol_version=1', 'gateway.shards=2'];

/** A shard that says what the test tells it to, one batch after the other. */
class ScriptedShard implements ShardThread {
  readonly records: string[] = [];
  readonly script: ((out: OutboundWriter) => void)[] = [];
  readonly options: ShardOptions;
  private lost: (reason: Error) => void = () => undefined;

  constructor(options: ShardOptions) {
    this.options = options;
  }

  async run(batch: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    readInbound(batch, {
      packet: () => this.records.push('packet'),
      tick: () => this.records.push('tick'),
      answer: (key, kind, body) => this.records.push(`answer ${key}: ${kind} ${[...body].join()}`),
      kemKey: () => undefined,
      reserve: (index) => this.records.push(`reserve ${index}`),
      unreserve: (index) => this.records.push(`unreserve ${index}`),
    });
    const out = new OutboundWriter();
    this.script.shift()?.(out);
    return out.seal();
  }

  onLost(lost: (reason: Error) => void): void {
    this.lost = lost;
  }

  lose(): void {
    this.lost(new Error('lost by the test'));
  }

  async destroy(): Promise<void> {}
}

async function scripted(t: ExecutionContext) {
  const shards: ScriptedShard[] = [];
  const startShard = (shard: number, options: ShardOptions) => {
    const made = new ScriptedShard(options);
    shards[shard] = made;
    return made;
  };
  const { gateway } = await startGateway(t, { set: LP1, dependencies: { startShard } });
  /** The shard's next batch brings this. */
  const says = async (shard: number, say: (out: OutboundWriter) => void) => {
    let said = false;
    shards[shard]!.script.push((out) => {
      say(out);
      said = true;
    });
    gateway.tick();
    await until(() => said, 'the shard has said it');
  };
  const hears = (shard: number, record: string) => until(() => shards[shard]!.records.includes(record), record);
  return { gateway, shards, says, hears };
}

const claim = (key: number, index: number) => (out: OutboundWriter) =>
  out.request(key, 1, 1, REQUEST.index, le32(index));

test('an index that a shard claims is granted once in the whole gateway, and routed to that shard as live', async (t) => {
  const { gateway, says, hears } = await scripted(t);
  await says(0, claim(5, 77));
  await hears(0, `answer 5: ${ANSWER.index} 1`);
  t.deepEqual([gateway.router.shardOf(77), gateway.router.isLive(77)], [0, true]);
  await says(1, claim(6, 77));
  await hears(1, `answer 6: ${ANSWER.index} 0`);
  await says(1, claim(7, 0));
  await hears(1, `answer 7: ${ANSWER.index} 0`);
  await says(0, (out) => out.indexFree(77));
  await until(() => !gateway.router.knows(77), 'it is free');
  await says(1, claim(8, 77));
  await hears(1, `answer 8: ${ANSWER.index} 1`);
  t.is(gateway.router.shardOf(77), 1);
});

test('the answer to a claim is in the mailbox when the batch that brought it is read', async (t) => {
  const { gateway, shards, says } = await scripted(t);
  let queuedWhenSettled: boolean | undefined;
  await says(0, (out) => {
    claim(5, 77)(out);
    gateway.hosts[0]!.mailbox.whenSettled(() => {
      queuedWhenSettled = !gateway.hosts[0]!.mailbox.idle;
    });
  });
  await until(() => queuedWhenSettled !== undefined, 'the batch is read');
  t.true(queuedWhenSettled);
  await until(() => shards[0]!.records.includes(`answer 5: ${ANSWER.index} 1`), 'it leaves');
});

test("the owner of a claimed index's slot is told, again when it was replaced, and when the index is free", async (t) => {
  const { gateway, shards, says, hears } = await scripted(t);
  const index = 0x8000_0001;
  await says(0, claim(5, index));
  await hears(1, `reserve ${index}`);
  const lost = shards[1]!;
  lost.lose();
  await until(() => shards[1] !== lost && gateway.hosts[1]!.running, 'a fresh one runs');
  t.deepEqual(shards[1]!.records.slice(0, 2), [`reserve ${index}`, 'tick'], 'before anything else');
  await says(0, (out) => out.indexFree(index));
  await hears(1, `unreserve ${index}`);
  t.deepEqual(
    shards[0]!.records.filter((record) => record.includes('reserve')),
    [],
  );
});

test('indices of a lost shard are free, and their slots with the others too', async (t) => {
  const { gateway, shards, says, hears } = await scripted(t);
  const index = 0x8000_0001;
  await says(0, (out) => out.indexTaken(index, false));
  await hears(1, `reserve ${index}`);
  t.deepEqual([gateway.router.shardOf(index), gateway.router.isLive(index)], [0, false]);
  shards[0]!.lose();
  await hears(1, `unreserve ${index}`);
  t.false(gateway.router.knows(index));
});

test('shards get the identity seed only where LP1 is admitted, as a copy that is wiped at the stop', async (t) => {
  const { gateway, shards } = await scripted(t);
  const { lp1 } = shards[0]!.options;
  t.deepEqual([lp1?.ed25519Seed, lp1?.sessionIdleMs], [new Uint8Array(32).fill(0x22), 86_400_000]);
  await gateway.stop('at once');
  t.deepEqual(lp1?.ed25519Seed, new Uint8Array(32));
  let options: ShardOptions | undefined;
  const startShard = (_: number, given: ShardOptions) => {
    options = given;
    return new ScriptedShard(given);
  };
  await startGateway(t, { set: ['gateway.shards=1'], dependencies: { startShard } });
  t.false('lp1' in options!);
});

test('a gateway that admits LP1 warns once of what that means; another one does not', async (t) => {
  for (const version of [1, 2]) {
    const set = [`gateway.min_protocol_version=${version}`, 'gateway.shards=1'];
    const startShard = (_: number, options: ShardOptions) => new ScriptedShard(options);
    const { gateway, log } = await makeGateway(t, { set, dependencies: { startShard } });
    await gateway.start();
    const warnings = log.filter(({ msg }) => msg === 'LP1 is enabled');
    t.is(warnings.length, version === 1 ? 1 : 0);
    if (version === 1) {
      t.is(warnings[0]!.level, 'warn');
      t.deepEqual(warnings[0]!.weaknesses, LP1_WEAKNESSES);
    }
  }
});
