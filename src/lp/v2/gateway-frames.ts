/**
 * What a gateway does with an application frame (lp2.md §5): an answer at once, a request that must wait, or nothing.
 */
import type { ApplicationRequest } from '../session.ts';
import {
  decodeForward,
  decodeFrame,
  encodeFailure,
  encodeFrame,
  FAILURE_CODE,
  KIND,
} from '../wire/application-frame.ts';
import type { GatewayFamily } from './gateway-family.ts';

export type FrameVerdict =
  | { readonly kind: 'ignore' }
  | { readonly kind: 'answer'; readonly frame: Uint8Array }
  | { readonly kind: 'request'; readonly request: ApplicationRequest; readonly bodyHash: Uint8Array | undefined };

const IGNORE: FrameVerdict = { kind: 'ignore' };

/** Copies what a request keeps: the frame lies in a batch. */
export function answerFrame(family: GatewayFamily, bytes: Uint8Array): FrameVerdict {
  const frame = decodeFrame(bytes);
  if (frame === undefined) return IGNORE;
  const { kind, requestId, body } = frame;
  switch (kind) {
    case KIND.opaque:
      return { kind: 'answer', frame: bytes };
    case KIND.registrationRequest:
      return registration(family, requestId, body);
    case KIND.forward: {
      const forward = decodeForward(body);
      if (forward === undefined) return failure(requestId, FAILURE_CODE.malformed, 'malformed forward');
      return { kind: 'request', request: { kind: 'forward', requestId, forward }, bodyHash: undefined };
    }
    case KIND.registrationResponse:
    case KIND.forwardResponse:
    case KIND.failure:
      return IGNORE;
    default:
      return failure(requestId, FAILURE_CODE.notOffered, 'unknown kind of frame');
  }
}

function registration(family: GatewayFamily, requestId: number, body: Uint8Array): FrameVerdict {
  const bodyHash = family.context.crypto.blake3(body);
  const recalled = family.recall(requestId, bodyHash);
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
