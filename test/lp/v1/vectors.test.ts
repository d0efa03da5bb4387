/**
 * All of lp1.json with both providers: what this side builds has the vectors' bytes, and the vectors' bytes open to what
 * they were built from. The last test fails when a value was read by none.
 */
import test from 'ava';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { loadVectors, VectorReader } from '../../support/vectors.ts';
import { checkForward, checkHello, checkIdentities, checkKeyTransfer } from './vectors/opening.ts';
import { checkKemRun, checkNobleAgreed, checkPsqMessages, checkPsqSchedule, KEM_RUNS } from './vectors/psq.ts';
import {
  checkData,
  checkHandshakePackets,
  checkKeySchedule,
  checkNoiseHandshake,
  checkSubsession,
} from './vectors/session.ts';

const PROVIDERS = await Promise.all([loadProvider('native'), loadProvider('portable')]);
const vectors = new VectorReader(loadVectors('lp1.json'));

test.serial('ClientHello, Ack, Collision and the forward payload are those of the vectors', (t) => {
  checkHello(t, vectors);
  checkForward(t, vectors);
});

for (const crypto of PROVIDERS) {
  const { name } = crypto;

  test.serial(`identities and key transfer are those of the vectors (${name})`, (t) => {
    checkIdentities(t, vectors, crypto);
    checkKeyTransfer(t, vectors, crypto);
  });

  test.serial(`PSQ with X25519 has the keys and messages of the vectors (${name})`, (t) => {
    checkPsqSchedule(t, vectors, crypto);
    checkPsqMessages(t, vectors, crypto);
  });

  for (const run of KEM_RUNS) {
    test.serial(`PSQ with ${run.kem} has the keys and the message of the vectors (${name})`, (t) => {
      checkKemRun(t, vectors, crypto, run);
    });
  }

  test.serial(`session and subsession keys are those of the vectors (${name})`, (t) => {
    checkKeySchedule(t, vectors, crypto);
  });

  test.serial(`both roles of Noise XK write and read the messages of the vectors (${name})`, (t) => {
    checkNoiseHandshake(t, vectors, crypto);
    checkHandshakePackets(t, vectors, crypto);
  });

  test.serial(`data packets both ways are those of the vectors (${name})`, (t) => {
    checkData(t, vectors, crypto);
  });

  test.serial(`a subsession up to its first data has the keys and packets of the vectors (${name})`, (t) => {
    checkSubsession(t, vectors, crypto);
  });
}

test.serial('no value of the vectors is left unread', (t) => {
  checkNobleAgreed(t, vectors);
  t.deepEqual(vectors.unread(), []);
});
