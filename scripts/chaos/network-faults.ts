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

export function cutConnections({ parts: { entryDoors, exitDoors } }: World): Promise<Strike> {
  const cut = entryDoors.cutAll() + exitDoors.cutAll();
  return Promise.resolve({ note: `${cut} connections cut at once`, endedMs: performance.now() });
}

export async function troubleNetwork({ parts }: World, prng: Prng, kind: FaultKind): Promise<Strike> {
  const policy = POLICIES[kind];
  if (policy === undefined) throw new Error(`assertion: ${kind} is a fault of the network`);
  const { entryDoors, exitDoors } = parts;
  const [where, doors] = prng.pick([
    ['to the entry', [entryDoors]],
    ['to the exit', [exitDoors]],
    ['to both', [entryDoors, exitDoors]],
  ] as const);
  const ms = FOR_MS.least + prng.below(FOR_MS.more);
  for (const each of doors) each.trouble(policy);
  await wait(ms);
  for (const each of doors) each.calm();
  return { note: `${where}, for ${ms} ms`, endedMs: performance.now() };
}
