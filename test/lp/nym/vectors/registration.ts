/** `registration_bodies` and `announcement` of nym.json, and the session of `registration_exchange` at the gateway. */
import type { ExecutionContext } from 'ava';
import ipaddr from 'ipaddr.js';
import type { NymCrypto } from '../../../../src/lp/crypto/nym-provider.ts';
import {
  announcedDigest,
  digestsOf,
  readAnnouncement,
  writeAnnouncement,
} from '../../../../src/lp/nym/announcement.ts';
import { decodeClaim, encodeClaim, NYM_TICKET } from '../../../../src/lp/nym/bandwidth-claim.ts';
import { NymClientSession } from '../../../../src/lp/nym/client-session.ts';
import type { NymRequest } from '../../../../src/lp/nym/gateway-session.ts';
import {
  decodeNymRequest,
  decodeNymResponse,
  encodeNymRequest,
  encodeNymResponse,
  NYM_FAILURE_TEXT,
  type NymRegistrationRequest,
  type NymRegistrationResponse,
} from '../../../../src/lp/nym/registration.ts';
import { ascii } from '../../../../src/lp/wire/bytes.ts';
import { keyFromBase58, keyToBase58 } from '../../../../src/lp/wire/key-text.ts';
import { at, loadVectors, toHex, type VectorReader } from '../../../support/vectors.ts';
import { gatewayOf } from './frames.ts';
import { channelOf } from './inputs.ts';

type Test = ExecutionContext;

function checkRequest(t: Test, body: Uint8Array, request: NymRegistrationRequest): void {
  t.is(toHex(encodeNymRequest(request)), toHex(body));
  t.deepEqual(decodeNymRequest(body), request);
}

export function checkRequests(t: Test, v: VectorReader): void {
  const b = v.under('registration_bodies');
  const time = BigInt(b.number('inputs.unix_time'));
  checkRequest(t, b.hex('requests.initial'), {
    kind: 'initial',
    wgPublicKey: b.hex('inputs.client_wireguard_public_key'),
    presharedKey: b.hex('inputs.wireguard_psk'),
    time,
  });
  checkRequest(t, b.hex('requests.mixnet'), { kind: 'mixnet', clientId: b.hex('inputs.ed25519_public_key'), time });
  b.skip('requests.finalise_zknym_note');
  const zkNym = decodeClaim(b.hex('requests.finalise_zknym_claim'))!;
  t.is(zkNym.kind, 'zk_nym');
  checkRequest(t, b.hex('requests.finalise_zknym'), { kind: 'finalise', claim: zkNym, time });
  t.is(toHex(encodeClaim('zk_nym', zkNym.credential, zkNym.ticket)!), b.text('requests.finalise_zknym_claim'));
  const token = encodeClaim('upgrade_mode', ascii(b.text('requests.jwt_text')), NYM_TICKET.wireguardExit)!;
  checkRequest(t, b.hex('requests.finalise_upgrade_mode_jwt'), { kind: 'finalise', claim: decodeClaim(token)!, time });
}

