/** The index that H2 promises names nothing before H3, and has to go on being routed here: only the client's own H3 may follow. */
import test from 'ava';
import { loadProvider } from '../../src/lp/crypto/load.ts';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import { encodeUnsealed, TYPE } from '../../src/lp/wire/packet.ts';
import { initiatorFor, opaque, sealedFrame } from '../support/handshake.ts';
import { Prng } from '../support/prng.ts';
import { type Effect, ShardHarness } from '../support/shard-harness.ts';

const crypto = await loadProvider('native');

test('a packet on an index that H2 promised is dropped, and the index stays routed for the session that H3 makes', (t) => {
  const options = {
    crypto,
    random: new Prng(7).source(),
    gatewaySeed: new Uint8Array(32).fill(2),
    unixMs: 1_764_583_200_000,
  };
  const harness = new ShardHarness(options);
  harness.createKemKey('ml-kem-768', new Uint8Array(64).fill(5));
  const routed = new Set<number>();
  const send = (packet: Uint8Array): Effect[] => {
    const effects = harness.packet(packet);
    for (const effect of effects) {
      if (effect.kind === 'indexTaken') routed.add(effect.index);
      else if (effect.kind === 'indexFree') routed.delete(effect.index);
    }
    return effects;
  };
  const initiator = initiatorFor(harness, { crypto, random: new Prng(8).source() });
  let step = initiator.start(harness.now);
  let family: ClientFamily | undefined;
  for (let round = 0; round < 4 && step.kind === 'send'; round++) {
    let next: typeof step | { kind: 'wait' } = { kind: 'wait' };
    for (const packet of step.packets) {
      for (const effect of send(packet.slice())) {
        if (effect.kind !== 'reply') continue;
        const taken = initiator.receive(effect.packet, harness.now);
        if (taken.kind === 'established') family = taken.session;
        if (taken.kind === 'send') next = taken;
      }
      // A guess, or what a client sent too early, at every point of the handshake.
      for (const index of [...routed].filter((candidate) => candidate >= 0x8000_0000)) {
        if (family === undefined) send(encodeUnsealed(index, 0, TYPE.encryptedData, new Uint8Array(8)));
      }
    }
    step = next as typeof step;
  }
  const packet = family && sealedFrame(family, opaque(1));
  t.truthy(packet);
  t.true(
    [...routed].some((index) => index >= 0x8000_0000),
    'the session is routed',
  );
  t.true(send(packet!).some((effect) => effect.kind === 'reply'));
});
