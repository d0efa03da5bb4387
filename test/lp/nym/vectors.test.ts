/**
 * All of nym.json with both providers: both roles write the reference's bytes, take what is required and refuse the rest.
 * The last test fails when a value was read by none.
 */
import test from 'ava';
import { loadProvider } from '../../../src/lp/crypto/load.ts';
import { nymCrypto } from '../../../src/lp/crypto/nym-load.ts';
import { loadVectors, VectorReader } from '../../support/vectors.ts';
import { checkFrames, checkNested } from './vectors/frames.ts';
import { checkHandshake, checkPipelined, checkSessionId, checkSizes } from './vectors/handshakes.ts';
import { HOPS } from './vectors/inputs.ts';
import {
  checkAnnouncementCases,
  checkBodies,
  checkForwards,
  checkKktRequests,
  checkKktResponses,
  checkMessages1,
  checkMessages2,
  checkPackets,
  checkTimestamps,
} from './vectors/refusals.ts';
import { checkAnnouncements, checkExchange, checkRequests, checkResponses } from './vectors/registration.ts';

const PROVIDERS = await Promise.all([loadProvider('native'), loadProvider('portable')]);
const vectors = new VectorReader(loadVectors('nym.json'));
const cases = vectors.under('accept_or_refuse');

test.serial('sizes, tags and registration requests are those of the vectors', (t) => {
  checkSizes(t, vectors);
  checkRequests(t, vectors);
});

test.serial('bodies, times and forwards are taken or refused as the vectors require', (t) => {
  checkBodies(t, cases);
  checkTimestamps(t, cases);
  checkForwards(t, cases);
});

for (const provider of PROVIDERS) {
  const crypto = nymCrypto(provider);
  const { name } = provider;

  for (const { name: who, path, hop } of HOPS) {
    test.serial(`initiator and responder write the handshake of the vectors, ${who} (${name})`, (t) => {
      checkHandshake(t, vectors.under(path), crypto, who, hop);
      checkPipelined(t, vectors.under(path), crypto, hop);
      checkSessionId(t, vectors.under(path), crypto);
    });
  }

  test.serial(`frames of every size and kind have the wire of the vectors (${name})`, (t) => {
    checkFrames(t, vectors, crypto, 'transport_frames.frames', 'transport_frames.session');
    checkFrames(t, vectors, crypto, 'registration_exchange.frames', 'registration_exchange.session');
  });

  test.serial(`a registration has the frames of the vectors at both ends (${name})`, (t) => {
    checkExchange(t, vectors, crypto);
    checkResponses(t, vectors, crypto);
  });

  test.serial(`the exit's handshake and registration inside forwards have the wires of the vectors (${name})`, (t) => {
    checkFrames(t, vectors, crypto, 'nested_through_forward.outer_frames', 'nested_through_forward.outer_session');
    checkFrames(t, vectors, crypto, 'nested_through_forward.inner_frames', 'nested_through_forward.inner_session');
    checkNested(t, vectors, crypto);
  });

  test.serial(`announcements are read, verified and written as in the vectors (${name})`, (t) => {
    checkAnnouncements(t, vectors, crypto);
    checkAnnouncementCases(t, cases, crypto);
  });

  test.serial(`the node takes or refuses KKT requests and messages 1 as the vectors require (${name})`, (t) => {
    checkKktRequests(t, cases, crypto);
    checkMessages1(t, cases, crypto);
  });

  test.serial(`the client takes or refuses KKT responses and messages 2 as the vectors require (${name})`, (t) => {
    checkKktResponses(t, cases, crypto);
    checkMessages2(t, cases, crypto);
  });

  test.serial(
    `packets are taken or refused in the order and with the state that the vectors require (${name})`,
    (t) => {
      checkPackets(t, cases, crypto);
    },
  );
}

test.serial('no value of the vectors is left unread', (t) => {
  vectors.skip('about');
  cases.skip('about');
  for (const [key] of vectors.members('how_to_read')) vectors.skip(`how_to_read.${key}`);
  t.deepEqual(vectors.unread(), []);
});
