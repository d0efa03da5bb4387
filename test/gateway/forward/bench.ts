/** What the forwarder's tests share: a forwarder, one exit that it lists, stepped time; all closed at the end. */
import assert from 'node:assert/strict';
import type { ExecutionContext } from 'ava';
import { createAllowList } from '../../../src/gateway/forward/allow-list.ts';
import {
  createForwarder,
  type Forwarder,
  type ForwarderDependencies,
  type ForwarderOptions,
  type ForwardRequest,
} from '../../../src/gateway/forward/forwarder.ts';
import { FakeExit, packet, SESSION_INDEX } from './fake-exit.ts';
import { SteppedTimers } from './stepped-timers.ts';

export const IDENTITY = new Uint8Array(32).fill(7);
export const SEALED = packet(SESSION_INDEX, 0x55, 60);
export const REPLY = packet(SESSION_INDEX, 0xaa, 70);
export const REPLY_2 = packet(SESSION_INDEX, 0xbb, 80);
export const HELLO = packet(0, 0x11, 134);

export interface Bench {
  readonly exit: FakeExit;
  readonly timers: SteppedTimers;
  readonly forwarder: Forwarder;
  /** A request to the exit: one sealed packet, one reply, family "a", where not said otherwise. */
  request(changes?: Partial<ForwardRequest>): ForwardRequest;
}

type Changes = Partial<ForwarderOptions> & Pick<ForwarderDependencies, 'connect'> & { readonly halfOpenExit?: boolean };

export async function setUp(t: ExecutionContext, changes: Changes = {}): Promise<Bench> {
  const { connect, halfOpenExit = false, ...options } = changes;
  const exit = await FakeExit.listen(halfOpenExit);
  const timers = new SteppedTimers();
  const allowList = createAllowList([{ identity: IDENTITY, address: '127.0.0.1', port: exit.port }]);
  const forwarder = createForwarder(
    { allowList, ...options },
    { timers, nowMs: () => timers.nowMs(), ...(connect === undefined ? {} : { connect }) },
  );
  t.teardown(async () => {
    await forwarder.close();
    await exit.close();
    assert.equal(forwarder.status().openConnections, 0);
    assert.equal(timers.pending, 0);
  });
  const target = { identity: IDENTITY, family: 0, ip: new Uint8Array(0), port: 0 } as const;
  const request = (other: Partial<ForwardRequest> = {}): ForwardRequest => ({
    family: 'a',
    target,
    replies: 1,
    packets: [SEALED],
    ...other,
  });
  return { exit, timers, forwarder, request };
}
