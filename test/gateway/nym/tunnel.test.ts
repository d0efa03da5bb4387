/** The tunnel of a client that registers again stays up, with its new preshared key (nym.md §15 N4, B41). */
import { randomBytes } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import { startRegistrarInThread } from '../../../src/gateway/registrar-thread.ts';
import { encodeClaim, NYM_TICKET, worthlessZkNym } from '../../../src/lp/nym/bandwidth-claim.ts';
import { openParts } from '../../../src/registration/registrar-parts.ts';
import { systemClock } from '../../../src/system/clock.ts';
import { systemRandom } from '../../../src/system/random.ts';
import { systemTimers } from '../../../src/system/timers.ts';
import { initial, type NymWorld, startNym, unixTime } from './world.ts';

const key32 = () => Uint8Array.from(randomBytes(32));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** What the WireGuard interface is told of peers, in order. */
async function watched(t: ExecutionContext, set: readonly string[]): Promise<NymWorld & { readonly told: string[] }> {
  const told: string[] = [];
  const open: typeof openParts = async (init, dependencies) => {
    const parts = await openParts(init, dependencies);
    const { wireguard } = parts;
    return {
      ...parts,
      wireguard: {
        upsert(peer) {
          told.push(`${hex(peer.publicKey)} ${hex(peer.presharedKey.bytes)} ${peer.allowedIps.join(' ')}`);
          return wireguard.upsert(peer);
        },
        remove(publicKey) {
          told.push(`remove ${hex(publicKey)}`);
          return wireguard.remove(publicKey);
        },
        resync: (peers) => wireguard.resync(peers),
        list: () => wireguard.list(),
        close: () => wireguard.close(),
      },
    };
  };
  const startRegistrar = () =>
    startRegistrarInThread({
      defer: (action) => setImmediate(action),
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom,
      open,
    });
  return { ...(await startNym(t, { set, dependencies: { startRegistrar } })), told };
}

test('an Initial for a key that stands changes its preshared key in place and is completed', async (t) => {
  const { told, meet } = await watched(t, []);
  const [wgPublicKey, first, second] = [key32(), key32(), key32()];
  const client = await meet();
  const made = await client.register(initial(wgPublicKey, first));
  if (made === 'closed' || made.kind !== 'completed') return t.fail();
  const again = await meet();
  t.deepEqual(await again.register(initial(wgPublicKey, second)), made);
  t.deepEqual(await again.register(initial(wgPublicKey, second)), made);
  const ipv4 = [...made.tunnel.ipv4].join('.');
  t.deepEqual(
    told.map((line) => line.split(' ').slice(0, 3).join(' ')),
    [first, second].map((psk) => `${hex(wgPublicKey)} ${hex(psk)} ${ipv4}/32`),
    'nothing is removed, and what has not changed is not told',
  );
});

test('a Finalise installs the preshared key of the last Initial', async (t) => {
  const set = ['credentials.kind=privacy-pass', 'credentials.issuer=https://issuer.example', 'nym.credentials=mock'];
  const { told, meet } = await watched(t, set);
  const [wgPublicKey, first, second] = [key32(), key32(), key32()];
  const client = await meet();
  for (const psk of [first, second]) {
    t.deepEqual(await client.register(initial(wgPublicKey, psk)), { kind: 'credential_required' });
  }
  const bytes = encodeClaim('zk_nym', worthlessZkNym(), NYM_TICKET.wireguardEntry)!;
  t.like(await client.register({ kind: 'finalise', claim: { bytes }, time: unixTime() }), { kind: 'completed' });
  t.deepEqual(
    told.map((line) => line.split(' ')[1]),
    [hex(second)],
  );
});
