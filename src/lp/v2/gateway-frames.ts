/**
 * What a gateway does with an application frame (lp2.md §5): an answer at once, a request that must wait, or nothing.
 */
import type { ApplicationAnswer, ApplicationRequest } from '../session.ts';
import {
  decodeForward,
  decodeFrame,
  encodeFailure,
  encodeForwardResponse,
  encodeFrame,
  FAILURE_CODE,
  FRAME_HEADER_LENGTH,
  KIND,
  MAX_FRAME_BODY_LENGTH,
} from '../wire/application-frame.ts';
import type { Recalled } from './answer-cache.ts';

export type FrameVerdict =
  | { readonly kind: 'ignore' }
  | { readonly kind: 'answer'; readonly frame: Uint8Array }
  | { readonly kind: 'request'; readonly request: ApplicationRequest; readonly bodyHash: Uint8Array | undefined };

/** What of the family a frame needs. */
export interface FrameHost {
  hashOfBody(body: Uint8Array): Uint8Array;
  /** Looks a registration up among the answers that are kept. */
  recall(requestId: number, bodyHash: Uint8Array, nowMs: number): Recalled;
}

const IGNORE: FrameVerdict = { kind: 'ignore' };

/** Copies what a request keeps: the frame lies in a batch. */
export function answerFrame(host: FrameHost, bytes: Uint8Array, nowMs: number): FrameVerdict {
  // An echo is the most frequent frame, and needs no part of it.
  if (bytes[0] === KIND.opaque && bytes.length >= FRAME_HEADER_LENGTH) return { kind: 'answer', frame: bytes };
  const frame = decodeFrame(bytes);
  if (frame === undefined) return IGNORE;
  const { kind, requestId, body } = frame;
  switch (kind) {
    case KIND.registrationRequest:
      return registration(host, requestId, body, nowMs);
    case KIND.forward: {
      const forward = decodeForward(body);
      if (forward === undefined) return failure(requestId, FAILURE_CODE.malformed, 'malformed forward');
      return { kind: 'request', request: { kind: 'forward', requestId, forward, alone: false }, bodyHash: undefined };
    }
    case KIND.registrationResponse:
    case KIND.forwardResponse:
    case KIND.failure:
      return IGNORE;
    default:
      return failure(requestId, FAILURE_CODE.notOffered, 'unknown kind of frame');
  }
}

function registration(host: FrameHost, requestId: number, body: Uint8Array, nowMs: number): FrameVerdict {
  const bodyHash = host.hashOfBody(body);
  const recalled = host.recall(requestId, bodyHash, nowMs);
  switch (recalled.kind) {
    case 'running':
      return IGNORE;
    case 'answered':
      return { kind: 'answer', frame: recalled.frame };
    case 'reused':
      return failure(requestId, FAILURE_CODE.requestIdReused, 'request id reused');
    case 'unknown':
      return { kind: 'request', request: { kind: 'registration', requestId, body: body.slice() }, bodyHash };
  }
}

function failure(requestId: number, code: number, text: string): FrameVerdict {
  return { kind: 'answer', frame: encodeFrame(KIND.failure, requestId, encodeFailure({ code, text })) };
}

export function tryLater(requestId: number): Uint8Array {
  return encodeFrame(KIND.failure, requestId, encodeFailure({ code: FAILURE_CODE.tryLater, text: 'try later' }));
}

/** The frame that carries an answer of forwarder or registrar. */
export function encodeAnswer(requestId: number, answer: ApplicationAnswer): Uint8Array {
  switch (answer.kind) {
    case 'registration':
      return encodeFrame(KIND.registrationResponse, requestId, answer.body);
    case 'forward': {
      const body = encodeForwardResponse(answer.response);
      // The forwarder keeps replies within a packet; this is the last line before a packet that cannot be sealed.
      const fitting = body.length <= MAX_FRAME_BODY_LENGTH ? body : Uint8Array.of(4);
      return encodeFrame(KIND.forwardResponse, requestId, fitting);
    }
    case 'failure':
      return encodeFrame(KIND.failure, requestId, encodeFailure(answer));
    case 'index':
      throw new Error('assertion: LP2 assigns its indices and never asks for one');
  }
}
