/** Faults of the network: for a while the proxies treat what passes by a policy, on the way to the entry, to the exit, or both. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Prng } from '../../test/support/prng.ts';
import type { FaultKind } from './kinds.ts';
import type { Policy } from './mangle.ts';
import type { Strike } from './strike.ts';
import type { World } from './world.ts';

const FOR_MS = { least: 900, more: 600 } as const;

const POLICIES: Partial<Readonly<Record<FaultKind, Policy>>> = {
  'tcp-delay': { kind: 'delay', minMs: 5, maxMs: 250 },
  'tcp-cut': { kind: 'cut', chance: 0.03 },
  'tcp-split': { kind: 'split', maxBytes: 60, gapMs: 1 },
  'tcp-merge': { kind: 'merge', everyMs: 80 },
  'tcp-duplicate': { kind: 'duplicate', frames: 0.4, echoBytes: 0.01 },
  'tcp-reorder': { kind: 'reorder', holdMs: 60 },
  'tcp-half-close': { kind: 'halfClose', chance: 0.03 },
};

export function cutConnections({ parts: { entryProxy, exitProxy } }: World): Promise<Strike> {
  const cut = entryProxy.cutAll() + exitProxy.cutAll();
  return Promise.resolve({ note: `${cut} connections cut at once`, endedMs: performance.now() });
}

export async function troubleNetwork({ parts }: World, prng: Prng, kind: FaultKind): Promise<Strike> {
  const policy = POLICIES[kind];
  if (policy === undefined) throw new Error(`assertion: ${kind} is a fault of the network`);
  const { entryProxy, exitProxy } = parts;
  const [where, proxies] = prng.pick([
    ['to the entry', [entryProxy]],
    ['to the exit', [exitProxy]],
    ['to both', [entryProxy, exitProxy]],
  ] as const);
  const ms = FOR_MS.least + prng.below(FOR_MS.more);
  for (const proxy of proxies) proxy.policy = policy;
  await wait(ms);
  for (const proxy of proxies) proxy.calm();
  return { note: `${where}, for ${ms} ms`, endedMs: performance.now() };
}
