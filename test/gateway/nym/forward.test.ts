/** Two hops: a client reaches an exit through its entry, both Lewes gateways (nym.md §9). */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { NymClientSession } from '../../../src/lp/nym/client-session.ts';
import { NymExitPath } from '../../../src/lp/nym/exit-path.ts';
import { encodeNymForward, type NymForwardTarget } from '../../../src/lp/nym/forward.ts';
import { NymInitiator } from '../../../src/lp/nym/initiator.ts';
import { decodeNymResponse, encodeNymRequest } from '../../../src/lp/nym/registration.ts';
import { systemClock } from '../../../src/system/clock.ts';
import { systemRandom } from '../../../src/system/random.ts';
import { until } from '../../support/test-gateway.ts';
import { initial, type NymTestClient, type NymWorld, startNym } from './world.ts';

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
const key32 = () => Uint8Array.from(randomBytes(32));
const targetOf = (port: number): NymForwardTarget => ({ family: 4, ip: LOOPBACK, port });

function allow({ gateway, config }: NymWorld, ...ports: number[]): void {
  const listed = ports.map((port) => ({ identity: key32(), address: '127.0.0.1', port }));
  gateway.reload({ ...config, forward: { ...config.forward, allow: listed } });
}

/** The client's session with the exit, through the one with its entry. */
async function nested(
  client: NymTestClient,
  exit: NymWorld,
): Promise<{ path: NymExitPath; session: NymClientSession }> {
  const path = new NymExitPath(client.session, targetOf(exit.nymPort));
  const { key: node, kemDigest } = exit.node;
  const initiator = new NymInitiator({ crypto: exit.crypto2, random: systemRandom, node, kemDigest, hop: 'exit' });
  let step = initiator.start(systemClock.now());
  while (step.kind === 'send') {
    for (const message of step.messages) {
      const sent = path.forwardMessage(message);
      if (sent.kind === 'refuse') throw new Error(sent.reason);
      client.socket.write(sent.wire.slice());
    }
    const answer = await client.answer();
    if (answer === undefined) throw new Error('the entry has closed');
    step = initiator.receive(answer, systemClock.now());
  }
  if (step.kind !== 'established') throw new Error(step.kind);
  return { path, session: step.session };
}

test('a client registers with an exit through its entry, and with the entry; the exit sees only the entry', async (t) => {
  const [entry, exit] = await Promise.all([startNym(t), startNym(t, { seed: new Uint8Array(32).fill(0x44) })]);
  allow(entry, exit.nymPort);
  const client = await entry.meet({ localAddress: '127.0.0.77' });
  const { path, session } = await nested(client, exit);
  const request = session.send('registration', encodeNymRequest(initial(key32())));
  if (request.kind !== 'packet') return t.fail(request.reason);
  const sent = path.forwardPacket(request.wire);
  if (sent.kind !== 'packet') return t.fail(sent.reason);
  client.socket.write(sent.wire.slice());
  const packet = await client.answer();
  const received = session.receive(Uint8Array.from(packet!));
  t.is(received.kind, 'answer');
  if (received.kind === 'answer') t.is(decodeNymResponse(received.content)?.kind, 'completed');
  t.like(await client.register(initial(key32())), { kind: 'completed' });

  t.deepEqual(
    [entry, exit].map(({ gateway }) => gateway.registrar.status().registrations.dvpn.active),
    [1, 1],
  );
  t.is(exit.gateway.admission.known('127.0.0.77'), undefined);
  t.is(exit.gateway.nym?.acceptor.open, 1);
  t.is(entry.gateway.nym?.forwarder.results.ok, 3);
  client.socket.destroy();
  await until(() => exit.gateway.nym?.acceptor.open === 0, 'the exit connection has ended with the client');
  await until(() => exit.gateway.admission.sessions === 0, 'and its session');
});

test('KKT and PSQ of the exit and the Initial of the entry may be sent at once', async (t) => {
  const [entry, exit] = await Promise.all([startNym(t), startNym(t, { seed: new Uint8Array(32).fill(0x44) })]);
  allow(entry, exit.nymPort);
  const { kemKey } = (await exit.meet()).initiator;
  const client = await entry.meet();
  const path = new NymExitPath(client.session, targetOf(exit.nymPort));
  const { key: node, kemDigest } = exit.node;
  const options = { crypto: exit.crypto2, random: systemRandom, node, kemDigest, hop: 'exit', kemKey } as const;
  const initiator = new NymInitiator(options);
  const first = initiator.start(systemClock.now());
  if (first.kind !== 'send') return t.fail(first.kind);
  const wires = first.messages.map((message) => path.forwardMessage(message));
  const own = client.session.send('registration', encodeNymRequest(initial(key32())));
  client.socket.write(Buffer.concat([...wires, own].map((sent) => (sent.kind === 'packet' ? sent.wire : EMPTY))));
  t.is(initiator.receive((await client.answer())!, systemClock.now()).kind, 'wait');
  t.is(initiator.receive((await client.answer())!, systemClock.now()).kind, 'established');
  t.is(decodeNymResponse((await client.answer())!)?.kind, 'completed');
});

