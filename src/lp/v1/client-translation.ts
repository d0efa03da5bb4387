/**
 * A client's side of LP1's application layer: application frames (lp2.md §5) to payloads, and what a gateway replies back
 * to frames with the same request id. What LP1 cannot say is answered here, before anything is sent. The gateway's bytes
 * are judged: a reply that does not fit the request gives `undefined`, its texts are cut and cleaned.
 */
import { FORWARD_UNANSWERED } from '../client-session.ts';
import type { Now } from '../time.ts';
import {
  type ApplicationFrame,
  decodeForward,
  decodeFrame,
  encodeFailure,
  encodeForwardResponse,
  encodeFrame,
  FAILURE_CODE,
  FORWARD_STATUS,
  type Forward,
  KIND,
} from '../wire/application-frame.ts';
import { MAX_PACKET_LENGTH, MIN_PACKET_LENGTH } from '../wire/packet.ts';
import {
  type AnswerBody,
  decodeRequest,
  encodeAnswer,
  isAnnouncedEndpoint,
  type RegistrationMode,
  type RequestBody,
} from '../wire/registration-body.ts';
import {
  decodeRegistrationResponse,
  encodeForwardData,
  encodeRegistrationRequest,
  type GatewayData,
  TICKET_TYPE,
} from './application-bodies.ts';
import { emptyCredential, isCredential, ZK_NYM_KIND } from './credential.ts';
import { formatSocketAddress, type IpAddress, isUnspecified } from './socket-address.ts';
import { MAX_PAYLOAD_LENGTH } from './transport.ts';

/** Stands for the end of a registration in answers of LP1 gateways, which do not tell it. */
export const EXPIRY_NOT_TOLD = Number.MAX_SAFE_INTEGER;
const KEEPALIVE_SECONDS = 25;
const MAX_TEXT_BYTES = 256;
const KEY_LENGTH = 32;
/** What the field asks for; the gateway ignores it, and knows the client's address if that is its business. */
const NO_CLIENT_IP: IpAddress = { family: 4, ip: new Uint8Array(4) };

/** What is needed to read the replies: holds no secrets. */
export type PendingTranslation =
  | { readonly kind: 'registration'; readonly requestId: number; readonly mode: RegistrationMode }
  | { readonly kind: 'forward'; readonly requestId: number; readonly replies: number };

export type TranslatedRequest =
  /** One exchange each, in this order; `pending` reads what they bring. */
  | { readonly kind: 'payloads'; readonly payloads: readonly Uint8Array[]; readonly pending: PendingTranslation }
  /** Nothing is sent: this frame is the answer. */
  | { readonly kind: 'answered'; readonly frame: Uint8Array };

/** `frame` is this side's own, with its header at least. To be called when it is sent: the time goes into it. */
export function requestToPayload(frame: Uint8Array, now: Now): TranslatedRequest {
  const decoded = decodeFrame(frame);
  if (decoded === undefined) throw new Error('assertion: an application frame has 5 bytes at least');
  switch (decoded.kind) {
    case KIND.registrationRequest:
      return translateRegistration(decoded, now);
    case KIND.forward:
      return translateForward(decoded);
    case KIND.opaque:
      return notOffered(decoded, 'LP1 has no echo: use LP2');
    default:
      return notOffered(decoded, 'LP1 carries registrations and forwards only');
  }
}

/**
 * The answer to a request from its replies, in their order: one to a registration; to a forward those that came.
 * `undefined` where a reply cannot be one. `gatewayIp`, where it is known, takes the place of an unspecified endpoint
 * (lp1.md §8.6); without it such an endpoint is left out, and the list is empty.
 */
export function payloadToAnswer(
  pending: PendingTranslation,
  replies: readonly Uint8Array[],
  gatewayIp?: IpAddress,
): Uint8Array | undefined {
  switch (pending.kind) {
    case 'registration': {
      const [reply, ...more] = replies;
      const answer = reply && more.length === 0 ? readResponse(pending.mode, reply, gatewayIp) : undefined;
      return answer && encodeFrame(KIND.registrationResponse, pending.requestId, encodeAnswer(answer));
    }
    case 'forward':
      return forwardAnswer(pending.requestId, FORWARD_STATUS.ok, replies);
  }
}

/**
 * The connection ended without a (further) reply. An LP1 gateway says in this way that a forward failed, or that the exit
 * sent nothing; what came before is kept. For a registration it says nothing: nobody knows whether it stands.
 */
export function unansweredToAnswer(
  pending: PendingTranslation,
  replies: readonly Uint8Array[],
): Uint8Array | undefined {
  if (pending.kind !== 'forward') return undefined;
  // Nobody asked for a reply: the entry has done what it could.
  const status = pending.replies === 0 ? FORWARD_STATUS.ok : FORWARD_UNANSWERED;
  return forwardAnswer(pending.requestId, status, replies);
}

function forwardAnswer(requestId: number, status: number, packets: readonly Uint8Array[]): Uint8Array | undefined {
  if (packets.some(({ length }) => length < MIN_PACKET_LENGTH || length > MAX_PACKET_LENGTH)) return undefined;
  return encodeFrame(KIND.forwardResponse, requestId, encodeForwardResponse({ status, packets }));
}

