/**
 * A second look at a store whose gateway was killed: a copy of its files, opened for reading. What it holds is compared with
 * what the customers know. Throws at the first thing that is lost, torn, doubled or nobody's.
 */
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LmdbStore, openLmdbStore } from '../../src/registration/store/lmdb.ts';
import type { DvpnRegistration } from '../../src/registration/store/store.ts';
import { tokenIdOf } from '../../test/support/mint.ts';
import { must } from '../../test/support/property.ts';
import { BANDWIDTH, type Customer, hex, type Standing } from './crash-customers.ts';

const LIMITS = { maxRegistrations: 1_000_000, maxTokens: 1_000_000 };
const COPIES = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export interface Found {
  readonly registrations: number;
  readonly tokens: number;
  /** Operations whose answer was lost: carried out, and not. */
  readonly done: number;
  readonly undone: number;
}

/** `undefined` when there is no store yet. */
export async function checkStore(path: string, customers: readonly Customer[]): Promise<Found> {
  if (!existsSync(join(path, 'data.mdb'))) return { registrations: 0, tokens: 0, done: 0, undone: 0 };
  const directory = mkdtempSync(join(COPIES, 'lewes-crash-'));
  try {
    cpSync(path, join(directory, 'store'), { recursive: true });
    const store = await openLmdbStore({ path: join(directory, 'store'), ...LIMITS, readOnly: true });
    try {
      return await compare(store, customers);
    } finally {
      await store.close();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function compare(store: LmdbStore, customers: readonly Customer[]): Promise<Found> {
  const kept = await readAll(store);
  let [done, undone, spent] = [0, 0, 0];
  const claimed: [Uint8Array, boolean][] = [];
  for (const customer of customers) {
    const found = kept.get(customer.key);
    kept.delete(customer.key);
    const isDone = settle(customer, found);
    if (customer.pending !== undefined) [done, undone] = isDone ? [done + 1, undone] : [done, undone + 1];
    if (customer.pending?.token !== undefined) claimed.push([customer.pending.token, isDone]);
    for (const token of customer.spent) claimed.push([token, true]);
  }
  must(kept.size === 0, () => `${kept.size} registrations are nobody's`);
  const there = await spentTokens(
    store,
    claimed.map(([token]) => token),
  );
  for (const [n, [, isDone]] of claimed.entries()) {
    must(there[n] === isDone, isDone ? 'a grant whose token is not spent' : 'a token is spent without its grant');
    if (isDone) spent += 1;
  }
  const { registrations, tokens } = store.counts();
  must(tokens === spent, () => `${tokens} tokens are spent, not ${spent}`);
  return { registrations, tokens, done, undone };
}

async function readAll(store: LmdbStore): Promise<Map<string, DvpnRegistration>> {
  const kept = new Map<string, DvpnRegistration>();
  const addresses = new Set<string>();
  for await (const registration of store.registrations()) {
    must(registration.mode === 'dvpn' && registration.phase.kind === 'active', 'a registration of another kind');
    kept.set(hex(registration.wgPublicKey), registration);
    addresses.add(hex(registration.addresses.ipv4)).add(hex(registration.addresses.ipv6));
  }
  must(addresses.size === 2 * kept.size, () => `${kept.size} registrations have ${addresses.size} addresses`);
  return kept;
}

/** Whether the pending operation has been carried out; notes what that came to. */
function settle(customer: Customer, found: DvpnRegistration | undefined): boolean {
  const { standing, pending } = customer;
  const stands = found && standingOf(found);
  if (pending === undefined) {
    must(same(stands, standing), () => `acknowledged ${show(standing)}, kept ${show(stands)}`);
    return false;
  }
  const known = pending.seen === 'before' ? customer.after(pending) : pending.seen;
  const isDone = same(stands, known);
  must(isDone || (pending.seen === 'before' && same(stands, standing)), () => {
    return `${pending.kind}: ${show(standing)} or ${show(known)}, kept ${show(stands)}`;
  });
  if (isDone) pending.seen = stands;
  return isDone;
}

function standingOf({ bandwidth, addresses, presharedKey, expires }: DvpnRegistration): Standing {
  return {
    grants: bandwidth / BANDWIDTH,
    addresses: hex(addresses.ipv4) + hex(addresses.ipv6),
    presharedKey: hex(presharedKey.bytes),
    expires,
  };
}

function same(found: Standing | undefined, known: Standing | undefined): boolean {
  if (found === undefined || known === undefined) return found === known;
  const { addresses = found.addresses, expires = found.expires } = known;
  const { grants, presharedKey } = found;
  return (
    grants === known.grants &&
    presharedKey === known.presharedKey &&
    addresses === found.addresses &&
    expires === found.expires
  );
}

/** Without its preshared key. */
function show(standing: Standing | undefined): string {
  return standing === undefined ? 'nothing' : JSON.stringify({ ...standing, presharedKey: undefined });
}

class Looked extends Error {}

/** For each token whether the store has it: it is tried, and the transaction given up. */
async function spentTokens(store: LmdbStore, tokens: readonly Uint8Array[]): Promise<readonly boolean[]> {
  const spent: boolean[] = [];
  const looking = store.transaction(async (tx) => {
    for (const token of tokens) {
      const outcome = await tx.spend({ id: tokenIdOf(token), payer: 'nobody', keepUntil: 1 });
      spent.push(outcome !== 'spent_now');
    }
    throw new Looked();
  });
  await looking.catch((error: unknown) => {
    if (!(error instanceof Looked)) throw error;
  });
  return spent;
}
