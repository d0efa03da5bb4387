/** `transport_frames`, `registration_exchange` and `nested_through_forward` of nym.json: sessions, wire for wire. */
import type { ExecutionContext } from 'ava';
import ipaddr from 'ipaddr.js';
import type { NymCrypto } from '../../../../src/lp/crypto/nym-provider.ts';
import { NymClientSession, type SentRequest } from '../../../../src/lp/nym/client-session.ts';
import { NymExitPath } from '../../../../src/lp/nym/exit-path.ts';
import { decodeNymForward, encodeNymForward, type NymForwardTarget } from '../../../../src/lp/nym/forward.ts';
import { decodeStreamAttributes, encodeStreamAttributes, type FrameKind } from '../../../../src/lp/nym/frame.ts';
import {
  DEFAULT_NYM_LIFETIMES,
  type NymAnswer,
  NymGatewaySession,
  type NymRequest,
} from '../../../../src/lp/nym/gateway-session.ts';
import type { NymOutgoing } from '../../../../src/lp/nym/initiator.ts';
import { decodeNymResponse } from '../../../../src/lp/nym/registration.ts';
import { hex, toHex, type VectorReader } from '../../../support/vectors.ts';
import { channelOf, HOPS, initiatorOf, NOW, replied, responderOf, sent } from './inputs.ts';

type Test = ExecutionContext;
const PREFIX = 4;

function handshakeNamed(v: VectorReader, name: string): VectorReader {
  return v.under(HOPS.find((hop) => hop.name === name)!.path);
}

/** Seals what the vectors sealed, and opens it at the other side. `session`: where its handshake is named. */
export function checkFrames(t: Test, v: VectorReader, crypto: NymCrypto, path: string, session: string): void {
  const h = handshakeNamed(v, v.text(session));
  const client = channelOf(h, crypto, 'initiator');
  const node = channelOf(h, crypto, 'responder');
  for (const [, f] of v.members(path)) {
    const fromClient = f.text('direction') === 'client to node';
    const [sender, receiver] = fromClient ? [client, node] : [node, client];
    const kind = f.number('kind') as FrameKind;
    const content = f.has('content_length')
      ? new Uint8Array(f.number('content_length')).fill(f.hex('content_every_byte')[0]!)
      : f.hex('content');
    const wire = sender.seal(kind, content, f.hex('attributes'))!;
    checkWire(t, f, wire, crypto);
    t.is(f.text('nonce'), (f.number('counter') + 1).toString(16).padStart(24, '0'));
    t.is(Number(new DataView(wire.buffer).getBigUint64(8, true)), f.number('counter'));
    const opened = receiver.open(wire.subarray(PREFIX));
    if (opened.kind !== 'frame') t.fail(opened.reason);
    else {
      t.is(opened.frame.kind, kind);
      t.is(toHex(opened.frame.attributes), f.text('attributes'));
      t.deepEqual(opened.frame.content, content);
    }
    if (kind === 3) checkStreamAttributes(t, f);
    else f.skip('what');
  }
}

function checkWire(t: Test, f: VectorReader, wire: Uint8Array, crypto: NymCrypto): void {
  if (f.has('wire')) {
    t.is(toHex(wire), f.text('wire'));
    return;
  }
  t.is(wire.length, f.number('wire_length'));
  t.is(toHex(wire.subarray(0, 32)), f.text('wire_first_32'));
  t.is(toHex(wire.subarray(-32)), f.text('wire_last_32'));
  t.is(toHex(crypto.sha256(wire)), f.text('wire_sha256'));
}

function checkStreamAttributes(t: Test, f: VectorReader): void {
  const attributes = decodeStreamAttributes(f.hex('attributes'))!;
  t.is(toHex(encodeStreamAttributes(attributes)), f.text('attributes'));
  const { streamHigh, streamLow, type, sequence } = attributes;
  t.deepEqual(
    { streamHigh, streamLow, type, sequence },
    f.text('what').includes('type data')
      ? { streamHigh: 0x01020304, streamLow: 0x05060708, type: 'data', sequence: 0x0a0b0c0d }
      : { streamHigh: 0, streamLow: 7, type: 'open', sequence: 0 },
  );
}

export function targetOf(text: string): NymForwardTarget {
  const [, host, port] = /^\[?([^\]]+)\]?:(\d+)$/.exec(text)!;
  const ip = Uint8Array.from(ipaddr.parse(host!).toByteArray());
  return { family: ip.length === 4 ? 4 : 6, ip, port: Number(port) };
}