const EMPTY = new Uint8Array(0);

async function fakeExit(
  t: ExecutionContext,
  behave: (socket: Socket) => void,
): Promise<{ port: number; server: Server }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    t.teardown(() => socket.destroy());
    behave(socket);
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  t.teardown(() => server.close());
  return { port: (server.address() as AddressInfo).port, server };
}

const echo = (socket: Socket) => void socket.on('data', (chunk: Buffer) => socket.write(chunk));
const FAULTS: readonly (readonly [what: string, behave: (socket: Socket) => void])[] = [
  ['closes', (socket) => socket.on('data', () => socket.end())],
  ['resets', (socket) => socket.on('data', () => socket.resetAndDestroy())],
  ['answers another size', (socket) => socket.on('data', () => socket.write('another size'))],
];

for (const [what, behave] of FAULTS) {
  test(`a forward to an exit that ${what} closes the client's connection without a word`, async (t) => {
    const entry = await startNym(t);
    const { port } = await fakeExit(t, behave);
    allow(entry, port);
    const client = await entry.meet();
    const { received } = client;
    client.send('forward', encodeNymForward({ target: targetOf(port), replyLength: 5, bytes: Uint8Array.of(1) }));
    t.is(await client.answer(), undefined);
    t.is(client.received, received);
    t.is(entry.gateway.nym?.acceptor.counts.drops.forward_failed, 1);
    await until(() => entry.gateway.nym?.forwarder.connections === 0, 'the exit connection is closed');
  });
}

test('a target that is not listed, or another one than the first, closes the connection, and nothing is connected to', async (t) => {
  const entry = await startNym(t);
  let connected = 0;
  const exits = await Promise.all([
    fakeExit(t, echo),
    fakeExit(t, (socket) => {
      connected++;
      echo(socket);
    }),
  ]);
  const [first, second] = exits.map(({ port }) => port) as [number, number];
  allow(entry, first);
  const forward = (port: number) =>
    encodeNymForward({ target: targetOf(port), replyLength: 3, bytes: Uint8Array.of(1, 2, 3) });
  const stranger = await entry.meet();
  t.is(await stranger.ask('forward', forward(second)), undefined);
  const client = await entry.meet();
  t.deepEqual(Uint8Array.from((await client.ask('forward', forward(first))) ?? []), Uint8Array.of(1, 2, 3));
  allow(entry, first, second);
  t.is(await client.ask('forward', forward(second)), undefined);
  t.is(connected, 0);
  const { drops } = entry.gateway.nym!.acceptor.counts;
  t.deepEqual([drops.forward_failed, drops.other_target], [1, 1]);
});

test('an answer that was there before a forward failed still reaches the client', async (t) => {
  const entry = await startNym(t);
  const { port } = await fakeExit(t, (socket) => socket.on('data', () => socket.end()));
  allow(entry, port);
  const client = await entry.meet();
  const registration = client.session.send('registration', encodeNymRequest(initial(key32())));
  const forward = client.session.send(
    'forward',
    encodeNymForward({ target: targetOf(port), replyLength: 5, bytes: Uint8Array.of(1) }),
  );
  client.socket.write(
    Buffer.concat([registration, forward].map((sent) => (sent.kind === 'packet' ? sent.wire : EMPTY))),
  );
  t.is(decodeNymResponse((await client.answer())!)?.kind, 'completed');
  t.is(await client.answer(), undefined);
});

test('a client that goes while its forward is under way takes the exit connection with it', async (t) => {
  const entry = await startNym(t);
  const { promise: asked, resolve } = Promise.withResolvers<Socket>();
  const { port } = await fakeExit(t, (socket) => socket.on('data', () => resolve(socket)));
  allow(entry, port);
  const client = await entry.meet();
  client.send('forward', encodeNymForward({ target: targetOf(port), replyLength: 2, bytes: Uint8Array.of(1) }));
  const exit = await asked;
  const closed = once(exit, 'close');
  client.socket.end();
  await closed;
  const { forwarder } = entry.gateway.nym!;
  await until(() => forwarder.connections === 0 && forwarder.inFlight === 0, 'nothing is left of it');
  await until(() => entry.gateway.admission.sessions === 0, 'its session has ended');
  t.is(entry.gateway.nym?.acceptor.counts.closed.peer, 1);
});
