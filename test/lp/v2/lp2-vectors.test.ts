/**
 * All of lp2.json but `negative_gateway` (gateway-vectors.test.ts), positive and negative, with both providers. The last
 * test fails when a section, a case or a field was read by none.
 */
import test from 'ava';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { loadVectors, VectorReader } from '../../support/vectors.ts';
import { checkH2Refusals, checkKk2Refusals, checkKktRefusals } from './vectors/client-negatives.ts';
import { SUITES } from './vectors/inputs.ts';
import {
  checkApplicationFrames,
  checkFraming,
  checkPacketSizes,
  checkPrimitives,
  checkTransport,
  checkUnsealedPackets,
} from './vectors/packets.ts';
import { checkFirstWithKem, checkSubsessionKeys, checkTwoRekeys } from './vectors/subsessions.ts';
import { checkBothRoles, checkKem, checkKeySchedule, checkKeyTransfer } from './vectors/suites.ts';

const PROVIDERS = await Promise.all([loadProvider('native'), loadProvider('portable')]);
const vectors = new VectorReader(loadVectors('lp2.json'));

test.serial('unsealed packets, application frames, framing and sizes are those of the vectors', (t) => {
  checkUnsealedPackets(t, vectors);
  checkApplicationFrames(t, vectors);
  checkFraming(t, vectors);
  checkPacketSizes(t, vectors);
});

for (const crypto of PROVIDERS) {
  const { name } = crypto;

  test.serial(`primitives and transport packets are those of the vectors (${name})`, (t) => {
    checkPrimitives(t, vectors, crypto);
    checkTransport(t, vectors, crypto);
  });

  for (const { suite, kem } of SUITES) {
    const v = vectors.under(`suites.${suite}`);
    test.serial(`KEM, key transfer and key schedule of ${kem} are those of the vectors (${name})`, (t) => {
      checkKem(t, v, crypto, kem);
      checkKeyTransfer(t, v, crypto, kem);
      checkKeySchedule(t, v, crypto, kem);
    });

    test.serial(`Initiator and Shard exchange the packets of the vectors with ${kem} (${name})`, (t) => {
      checkBothRoles(t, v, crypto, kem);
    });
  }

  test.serial(`subsessions have the keys and packets of the vectors (${name})`, (t) => {
    const v = vectors.under('subsession');
    for (const path of ['first', 'second_on_the_first_successor_with_kem', 'first_with_kem'])
      checkSubsessionKeys(t, v.under(path), crypto);
    checkTwoRekeys(t, v, crypto);
    checkFirstWithKem(t, v.under('first_with_kem'), crypto);
  });

  test.serial(`a client refuses what negative_client lists and then takes the true message (${name})`, (t) => {
    const v = vectors.under('negative_client');
    checkKktRefusals(t, v, crypto);
    checkH2Refusals(t, v, crypto);
    checkKk2Refusals(t, v, crypto);
  });
}

test.serial('no section, case or field of the vectors is left unread', (t) => {
  vectors.skip('about');
  t.deepEqual(
    vectors.unread().filter((path) => !path.startsWith('negative_gateway.')),
    [],
  );
});
