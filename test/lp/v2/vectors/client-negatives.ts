/** `negative_client` of lp2.json: what a client refuses, and that it then still takes the true message. */
import type { ExecutionContext } from 'ava';
import type { HandshakeStep } from '../../../../src/lp/client-session.ts';
import type { CryptoProvider } from '../../../../src/lp/crypto/provider.ts';
import { ownPlace, Transport } from '../../../../src/lp/v2/transport.ts';
import { contentOf } from '../../../../src/lp/wire/packet.ts';
import { startedRekey } from '../../../support/handshake.ts';
import { seededRandom } from '../../../support/seeded-random.ts';
import { toHex, type VectorReader } from '../../../support/vectors.ts';
import { announcementOf, coinsOf, kk1Path, startTime } from './inputs.ts';
import { clientFamily, establishedGateway, kk1Draws, kk2Draws, secretsAt } from './subsessions.ts';
import { initiatorOf, sent } from './suites.ts';

type Test = ExecutionContext;

function refusal(step: HandshakeStep): string {
  if (step.kind === 'drop') return step.reason;
  if (step.kind !== 'failed') return step.kind;
  return step.failure.reason === 'kem_key' ? step.failure.refusal : step.failure.reason;
}

export function checkKktRefusals(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const top = v.top();
  const xwing = top.under('suites.xwing');
  v.skip('how');
  for (const [, c] of v.members('kkt')) {
    const name = c.text('name');
    const pinnedHashes = c.has('pinned_kem_key_b3')
      ? c.members('pinned_kem_key_b3').map(([i]) => c.hex(`pinned_kem_key_b3.${i}`))
      : [];
    const draws = [top.hex('inputs.kkt_session_id'), top.hex('inputs.noise_ephemeral_client'), coinsOf(xwing)];
    const unixMs = c.number('client_unix_s') * 1_000;
    const { initiator, now } = initiatorOf(v, crypto, 'x-wing', draws, { pinnedHashes, unixMs });
    initiator.start(now);
    const step = initiator.receive(c.hex('packet'), now);
    if (c.text('expected.outcome') === 'accept') {
      t.is(step.kind, 'send', name);
      continue;
    }
    t.is(refusal(step), c.text('expected.reason'), name);
    // At the vectors' own time the true key is still taken, but where a pin has ended the attempt.
    const after = initiator.receive(xwing.hex('kkt_response.packet'), startTime(v));
    t.is(after.kind, pinnedHashes.length > 0 ? 'drop' : 'send', name);
  }
}

export function checkH2Refusals(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const top = v.top();
  const xwing = top.under('suites.xwing');
  for (const [, c] of v.members('h2')) {
    const name = c.text('name');
    const draws = [top.hex('inputs.noise_ephemeral_client'), coinsOf(xwing)];
    const kemKey = announcementOf(xwing, crypto, 'x-wing');
    const { initiator, now } = initiatorOf(v, crypto, 'x-wing', draws, { kemKey });
    initiator.start(now);
    const { kind }: { kind: string } = initiator.receive(c.hex('packet'), now);
    t.is(kind, c.text('expected.outcome'), name);
    t.is(c.text('expected.then'), 'the true H2 is still accepted');
    t.deepEqual(sent(initiator.receive(xwing.hex('h2.packet'), now)), [xwing.text('h3.packet')], name);
  }
}

export function checkKk2Refusals(t: Test, v: VectorReader, crypto: CryptoProvider): void {
  const first = v.top().under(kk1Path(false));
  const withKem = v.top().under(kk1Path(true));
  for (const [, c] of v.members('kk2')) {
    const name = c.text('name');
    const kk1Content = c.hex('client_sent_kk1_content');
    const kem = kk1Content.length > 100;
    const client = clientFamily(v, crypto, seededRandom(kk1Draws(v, kem)));
    const { harness } = establishedGateway(v, crypto, kk2Draws(kem ? withKem : first));
    const kk1 = startedRekey(client, kem, harness.now)!;
    t.is(toHex(contentAtGateway(v, crypto, kk1)), toHex(kk1Content), name);
    harness.packet(kk1);
    const { kind }: { kind: string } = client.receive(c.hex('packet'), harness.now);
    t.is(kind, c.text('expected.outcome'), name);
    t.true(client.rekeying, name);
    // The repeat gets the true KK2 under a fresh counter.
    harness.later(1_000);
    const [repeat] = client.tick(harness.now);
    const [kk2] = harness.replies(repeat!);
    t.is(client.receive(kk2!, harness.now).kind, 'rekeyed', name);
  }
}

function contentAtGateway(v: VectorReader, crypto: CryptoProvider, packet: Uint8Array): Uint8Array {
  const h3 = v.top().under('suites.xwing.h3');
  const index = v.top().number('suites.xwing.h2.session_index');
  const transport = Transport.make(index, ownPlace(), 'responder', secretsAt(h3), new Uint8Array(32), 0);
  const copy = packet.slice();
  if (transport.open(crypto, copy) !== undefined) throw new Error('KK1 does not open');
  return contentOf(copy);
}
