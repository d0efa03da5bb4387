/**
 * Both sides of an LP1 session start a rekeying at once (lp1.md §7.7): every order in which the packets of it can arrive,
 * each perhaps never or twice, in both orders of static keys. Depth first; a world cannot be copied, so each path is
 * walked anew from the start. Every prefix of a path is a leaf as well: there the rest is lost. The short form has bounds.
 */
import test from 'ava';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { CryptoProvider } from '../../src/lp/crypto/provider.ts';
import { REKEY_TIMEOUT_MS } from '../../src/lp/v1/family.ts';
import { type Lp1World, SIDE_NAMES, type Side, type SideName, worldIn } from '../support/lp1-world.ts';
import { LONG, must } from '../support/property.ts';

/** Paths differ in their last step only, and the worlds have the same secrets: nearly every DH result is known. */
function remembering(provider: CryptoProvider): CryptoProvider {
  const known = new Map<string, Uint8Array | undefined>();
  return {
    ...provider,
    x25519: (secret, publicKey) => {
      const key = Buffer.concat([secret, publicKey]).toString('latin1');
      if (!known.has(key)) known.set(key, provider.x25519(secret, publicKey));
      return known.get(key)?.slice();
    },
  };
}

const crypto = remembering(await loadProvider('native'));

/** What is enumerated: packets of one path that arrive twice, and whether a side starts again when its time is over. */
interface Bounds {
  readonly duplicated: number;
  readonly restarts: number;
  /** Both KK1s, Abort, KK2, Ready; a restart has a KK1, a KK2 and a Ready more, and perhaps a tie of its own. */
  readonly packets: number;
  /** Steps of one path. */
  readonly depth: number;
}

/** The nth packet that this side sent since the start arrives; or time goes by, and this side starts again. */
type Step =
  | { readonly kind: 'arrives'; readonly from: SideName; readonly nth: number }
  | { readonly kind: 'restart'; readonly from: SideName };

interface Walk {
  readonly world: Lp1World;
  readonly first: Record<SideName, number>;
}

function begin(winner: SideName): Walk {
  const world = worldIn(crypto, 'started by both', { winner });
  // The KK1s are the last ones that were sent.
  return { world, first: { client: world.client.sent.length - 1, gateway: world.gateway.sent.length - 1 } };
}

function walk(winner: SideName, path: readonly Step[]): Walk {
  const started = begin(winner);
  const { world, first } = started;
  for (const step of path) {
    const side = world[step.from];
    if (step.kind === 'arrives') {
      side.peer.take(side.sent[first[step.from] + step.nth]!);
      continue;
    }
    world.later(REKEY_TIMEOUT_MS);
    for (const each of world.sides) each.tick();
    side.start();
  }
  return started;
}

/** What can happen next. */
function next({ world, first }: Walk, path: readonly Step[], bounds: Bounds): Step[] {
  const arrived = new Map<string, number>();
  let restarts = 0;
  for (const step of path) {
    if (step.kind === 'restart') restarts++;
    else arrived.set(step.from + step.nth, (arrived.get(step.from + step.nth) ?? 0) + 1);
  }
  const duplicated = [...arrived.values()].filter((times) => times === 2).length;
  const steps: Step[] = [];
  for (const from of SIDE_NAMES) {
    if (restarts < bounds.restarts) steps.push({ kind: 'restart', from });
    for (let nth = 0; nth < world[from].sent.length - first[from]; nth++) {
      const times = arrived.get(from + nth) ?? 0;
      const again = times === 1 && duplicated < bounds.duplicated;
      if (times === 0 || again) steps.push({ kind: 'arrives', from, nth });
    }
  }
  return steps;
}

/** Here the rest is lost. */
function checkLeaf({ world, first }: Walk, bounds: Bounds): 'agreed' | 'parent' | 'ahead' {
  const { client, gateway } = world;
  const sent = SIDE_NAMES.reduce((sum, name) => sum + world[name].sent.length - first[name], 0);
  must(sent <= bounds.packets, () => `${sent} packets`);
  for (const side of world.sides)
    must(side.promotions <= 1 + bounds.restarts, () => `${side.name} went over ${side.promotions} times`);
  const outcome = !world.agreed ? 'ahead' : client.promotions === 0 ? 'parent' : 'agreed';
  must(outcome === 'ahead' || client.promotions === gateway.promotions, 'agreed means both or none');
  if (outcome === 'ahead') {
    carryOnParent(client.promotions > gateway.promotions ? client : gateway);
    world.heal();
  }
  must(world.exchange(), 'data goes both ways');
  return outcome;
}

/** Who went over still reads what its peer seals on the parent. */
function carryOnParent(ahead: Side): void {
  must(ahead.receive(ahead.peer.say()).kind === 'data', 'the parent carries data');
}

function thenRekeys(walked: Walk, starter: SideName): void {
  const { world } = walked;
  world.later(REKEY_TIMEOUT_MS);
  world.rekey(world[starter]);
  must(world.exchange(), 'data goes both ways');
}

function search(winner: SideName, bounds: Bounds): Record<string, number> {
  const outcomes = { agreed: 0, parent: 0, ahead: 0 };
  const stack: Step[][] = [[]];
  for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
    try {
      const walked = walk(winner, path);
      if (path.length < bounds.depth) for (const step of next(walked, path, bounds)) stack.push([...path, step]);
      outcomes[checkLeaf(walked, bounds)]++;
      // The leaf has been disturbed only by what a session's user does: data, and Ready once more.
      thenRekeys(walked, SIDE_NAMES[path.length % 2]!);
    } catch (cause) {
      const what = path.map((step) => (step.kind === 'restart' ? `${step.from} again` : `${step.from} ${step.nth}`));
      throw new Error(`${what.join(', ')}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
  }
  return outcomes;
}

for (const winner of SIDE_NAMES) {
  test(`two rekeyings at once, the ${winner}'s key is greater: no order, loss or repetition wedges either side`, (t) => {
    const outcomes = search(winner, { duplicated: LONG ? 4 : 1, restarts: 0, packets: 5, depth: 9 });
    t.log(JSON.stringify(outcomes));
    t.true(Object.values(outcomes).every((count) => count > 0));
  });

  test(`two rekeyings at once, the ${winner}'s key is greater, and one more later: nor does what comes late`, (t) => {
    const outcomes = search(winner, { duplicated: LONG ? 1 : 0, restarts: 1, packets: 9, depth: LONG ? 8 : 5 });
    t.log(JSON.stringify(outcomes));
    t.true(Object.values(outcomes).every((count) => count > 0));
  });
}
