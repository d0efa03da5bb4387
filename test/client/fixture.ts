/** Gateways, proxies and clients that end with their test. */
import type { ExecutionContext } from 'ava';
import { type ConnectOptions, connect, LewesError, type RegisterRequest } from '../../src/client/index.ts';
import { CountingProxy } from '../support/counting-proxy.ts';
import { SteppedTime } from '../support/stepped-time.ts';
import { TinyGateway, type TinyGatewayOptions } from '../support/tiny-gateway.ts';

export async function gatewayFor(t: ExecutionContext, options?: TinyGatewayOptions): Promise<TinyGateway> {
  const gateway = await TinyGateway.listen(options);
  t.teardown(() => gateway.close());
  return gateway;
}

export async function proxyFor(t: ExecutionContext, gateway: TinyGateway): Promise<CountingProxy> {
  const proxy = await CountingProxy.listen(gateway.port);
  t.teardown(() => proxy.close());
  return proxy;
}

/** A client that is closed before its gateways are. */
export async function clientFor(t: ExecutionContext, options: ConnectOptions) {
  const client = await connect(options);
  t.teardown(() => client.close());
  return client;
}

/** A gateway and what a client needs to reach it, all on one stepped clock. */
export async function steppedSetUp(t: ExecutionContext, options: TinyGatewayOptions = {}) {
  const time = new SteppedTime();
  const gateway = await gatewayFor(t, { clock: time.clock, ...options });
  const base: ConnectOptions = { gateway: gateway.options, clock: time.clock, timers: time };
  return { time, gateway, base };
}

export function registration(fill = 1): RegisterRequest {
  const bytes = (offset: number) => new Uint8Array(32).fill(fill + offset);
  return { mode: 'dvpn', wgPublicKey: bytes(0), presharedKey: bytes(1), owner: bytes(2) };
}

/** The LewesError that the promise rejects with. */
export async function errorOf(t: ExecutionContext, promise: Promise<unknown>): Promise<LewesError> {
  const error = await t.throwsAsync(promise);
  t.true(error instanceof LewesError, String(error?.stack));
  return error as LewesError;
}
