/** Peers after a loss: what WireGuard refuses, and what is lost while it is told everything anew. */
import test from 'ava';
import { Peers, type RegistrationSource } from '../../src/registration/peers.ts';
import { PresharedKey } from '../../src/registration/preshared-key.ts';
import { type DvpnRegistration, NO_TRANSFER } from '../../src/registration/store/store.ts';
import { WireGuardError } from '../../src/registration/wireguard/backend.ts';
import { createMemoryWireGuard } from '../../src/registration/wireguard/memory.ts';
import { PeersRefusedError } from '../../src/registration/wireguard/peers-refused.ts';

function registration(fill: number): DvpnRegistration {
  const bytes = (length: number) => new Uint8Array(length).fill(fill);
  return {
    mode: 'dvpn',
    wgPublicKey: bytes(32),
    presharedKey: new PresharedKey(bytes(32)),
    addresses: { ipv4: bytes(4), ipv6: bytes(16) },
    ownerHash: bytes(32),
    bandwidth: 1,
    expires: 1_000,
    phase: { kind: 'active' },
    charged: NO_TRANSFER,
  };
}

function sourceOf(fills: readonly number[]): RegistrationSource {
  return {
    get: async (name) => (name.mode === 'dvpn' ? registration(name.wgPublicKey[0] ?? 0) : undefined),
    async *all() {
      for (const fill of fills) yield registration(fill);
    },
  };
}

test('a peer that is refused stays in doubt, all others are settled, and the failure is told', async (t) => {
  const memory = createMemoryWireGuard();
  const bad = registration(2);
  let refusing = true;
  const peers = new Peers({
    ...memory,
    upsert: (peer) => memory.upsert(peer),
    list: () => memory.list(),
    close: () => memory.close(),
    remove: (key) => memory.remove(key),
    async resync(all) {
      for await (const peer of all) if (!refusing || peer.publicKey[0] !== 2) await memory.upsert(peer);
      if (refusing) throw new PeersRefusedError([bad.wgPublicKey], new WireGuardError('WIREGUARD_REFUSED', 'no'));
    },
  });
  await t.throwsAsync(peers.repair(sourceOf([1, 2, 3])), { instanceOf: PeersRefusedError });
  t.deepEqual(
    [1, 2, 3].map((fill) => peers.isSettled(registration(fill))),
    [true, false, true],
  );
  refusing = false;
  await peers.repair(sourceOf([1, 2, 3]));
  t.true(peers.settled);
  t.is(memory.size, 3);
});

test('a loss during a resync leaves all in doubt', async (t) => {
  const memory = createMemoryWireGuard();
  const peers = new Peers(memory);
  const source = sourceOf([1]);
  await peers.repair({
    ...source,
    async *all() {
      yield* source.all();
      peers.doubtAll();
    },
  });
  t.false(peers.settled);
  await peers.repair(source);
  t.true(peers.settled);
});

test('the gateway keeps no way open to its peers: that is for clients', async (t) => {
  const memory = createMemoryWireGuard();
  await new Peers(memory).repair(sourceOf([1]));
  t.is(memory.peer(registration(1).wgPublicKey)?.keepaliveSeconds, 0);
});
