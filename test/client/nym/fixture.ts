/** Nym nodes, proxies and what a client needs to register with them; all end with their test. */
import type { ExecutionContext } from 'ava';
import {
  LewesError,
  MemoryNymKemKeyCache,
  mockCredentialSource,
  type NymCredentialOutcome,
  type NymCredentialRequest,
  type NymCredentialSource,
  type NymHopOptions,
  type NymNodeData,
  type NymRegisterOptions,
} from '../../../src/client/index.ts';
import { CountingProxy } from '../../support/counting-proxy.ts';
import { type NymNodeOptions, NymTestNode } from '../../support/nym-node.ts';

export async function nodeFor(t: ExecutionContext, options?: NymNodeOptions): Promise<NymTestNode> {
  const node = await NymTestNode.listen(options);
  t.teardown(() => node.close());
  return node;
}

export async function proxyFor(t: ExecutionContext, node: NymTestNode): Promise<CountingProxy> {
  const proxy = await CountingProxy.listen(node.port);
  t.teardown(() => proxy.close());
  return proxy;
}

export interface Wallet extends NymCredentialSource {
  readonly asked: NymCredentialRequest[];
  readonly outcomes: string[];
}

/** A different credential each time. */
export function wallet(): Wallet {
  const asked: NymCredentialRequest[] = [];
  const outcomes: string[] = [];
  return {
    asked,
    outcomes,
    async credential(request) {
      asked.push(request);
      const credential = Uint8Array.from(await mockCredentialSource().credential(request));
      // The epoch.
      credential[credential.length - 1] = asked.length;
      return credential;
    },
    settled: ({ hop }: NymCredentialRequest, outcome: NymCredentialOutcome) => void outcomes.push(`${hop} ${outcome}`),
  };
}

export const hopAt = (node: NymNodeData, fill = 0x11): NymHopOptions => ({
  node,
  wgPublicKey: new Uint8Array(32).fill(fill),
  presharedKey: new Uint8Array(32).fill(fill + 1),
});

/** A cache of its own, so that tests do not teach each other. */
export function optionsFor(node: NymNodeData, more: Partial<NymRegisterOptions> = {}): NymRegisterOptions {
  return { entry: hopAt(node), kemKeyCache: new MemoryNymKemKeyCache(), ...more };
}

export async function errorOf(t: ExecutionContext, promise: Promise<unknown>): Promise<LewesError> {
  const error = await t.throwsAsync(promise);
  t.true(error instanceof LewesError, String(error?.stack));
  return error as LewesError;
}