function translateRegistration(frame: ApplicationFrame, now: Now): TranslatedRequest {
  const decoded = decodeRequest(frame.body);
  if (decoded.kind === 'malformed') return failure(frame, FAILURE_CODE.malformed, 'malformed registration');
  const request = decoded.value;
  if (request.op !== 'register') {
    return notOffered(frame, `LP1 has no ${request.op}, it can only register: use LP2`);
  }
  const credential = credentialOf(request);
  if (credential.kind === 'refused') return answered(frame, credential.answer);
  const { enrolment } = request;
  const dvpn = enrolment.mode === 'dvpn';
  const payload = encodeRegistrationRequest({
    wgPublicKey: dvpn ? enrolment.wgPublicKey : new Uint8Array(KEY_LENGTH),
    credential: credential.blob,
    ticketType: dvpn ? TICKET_TYPE.wireguardEntry : TICKET_TYPE.mixnetEntry,
    mode: dvpn ? { kind: 'dvpn' } : { kind: 'mixnet', clientId: enrolment.clientId },
    clientIp: NO_CLIENT_IP,
    timestamp: BigInt(Math.max(0, Math.floor(now.unixMs / 1000))),
  });
  const { requestId } = frame;
  return { kind: 'payloads', payloads: [payload], pending: { kind: 'registration', requestId, mode: enrolment.mode } };
}

type UsableCredential =
  | { readonly kind: 'usable'; readonly blob: Uint8Array }
  | { readonly kind: 'refused'; readonly answer: AnswerBody };

function credentialOf(request: Extract<RequestBody, { readonly op: 'register' }>): UsableCredential {
  const { credential } = request;
  if (credential === undefined) return { kind: 'usable', blob: emptyCredential() };
  if (credential.kind !== ZK_NYM_KIND) {
    return refused('credential_kind', 'LP1 carries credentials of kind zk-nym only: use LP2 for others');
  }
  if (!isCredential(credential.token)) return refused('credential_invalid', 'the zk-nym has not the form LP1 sends');
  return { kind: 'usable', blob: credential.token };
}

function refused(code: 'credential_kind' | 'credential_invalid', text: string): UsableCredential {
  return { kind: 'refused', answer: { status: 'failed', code, text } };
}

function translateForward(frame: ApplicationFrame): TranslatedRequest {
  const forward = decodeForward(frame.body);
  if (forward === undefined) return failure(frame, FAILURE_CODE.malformed, 'malformed forward');
  if (forward.target.family === 0) return notOffered(frame, "LP1 needs the exit's address: name it with its key");
  const payloads = forwardPayloads(forward);
  if (payloads.some(({ length }) => length > MAX_PAYLOAD_LENGTH)) {
    return notOffered(frame, 'the packet is too long for an LP1 forward');
  }
  const { requestId } = frame;
  return { kind: 'payloads', payloads, pending: { kind: 'forward', requestId, replies: forward.replies } };
}

/** An LP1 forward carries one packet and brings one reply at most. */
function forwardPayloads({ target, packets }: Forward): Uint8Array[] {
  return packets.map((packet) => encodeForwardData(target, packet));
}

/** In mixnet mode the response has no data, in dvpn mode it has to. */
function readResponse(mode: RegistrationMode, reply: Uint8Array, gatewayIp?: IpAddress): AnswerBody | undefined {
  const response = decodeRegistrationResponse(reply);
  if (response === undefined) return undefined;
  // LP1 has a text and no codes: nothing sure can be said of what would help.
  if (!response.success) return { status: 'failed', code: 'internal', text: cleanText(response.error) };
  const { gatewayData, allocatedBandwidth } = response;
  const bandwidth = Number(allocatedBandwidth);
  const rest = { bandwidth: Math.min(bandwidth, Number.MAX_SAFE_INTEGER), expires: EXPIRY_NOT_TOLD };
  if (mode === 'mixnet') {
    return gatewayData === undefined ? { status: 'completed', mode, ...rest } : undefined;
  }
  if (gatewayData === undefined) return undefined;
  const { publicKey, ipv4, ipv6 } = gatewayData;
  return {
    status: 'completed',
    mode,
    wgPublicKey: publicKey,
    endpoints: endpointsOf(gatewayData, gatewayIp),
    addresses: { ipv4, ipv6 },
    keepalive: KEEPALIVE_SECONDS,
    ...rest,
  };
}

/** The reference announces the address that it binds to, often an unspecified one (§10-C 32). */
function endpointsOf({ endpoint }: GatewayData, gatewayIp: IpAddress | undefined): string[] {
  const known = gatewayIp !== undefined && isUnspecified(endpoint) ? { ...gatewayIp, port: endpoint.port } : endpoint;
  return [formatSocketAddress(known)].filter(isAnnouncedEndpoint);
}

/** A text of the gateway, fit for a terminal and a log: nothing that controls either, at most 256 bytes. */
function cleanText(text: string): string {
  let clean = '';
  let bytes = 0;
  for (const character of text) {
    const shown = /[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(character) ? character : '?';
    bytes += new TextEncoder().encode(shown).length;
    if (bytes > MAX_TEXT_BYTES) break;
    clean += shown;
  }
  return clean === '' ? 'the gateway refused and gave no reason' : clean;
}

function answered(frame: ApplicationFrame, answer: AnswerBody): TranslatedRequest {
  return { kind: 'answered', frame: encodeFrame(KIND.registrationResponse, frame.requestId, encodeAnswer(answer)) };
}

function notOffered(frame: ApplicationFrame, text: string): TranslatedRequest {
  return failure(frame, FAILURE_CODE.notOffered, text);
}

function failure(frame: ApplicationFrame, code: number, text: string): TranslatedRequest {
  return { kind: 'answered', frame: encodeFrame(KIND.failure, frame.requestId, encodeFailure({ code, text })) };
}
