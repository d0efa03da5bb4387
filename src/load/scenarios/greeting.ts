/**
 * A handshake that is known to work: its early frame is echoed where the version has room for one and knows the echo; else
 * the gateway's word that it has the session. What handshakes, directly or through an entry, have in common.
 */
import { FRAME_HEADER_LENGTH, KIND } from '../../lp/wire/application-frame.ts';
import { type Failure, malformed } from '../failure.ts';
import type { Answer, LiveSession } from '../live-session.ts';
import { type EarlyRequest, openSession } from '../opening.ts';
import type { Wire, WireHandlers } from '../wire.ts';
import type { Peer, World } from '../world.ts';

export interface Greeting {
  readonly peer: Peer;
  readonly payload: Uint8Array;
  readonly deadlineMs: number;
  readonly wire?: (handlers: WireHandlers) => Wire;
  /** Once. The session has been told to end by then, or never was. */
  over(failure: Failure | undefined): void;
}

export function greet(world: World, { peer, payload, deadlineMs, wire, over }: Greeting): void {
  const { maxEarlyFrameLength, requestKinds } = world.traits;
  const room = maxEarlyFrameLength - FRAME_HEADER_LENGTH;
  const echoes = room >= 0 && requestKinds.includes(KIND.opaque);
  let session: LiveSession | undefined;
  const end = (failure: Failure | undefined) => {
    over(failure);
    session?.close();
  };
  const body = payload.subarray(0, Math.max(0, room));
  const early: EarlyRequest = { kind: KIND.opaque, body, answered: (answer) => end(echoFailure(answer, body)) };
  openSession(world, {
    peer,
    deadlineMs,
    ...(wire !== undefined && { wire }),
    ...(echoes && { early }),
    opened: (opened) => {
      session = opened;
      if (!echoes) end(undefined);
    },
    failed: (failure) => over(failure),
  });
}

/** For what is not counted: resolves when it is over. */
export function greeted(world: World, greeting: Omit<Greeting, 'over' | 'deadlineMs'>): Promise<void> {
  return new Promise((resolve) => {
    const deadlineMs = world.now().monotonicMs + world.timeoutMs;
    greet(world, { ...greeting, deadlineMs, over: () => resolve() });
  });
}

export function echoFailure(answer: Answer, body: Uint8Array): Failure | undefined {
  if (answer.kind === 'failed') return answer.failure;
  const { frame } = answer;
  const same = frame.kind === KIND.opaque && Buffer.compare(frame.body, body) === 0;
  return same ? undefined : malformed('an echo is not what was sent');
}
