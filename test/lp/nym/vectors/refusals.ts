/**
 * `accept_or_refuse` of nym.json: what the reference did with each case, and what is required here. Where both are fine
 * ("either"), this implementation refuses what no honest peer sends, but for two cases that are named.
 */
import type { ExecutionContext } from 'ava';
import type { NymCrypto } from '../../../../src/lp/crypto/nym-provider.ts';
import { readAnnouncement } from '../../../../src/lp/nym/announcement.ts';
import { decodeNymForward } from '../../../../src/lp/nym/forward.ts';
import { decodeNymRequest, decodeNymResponse, isTimely } from '../../../../src/lp/nym/registration.ts';
import { NymStreamCutter } from '../../../../src/lp/nym/stream-cutter.ts';
import { keyFromBase58 } from '../../../../src/lp/wire/key-text.ts';
import { toHex, type VectorReader } from '../../../support/vectors.ts';
import { targetOf } from './frames.ts';
import { caseBytes, channelOf, initiatorOf, NOW, responderOf, skipReference } from './inputs.ts';

type Test = ExecutionContext;

/** Tolerated where the vectors leave the choice. */
const TOLERATED = new Set([
  'registration response: status and content disagree',
  'announcement 0: signed with the map keys of 2026.5',
  'announcement 0: field order changed',
  'announcement 0: white space in the document only',
  'announcement 0: unknown field added to the document only',
]);

function mustAccept(c: VectorReader, name: string): boolean {
  const required = c.text('required');
  return required === 'accept' || (required === 'either' && TOLERATED.has(name));
}

function judge(t: Test, c: VectorReader, accepted: boolean): void {
  const name = c.text('name');
  skipReference(c);
  t.is(accepted, mustAccept(c, name), name);
}

export function checkKktRequests(t: Test, v: VectorReader, crypto: NymCrypto): void {
  const h = v.top().under('handshakes.0');
  for (const [, c] of v.members('kkt_requests')) {
    const step = responderOf(h, crypto).receive(caseBytes(c, h.hex('kkt.request')), NOW);
    judge(t, c, step.kind === 'reply');
    if (!c.has('reference_answer_length')) continue;
    const [length, digest] = [c.number('reference_answer_length'), c.text('reference_answer_sha256')];
    if (step.kind !== 'reply') continue;
    t.is(step.message.length, length);
    t.is(toHex(crypto.sha256(step.message)), digest, c.text('name'));
  }
}

export function checkMessages1(t: Test, v: VectorReader, crypto: NymCrypto): void {
  const h = v.top().under('handshakes.0');
  for (const [, c] of v.members('messages_1')) {
    const responder = responderOf(h, crypto);
    t.is(responder.receive(h.hex('kkt.request'), NOW).kind, 'reply');
    const step = responder.receive(caseBytes(c, h.hex('psq.message_1')), NOW);
    judge(t, c, step.kind === 'established');
    // A refusal is final: the good message does not follow on this connection.
    if (step.kind === 'refuse') t.is(responder.receive(h.hex('psq.message_1'), NOW).kind, 'refuse');
  }
}

export function checkKktResponses(t: Test, v: VectorReader, crypto: NymCrypto): void {
  const h = v.top().under('handshakes.0');
  for (const [, c] of v.members('kkt_responses')) {
    const initiator = initiatorOf(h, crypto, 'entry');
    initiator.start(NOW);
    judge(t, c, initiator.receive(caseBytes(c, h.hex('kkt.response')), NOW).kind === 'send');
  }
}

export function checkMessages2(t: Test, v: VectorReader, crypto: NymCrypto): void {
  const h = v.top().under('handshakes.0');
  for (const [, c] of v.members('messages_2')) {
    const initiator = initiatorOf(h, crypto, 'entry');
    initiator.start(NOW);
    t.is(initiator.receive(h.hex('kkt.response'), NOW).kind, 'send');
    judge(t, c, initiator.receive(caseBytes(c, h.hex('psq.message_2')), NOW).kind === 'established');
  }
}

export function checkPackets(t: Test, v: VectorReader, crypto: NymCrypto): void {
  const h = v.top().under('handshakes.0');
  for (const [, c] of v.members('packets')) {
    const name = c.text('name');
    skipReference(c);
    const channel = channelOf(h, crypto, name.startsWith('packets to the client') ? 'initiator' : 'responder');
    for (const [i, s] of c.members('sent_in_order')) {
      const label = `${name}, ${i}`;
      skipReference(s);
      const required = s.text('required');
      const packet = cutOne(s.has('wire') ? s.hex('wire') : s.hex('wire_starts_with'), h);
      if (s.has('then')) s.skip('then');
      const opened = packet === undefined ? { kind: 'refuse' as const } : channel.open(packet);
      t.is(opened.kind === 'frame', required === 'accept', label);
      if (!s.has('opens_to_kind')) continue;
      const [kind, content] = [s.number('opens_to_kind'), s.text('opens_to_content')];
      if (opened.kind !== 'frame') continue;
      t.is(opened.frame.kind as number, kind, label);
      t.is(toHex(opened.frame.content), content, label);
    }
  }
}

/** What a connection that is past its handshake makes of these bytes: at most one packet. */
function cutOne(wire: Uint8Array, h: VectorReader): Uint8Array | undefined {
  const packets: Uint8Array[] = [];
  const cutter = new NymStreamCutter('client', (kind, bytes) => {
    if (kind === 'packet') packets.push(bytes.slice());
  });
  cutter.push(h.hex('kkt.request'));
  cutter.push(h.hex('psq.message_1'));
  cutter.push(wire);
  return packets[0];
}

export function checkBodies(t: Test, v: VectorReader): void {
  const finalise = v.top().hex('registration_bodies.requests.finalise_zknym');
  for (const [, c] of v.members('registration_requests')) {
    let body = finalise.slice();
    if (c.has('made_from')) {
      t.true(c.text('made_from').includes('the ticket kind'));
      body[body.length - 6] = 0x04;
    } else body = c.hex('bytes') as typeof body;
    judge(t, c, decodeNymRequest(body) !== undefined);
  }
  for (const [, c] of v.members('registration_responses')) judge(t, c, decodeNymResponse(c.hex('bytes')) !== undefined);
}

export function checkTimestamps(t: Test, v: VectorReader): void {
  const nowS = NOW.unixMs / 1_000;
  for (const [, c] of v.members('timestamps')) {
    const time = c.has('timestamp') ? BigInt(c.text('timestamp')) : BigInt(nowS + c.number('timestamp_minus_now'));
    judge(t, c, isTimely(time, NOW.unixMs));
  }
}

export function checkAnnouncementCases(t: Test, v: VectorReader, crypto: NymCrypto): void {
  for (const [, c] of v.members('announcements')) {
    const identity = keyFromBase58(c.text('identity_public_key_base58'))!;
    judge(t, c, readAnnouncement(crypto.base, c.text('document'), identity).kind === 'announcement');
  }
}

export function checkForwards(t: Test, v: VectorReader): void {
  for (const [, c] of v.members('forward_requests')) {
    const forward = decodeNymForward(c.hex('bytes'));
    judge(t, c, forward !== undefined);
    if (!c.has('reads_as')) continue;
    const target = targetOf(c.text('reads_as.target'));
    const expected = c.text('reads_as.expected_response');
    const length = c.number('reads_as.inner_length');
    if (forward === undefined) continue;
    t.deepEqual({ ...forward.target }, { ...target });
    t.is(forward.replyLength === 0 ? 'Transport' : `Handshake(${forward.replyLength})`, expected);
    t.is(forward.bytes.length, length);
  }
}