export function checkResponses(t: Test, v: VectorReader, crypto: NymCrypto): void {
  const b = v.under('registration_bodies');
  const wgPublicKey = b.hex('inputs.node_wireguard_public_key');
  t.is(toHex(crypto.base.x25519PublicKey(b.hex('inputs.node_wireguard_private_key'))), toHex(wgPublicKey));
  b.skip('inputs.upgrade_mode');
  const upgradeMode = at(loadVectors('nym.json'), 'registration_bodies.inputs.upgrade_mode') === true;
  const address = (path: string) => Uint8Array.from(ipaddr.parse(b.text(path)).toByteArray());
  const tunnel = {
    wgPublicKey,
    port: b.number('inputs.node_wireguard_port'),
    ipv4: address('inputs.assigned_ipv4'),
    ipv6: address('inputs.assigned_ipv6'),
    upgradeMode,
  };
  t.is(b.text('responses.failed_not_in_progress_text'), NYM_FAILURE_TEXT.notInProgress);
  const failed = (text: string, mode: 'dvpn' | 'mixnet' = 'dvpn') => ({ kind: 'failed', mode, text }) as const;
  const responses: Record<string, NymRegistrationResponse> = {
    credential_required: { kind: 'credential_required' },
    completed: { kind: 'completed', tunnel },
    failed_invalid_timestamp: failed(NYM_FAILURE_TEXT.timestamp),
    failed_not_in_progress: failed(NYM_FAILURE_TEXT.notInProgress),
    failed_dvpn_off: failed(NYM_FAILURE_TEXT.noDvpn),
    failed_mixnet: failed(NYM_FAILURE_TEXT.mixnet, 'mixnet'),
    completed_mixnet_never_sent: { kind: 'completed_mixnet', key: b.hex('inputs.ed25519_public_key') },
  };
  for (const [name, response] of Object.entries(responses)) {
    t.is(toHex(encodeNymResponse(response)), b.text(`responses.${name}`), name);
    t.deepEqual(decodeNymResponse(b.hex(`responses.${name}`)), response, name);
  }
}

/** The session's two ends, with the registrar's part played by the vectors. */
export function checkExchange(t: Test, v: VectorReader, crypto: NymCrypto): void {
  const entry = v.under('handshakes.0');
  const client = new NymClientSession(channelOf(entry, crypto, 'initiator'));
  const gateway = gatewayOf(entry, crypto);
  const frames = v.members('registration_exchange.frames').map(([, f]) => f);
  for (let i = 0; i < frames.length; i += 2) {
    const [asked, answered] = [frames[i]!, frames[i + 1]!];
    const request = client.send('registration', asked.hex('content'));
    if (request.kind !== 'packet') throw new Error(request.reason);
    t.is(toHex(request.wire), asked.text('wire'));
    t.is(requestKind(gateway.ask(request.wire)), asked.text('what') === 'Initial' ? 'initial' : 'finalise');
    const response = decodeNymResponse(answered.hex('content'))!;
    const wire = gateway.answer({ kind: 'registration', response });
    t.is(toHex(wire), answered.text('wire'));
    const received = client.receive(wire.subarray(4));
    t.is(received.kind === 'answer' && toHex(received.content), answered.text('content'));
  }
}

const requestKind = (request: NymRequest) => (request.kind === 'registration' ? request.request.kind : request.kind);

export function checkAnnouncements(t: Test, v: VectorReader, crypto: NymCrypto): void {
  for (const [i, a] of v.members('announcement')) {
    const seed = a.hex('identity_private_key');
    const identity = keyFromBase58(a.text('identity_public_key_base58'))!;
    t.is(keyToBase58(crypto.base.ed25519PublicKey(seed)), a.text('identity_public_key_base58'));
    const document = a.text('document');
    t.true(document.includes(a.text('signed_text')));
    const read = readAnnouncement(crypto.base, document, identity);
    if (read.kind !== 'announcement') throw new Error(read.reason);
    const h = v.under(`handshakes.${i}`);
    const { announcement } = read;
    t.is(toHex(announcement.x25519), h.text('public_keys.node_lp_public_key'));
    t.is(announcement.controlPort, 41264 + Number(i));
    t.is(announcement.dataPort, 51264 + Number(i));
    t.true(announcement.enabled);
    t.deepEqual(announcement.kemKeys.get('mlkem768'), digestsOf(crypto, h.hex('public_keys.mlkem_public_key')));
    t.is(announcement.kemKeys.has('mceliece'), i === '1');
    t.is(toHex(announcedDigest(announcement)!.digest), h.text('public_keys.mlkem_public_key_digests.blake3'));
    t.is(writeAnnouncement(crypto.base, seed, announcement), document);
    // A directory quotes the block under another name.
    const quoted = document.replace('{"data":', '{"content":');
    t.deepEqual(readAnnouncement(crypto.base, quoted, identity), read);
  }
}
