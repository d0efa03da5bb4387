/** Registrations to keep, and a ledger of grants that shows torn writes; child processes of tests use them, too. */
import { PresharedKey } from '../../src/registration/preshared-key.ts';
import type { LmdbStore } from '../../src/registration/store/lmdb.ts';
import {
  type DvpnRegistration,
  type MixnetRegistration,
  nameKey,
  type Registration,
  type RegistrationStore,
} from '../../src/registration/store/store.ts';
import { bytes32 } from './fixture.ts';

export function tunnel(name: string, expires = 100): DvpnRegistration {
  return {
    mode: 'dvpn',
    wgPublicKey: bytes32(name),
    presharedKey: new PresharedKey(bytes32(`psk ${name}`)),
    addresses: { ipv4: bytes32(name).slice(0, 4), ipv6: bytes32(name).slice(0, 16) },
    charged: { received: 7, sent: 11 },
    ownerHash: bytes32('owner'),
    bandwidth: 5,
    expires,
    phase: { kind: 'active' },
  };
}

export function mixnet(name: string, expires = 100): MixnetRegistration {
  return {
    mode: 'mixnet',
    clientId: bytes32(name),
    ownerHash: bytes32('owner'),
    bandwidth: 5,
    expires,
    phase: { kind: 'active' },
  };
}

/** In a form that `deepEqual` sees through: a preshared key hides its bytes. */
export function plain(registration: Registration): Record<string, unknown> {
  return registration.mode === 'dvpn'
    ? { ...registration, presharedKey: Buffer.from(registration.presharedKey.bytes).toString('hex') }
    : { ...registration };
}

const COUNTER = 'counter';

/**
 * One transaction that pays, grants and leases: the n-th token for the n-th registration with the n-th address, and the
 * number n itself in a registration of its own. Torn apart, the numbers disagree.
 */
export function grantNext(store: RegistrationStore): Promise<number> {
  return store.transaction(async (tx) => {
    const n = ((await tx.get(tunnel(COUNTER)))?.bandwidth ?? 0) + 1;
    const granted = grant(n);
    await tx.spend({ id: bytes32(`token ${n}`), payer: nameKey(granted), keepUntil: 1000 + n });
    await tx.put(granted);
    await tx.put({ ...tunnel(COUNTER), bandwidth: n });
    return n;
  });
}

function grant(n: number): DvpnRegistration {
  const ipv4 = new Uint8Array(4);
  new DataView(ipv4.buffer).setUint32(0, n);
  return { ...tunnel(`client ${n}`, 100 + n), addresses: { ipv4, ipv6: new Uint8Array(16) } };
}

/** The number of grants, after it has found each with its token and its own address, and nothing besides. Throws. */
export async function checkGrants(store: LmdbStore): Promise<number> {
  const addresses = new Set<string>();
  let counter = 0;
  for await (const registration of store.registrations()) {
    if (registration.mode !== 'dvpn') throw new Error('a registration that nobody wrote');
    if (Buffer.from(registration.wgPublicKey).equals(bytes32(COUNTER))) counter = registration.bandwidth;
    else addresses.add(registration.addresses.ipv4.toString());
  }
  const { registrations, tokens } = store.counts();
  const expected = counter === 0 ? 0 : counter + 1;
  if (registrations !== expected || tokens !== counter || addresses.size !== counter) {
    throw new Error(
      `counter ${counter}, ${registrations} registrations, ${tokens} tokens, ${addresses.size} addresses`,
    );
  }
  const due = await store.transaction((tx) => tx.due(1_000_000, counter + 10));
  if (due.length !== expected) throw new Error(`${due.length} of ${expected} are in the index`);
  for (let n = 1; n <= counter; n += 1) {
    const outcome = await store.transaction((tx) =>
      tx.spend({ id: bytes32(`token ${n}`), payer: 'somebody else', keepUntil: 1 }),
    );
    if (outcome !== 'spent_by_other') throw new Error(`token ${n} of ${counter}: ${outcome}`);
  }
  return counter;
}
