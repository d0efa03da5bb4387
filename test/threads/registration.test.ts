/** Registration over the wire, with an entry and, through it, with an exit: two real gateways (registration.md, lp2.md §5). */
import { createHash } from 'node:crypto';
import test from 'ava';
import type { HandshakeStep } from '../../src/lp/client-session.ts';
import { Initiator } from '../../src/lp/v2/initiator.ts';
import {
  decodeFailure,
  decodeForwardResponse,
  decodeFrame,
  encodeForward,
  encodeFrame,
  FAILURE_CODE,
  FORWARD_STATUS,
  KIND,
} from '../../src/lp/wire/application-frame.ts';
import { decodeAnswer, encodeRequest, type RequestBody } from '../../src/lp/wire/registration-body.ts';
import { systemClock } from '../../src/system/clock.ts';
import { systemRandom } from '../../src/system/random.ts';
import type { RawClient } from '../support/raw-client.ts';
import { startGateway, type TestGateway } from '../support/test-gateway.ts';

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
const ONE_SHARD = ['gateway.shards=1'];

function bytes32(name: string): Uint8Array {
  return Uint8Array.from(createHash('sha256').update(name).digest());
}

const REGISTER: RequestBody = {
  op: 'register',
  enrolment: { mode: 'dvpn', wgPublicKey: bytes32('wg'), presharedKey: bytes32('psk') },
  owner: bytes32('owner'),
};

function allow(entry: TestGateway, exit: TestGateway): void {
  const { config, gateway } = entry;
  const listed = [{ identity: exit.target.ed25519, address: '127.0.0.1', port: exit.target.port }];
  gateway.reload({ ...config, forward: { ...config.forward, allow: listed } });
}

/** One exchange with the exit, as packets; the status where there are none. */
async function through(
  user: RawClient,
  exit: TestGateway,
  replies: number,
  packets: readonly Uint8Array[],
): Promise<{ status: number; packets: readonly Uint8Array[] }> {
  const target = { family: 4 as const, identity: exit.target.ed25519, ip: LOOPBACK, port: exit.target.port };
  const answer = await user.request(KIND.forward, encodeForward({ target, replies, packets }));
  const response = decodeForwardResponse(answer.body);
  if (response === undefined) throw new Error('no forward response');
  return response;
}

test('a client registers over the wire, early in its handshake and again in its session', async (t) => {
  const { client, gateway } = await startGateway(t, { set: ONE_SHARD });
  const user = await client();
  await user.open();
  const answer = decodeAnswer((await user.request(KIND.registrationRequest, encodeRequest(REGISTER))).body);
  t.like(answer, { kind: 'value', value: { status: 'completed', mode: 'dvpn' } });
  const balance = encodeRequest({
    op: 'balance',
    name: { mode: 'dvpn', wgPublicKey: bytes32('wg') },
    owner: bytes32('owner'),
  });
  const other = await client();
  const early = other.expect(1);
  await other.handshake(encodeFrame(KIND.registrationRequest, 1, balance));
  t.like(decodeAnswer((await early).body), { kind: 'value', value: { status: 'completed' } });
  const malformed = await user.request(KIND.registrationRequest, Uint8Array.of(0xff));
  t.is(malformed.kind, KIND.failure);
  t.is(decodeFailure(malformed.body)?.code, FAILURE_CODE.malformed);
  t.is(gateway.registrar.status().registrations.dvpn.active, 1);
});

test('a client registers with an exit through its entry; the exit sees only the entry', async (t) => {
  const [entry, exit] = await Promise.all([
    startGateway(t, { set: ONE_SHARD }),
    startGateway(t, { set: ONE_SHARD, seed: new Uint8Array(32).fill(0x33) }),
  ]);
  allow(entry, exit);
  const user = await entry.client();
  await user.open();
  const { crypto } = entry;
  const inner = new Initiator(
    {
      crypto,
      random: systemRandom,
      clientSeed: bytes32('inner'),
      gatewayEd25519: exit.target.ed25519,
      gatewayX25519: exit.target.x25519,
      kem: 'x-wing',
      kemKey: undefined,
      pinnedHashes: [],
      clockOffsetMs: 0,
      earlyFrame: encodeFrame(KIND.registrationRequest, 7, encodeRequest(REGISTER)),
    },
    systemClock.now(),
  );
  let step: HandshakeStep = inner.start(systemClock.now());
  for (const replies of [2, 1, 1]) {
    if (step.kind !== 'send') break;
    const response = await through(user, exit, replies, step.packets);
    t.deepEqual([response.status, response.packets.length], [FORWARD_STATUS.ok, replies]);
    for (const packet of response.packets) {
      const next = inner.receive(packet.slice(), systemClock.now());
      if (next.kind !== 'wait') step = next;
    }
  }
  if (step.kind !== 'established' || step.received.kind !== 'frame') throw new Error(`it ended with ${step.kind}`);
  t.like(decodeAnswer(decodeFrame(step.received.bytes)!.body), { kind: 'value', value: { status: 'completed' } });
  t.is(exit.gateway.registrar.status().registrations.dvpn.active, 1);
  t.is(entry.gateway.registrar.status().registrations.dvpn.active, 0);
  t.is(exit.gateway.admission.sources, 1);
});

test('a target that is not listed, by key or by address, gets status 1 and no connection', async (t) => {
  const [entry, exit] = await Promise.all([
    startGateway(t, { set: ONE_SHARD }),
    startGateway(t, { set: ONE_SHARD, seed: new Uint8Array(32).fill(0x33) }),
  ]);
  const user = await entry.client();
  await user.open();
  const question = new Uint8Array(34).fill(1);
  t.is((await through(user, exit, 1, [question])).status, FORWARD_STATUS.notAllowed);
  allow(entry, exit);
  const target = { family: 4 as const, identity: entry.target.ed25519, ip: LOOPBACK, port: exit.target.port };
  const answer = await user.request(KIND.forward, encodeForward({ target, replies: 1, packets: [question] }));
  t.is(decodeForwardResponse(answer.body)?.status, FORWARD_STATUS.notAllowed);
  t.is(exit.gateway.acceptor.counts.accepted, 0);
});
