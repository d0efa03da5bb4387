/** Loads with Nym's protocol against nodes that do not answer as they should: every failure has the name of its step. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { NymNodeData } from '../../src/client/index.ts';
import type { ErrorCount } from '../../src/load/result.ts';
import { NYM_FAILURE_TEXT } from '../../src/lp/nym/registration.ts';
import { NymTestNode } from '../support/nym-node.ts';
import { operation, run, troubles } from './in-process.ts';
import { nymPlanOf } from './nym-plan.ts';

interface Case {
  readonly what: string;
  readonly code: string;
  readonly says: RegExp;
  /** Makes a node misbehave; what the load is to know of it, where that is something else. */
  readonly spoil: (node: NymTestNode, t: ExecutionContext) => NymNodeData | Promise<NymNodeData> | undefined;
  readonly timeoutMs?: number;
}

const SOON_MS = 300;

const failed = (text: string) => ({ kind: 'failed', mode: 'dvpn', text }) as const;
const changed = (bytes: Uint8Array, at: number) => {
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
};

/** A server that does this with each connection, in the place of the node. */
async function another(t: ExecutionContext, node: NymTestNode, act: (socket: Socket) => void): Promise<NymNodeData> {
  const server = createServer((socket) => act(socket.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return node.data(`127.0.0.1:${(server.address() as AddressInfo).port}`);
}

const CASES: readonly Case[] = [
  {
    what: 'nobody listens',
    code: 'ECONNREFUSED',
    says: /ECONNREFUSED/,
    spoil: async (node) => {
      const data = node.data();
      await node.close();
      return data;
    },
  },
  {
    what: 'the LP key is another node’s',
    code: 'KKT_CLOSED',
    says: /the LP key is not this node's/,
    spoil: (node) => ({ ...node.data(), lpKey: new Uint8Array(32).fill(9) }),
  },
  {
    what: 'another server is there',
    code: 'KKT_FOREIGN',
    says: /no LP listener/,
    spoil: (node, t) => another(t, node, (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request'))),
  },
  {
    what: 'the KEM key is not the announced one',
    code: 'KKT_DIGEST',
    says: /compare the digest/,
    spoil: (node) => ({ ...node.data(), kemDigest: { hash: 'blake3', digest: new Uint8Array(32) } }),
  },
  {
    what: 'the key transfer does not open',
    code: 'KKT_TAG',
    says: /does not open/,
    spoil: (node) => {
      node.reply = (_, bytes) => [changed(bytes, 100)];
      return undefined;
    },
  },
  {
    what: 'the node says nothing',
    code: 'KKT_TIMED_OUT',
    says: /no answer to the key request within 0.3 s/,
    spoil: (node) => {
      node.reply = () => [];
      return undefined;
    },
    timeoutMs: SOON_MS,
  },
  {
    what: 'the node closes at message 1',
    code: 'PSQ_CLOSED',
    says: /nodes never say which/,
    spoil: (node) => {
      node.closeAfter = (kind) => kind === 'kkt';
      return undefined;
    },
  },
  {
    what: 'message 2 does not open',
    code: 'PSQ_TAG',
    says: /breaks the protocol/,
    spoil: (node) => {
      node.reply = (kind, bytes) => [kind === 'psq' ? changed(bytes, 36) : bytes];
      return undefined;
    },
  },
  {
    what: 'message 2 never comes',
    code: 'PSQ_TIMED_OUT',
    says: /key agreement within/,
    spoil: (node) => {
      node.reply = (kind, bytes) => (kind === 'psq' ? [] : [bytes]);
      return undefined;
    },
    timeoutMs: SOON_MS,
  },
  {
    what: 'the node closes instead of answering Initial',
    code: 'INITIAL_CLOSED',
    says: /Initial|first packet/,
    spoil: (node) => {
      node.closeAfter = (kind) => kind === 'psq';
      return undefined;
    },
  },
  {
    what: 'Initial is never answered',
    code: 'INITIAL_TIMED_OUT',
    says: /no answer to Initial/,
    spoil: (node) => {
      node.reply = (kind, bytes) => (kind === 'packet' ? [] : [bytes]);
      return undefined;
    },
    timeoutMs: SOON_MS,
  },
  {
    what: 'the answer to Initial does not open',
    code: 'INITIAL_TAG',
    says: /breaks the protocol/,
    spoil: (node) => {
      node.reply = (kind, bytes) => [kind === 'packet' ? changed(bytes, bytes.length - 1) : bytes];
      return undefined;
    },
  },
  {
    what: 'the answer to Initial has a length that cannot be',
    code: 'INITIAL_BROKEN_FRAMING',
    says: /breaks the protocol/,
    spoil: (node) => {
      node.reply = (kind, bytes) => [kind === 'packet' ? new Uint8Array(64).fill(0xff) : bytes];
      return undefined;
    },
  },
  {
    what: 'the clocks are apart',
    code: 'INITIAL_CLOCK',
    says: /clock of this machine/,
    spoil: (node) => {
      node.clockSkewS = -90;
      return undefined;
    },
  },
  {
    what: 'the node cannot now',
    code: 'INITIAL_TRY_LATER',
    says: /try later/,
    spoil: (node) => {
      node.register = () => failed(NYM_FAILURE_TEXT.tryLater);
      return undefined;
    },
  },
  {
    what: 'the node refuses',
    code: 'INITIAL_REFUSED',
    says: /no more addresses/,
    spoil: (node) => {
      node.register = () => failed('LP registration has failed: no more addresses\u001b[2J');
      return undefined;
    },
  },
];

async function errorsAt(t: ExecutionContext, { spoil, timeoutMs = 10_000 }: Case): Promise<readonly ErrorCount[]> {
  const node = await NymTestNode.listen();
  t.teardown(() => node.close());
  const data = (await spoil(node, t)) ?? node.data();
  const loop = { kind: 'closed', clients: 2, thinkMs: 0 } as const;
  const facts = { loop, warmUpSeconds: 0, durationSeconds: 0.2 };
  const {
    completed,
    errors,
    failed: count,
  } = operation(await run(nymPlanOf(data, { mix: { initial: 1 }, timeoutMs, facts })), 'initial');
  t.is(completed, 0);
  t.true(count > 0);
  return errors;
}

test('every failure has the name of its step, and says what is most likely', async (t) => {
  const found = await Promise.all(CASES.map((each) => errorsAt(t, each)));
  for (const [at, { what, code, says }] of CASES.entries()) {
    t.deepEqual(
      found[at]?.map((error) => error.code),
      [code],
      what,
    );
    t.regex(found[at]?.[0]?.example ?? '', says, what);
    t.notRegex(found[at]?.[0]?.example ?? '', /\p{Cc}/u, what);
  }
});

test('a node that has answered before and then closes has reached a limit, not got a wrong key', async (t) => {
  const node = await NymTestNode.listen();
  t.teardown(() => node.close());
  const { track } = node;
  node.track = (socket) => {
    track.call(node, socket);
    if (node.accepted > 10) socket.destroy();
  };
  const handshake = operation(await run(nymPlanOf(node.data())), 'handshake');
  t.deepEqual(troubles(handshake), ['KKT_CLOSED']);
  const error = handshake.errors.find(({ code }) => code === 'KKT_CLOSED');
  t.regex(error?.example ?? '', /a limit of the node for this source address/);
});