/** Two hops: the exit's handshake and registration inside the entry's session, with every wire of both. */
export function checkNested(t: Test, v: VectorReader, crypto: NymCrypto): void {
  const n = v.under('nested_through_forward');
  const entryHandshake = handshakeNamed(v, n.text('outer_session'));
  const h = handshakeNamed(v, n.text('inner_session'));
  const target = targetOf(n.text('exit_address'));
  const entry = new NymClientSession(channelOf(entryHandshake, crypto, 'initiator'));
  const path = new NymExitPath(entry, target);
  const gateway = gatewayOf(entryHandshake, crypto);
  const exit = responderOf(h, crypto);
  const exitChannel = channelOf(h, crypto, 'responder');
  const initiator = initiatorOf(h, crypto, 'exit');
  const outer = n.members('outer_frames').map(([, f]) => f.text('wire'));
  const inner = n.members('inner_frames').map(([, f]) => f);
  let step = 0;
  /** One forward there and back: what comes back is the exit's message. */
  const exchange = (request: SentRequest, serve: (bytes: Uint8Array, replyLength: number) => Uint8Array) => {
    if (request.kind !== 'packet') throw new Error(request.reason);
    t.is(toHex(request.wire), outer[step++]!);
    const asked = gateway.ask(request.wire);
    if (asked.kind !== 'forward') throw new Error(asked.kind);
    t.deepEqual({ ...asked.forward.target }, { ...target });
    const reply = gateway.answer({ kind: 'forward', bytes: serve(asked.forward.bytes, asked.forward.replyLength) });
    t.is(toHex(reply), outer[step++]!);
    const received = entry.receive(reply.subarray(PREFIX));
    if (received.kind !== 'answer') throw new Error(received.reason);
    t.is(received.id, request.id);
    return received.content;
  };
  const handshake = (message: NymOutgoing) =>
    exchange(path.forwardMessage(message), (bytes, replyLength) => {
      const reply = hex(replied(exit.receive(bytes, NOW)));
      t.is(reply.length, replyLength);
      return reply;
    });
  const started = initiator.start(NOW);
  t.deepEqual(sent(started), [h.text('kkt.request')]);
  if (started.kind !== 'send') throw new Error(started.kind);
  const second = initiator.receive(handshake(started.messages[0]!), NOW);
  if (second.kind !== 'send') throw new Error(second.kind);
  const third = initiator.receive(handshake(second.messages[0]!), NOW);
  if (third.kind !== 'established') throw new Error(third.kind);
  for (let i = 0; i < inner.length; i += 2) {
    const [asked, answered] = [inner[i]!, inner[i + 1]!];
    const request: SentRequest = third.session.send('registration', asked.hex('content'));
    if (request.kind !== 'packet') throw new Error(request.reason);
    t.is(toHex(request.wire), asked.text('wire'));
    const reply = exchange(path.forwardPacket(request.wire), (bytes, replyLength) => {
      t.is(replyLength, 0);
      t.is(toHex(bytes), asked.text('wire'));
      const opened = exitChannel.open(bytes.slice(PREFIX));
      t.is(opened.kind === 'frame' && toHex(opened.frame.content), asked.text('content'));
      const wire = exitChannel.seal(1, answered.hex('content'))!;
      t.is(toHex(wire), answered.text('wire'));
      return wire.subarray(PREFIX);
    });
    const answer = third.session.receive(reply);
    t.is(answer.kind === 'answer' && toHex(answer.content), answered.text('content'));
    t.not(decodeNymResponse(answered.hex('content')), undefined);
  }
  t.is(step, outer.length);
  checkIpv6(t, n.under('ipv6_example'), h);
}

function checkIpv6(t: Test, x: VectorReader, h: VectorReader): void {
  t.is(x.text('inner_bytes'), 'kkt.request of the client to exit handshake');
  const target = targetOf(x.text('exit_address'));
  const replyLength = x.number('expected_response_size');
  const content = encodeNymForward({ target, replyLength, bytes: h.hex('kkt.request') });
  t.is(toHex(content), x.text('content'));
  const { target: read, ...rest } = decodeNymForward(content)!;
  t.deepEqual({ ...read }, { ...target });
  t.deepEqual({ ...rest }, { replyLength, bytes: h.hex('kkt.request') });
}

/** The entry's end, whose effects are collected. */
export function gatewayOf(h: VectorReader, crypto: NymCrypto) {
  const channel = channelOf(h, crypto, 'responder');
  const session = new NymGatewaySession({ channel, lifetimes: DEFAULT_NYM_LIFETIMES, dvpn: true }, NOW);
  const asked: NymRequest[] = [];
  const written: Uint8Array[] = [];
  const closed: string[] = [];
  const effects = {
    send: (wire: Uint8Array) => void written.push(wire.slice()),
    request: (request: NymRequest) => asked.push(request) > 0,
    close: (reason: string) => void closed.push(reason),
  };
  return {
    session,
    effects,
    asked,
    written,
    closed,
    /** What the packet asks for. */
    ask(wire: Uint8Array): NymRequest {
      session.receive(wire.slice(PREFIX), NOW, effects);
      const request = asked.pop();
      if (request === undefined) throw new Error(`nothing asked: ${closed.join()}`);
      return request;
    },
    answer(answer: NymAnswer): Uint8Array {
      session.answer(answer, NOW, effects);
      const wire = written.pop();
      if (wire === undefined) throw new Error(`nothing written: ${closed.join()}`);
      return wire;
    },
  };
}
