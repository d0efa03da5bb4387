import test from 'ava';
import fc from 'fast-check';
import { Enrolment, type EnrolmentStep } from '../../../src/client/nym/enrolment.ts';
import { worthlessZkNym } from '../../../src/lp/nym/bandwidth-claim.ts';
import { decodeNymRequest, encodeNymResponse, NYM_FAILURE_TEXT } from '../../../src/lp/nym/registration.ts';
import { tunnelNumber } from '../../support/nym-node.ts';

const UNIX_MS = 1_780_000_000_000;
const ANSWERS = [
  { kind: 'credential_required' },
  { kind: 'completed', tunnel: tunnelNumber(5) },
  { kind: 'completed_mixnet', key: new Uint8Array(32) },
  ...[NYM_FAILURE_TEXT.timestamp, NYM_FAILURE_TEXT.notInProgress, 'something else'].map(
    (text) => ({ kind: 'failed', mode: 'dvpn', text }) as const,
  ),
] as const;

const enrolment = () =>
  new Enrolment({
    wgPublicKey: new Uint8Array(32).fill(1),
    presharedKey: new Uint8Array(32).fill(2),
    ticket: 'wireguard_exit',
    clock: { guessS: 0, hintS: undefined, search: true },
  });

/** An answer of the node, or `lost`: the connection went, and a fresh one begins. */
const EVENT = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...ANSWERS).map(encodeNymResponse) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 80 }) },
  { weight: 1, arbitrary: fc.constant('lost' as const) },
);

test('whatever a node answers, and whenever connections are lost, one credential at most is used, and it ends', (t) => {
  fc.assert(
    fc.property(fc.array(EVENT, { maxLength: 60 }), (events) => {
      const subject = enrolment();
      let step: EnrolmentStep = subject.begin(UNIX_MS);
      let paid = 0;
      const claims = new Set<string>();
      for (const event of events) {
        if (step.kind === 'credentialRequired') {
          paid++;
          step = subject.pay(worthlessZkNym(), UNIX_MS) ?? step;
        }
        if (step.kind === 'send') {
          const request = decodeNymRequest(step.body);
          t.is(request?.kind, step.step);
          if (request?.kind === 'finalise') claims.add(Buffer.from(request.claim.bytes).toString('hex'));
          step = event === 'lost' ? subject.begin(UNIX_MS) : subject.receive(event, UNIX_MS);
        }
      }
      t.true(paid <= 1 && claims.size <= paid);
      t.is(subject.over, step.kind === 'completed' || step.kind === 'failed');
      t.false(subject.over && subject.uncertain);
      if (events.filter((event) => event !== 'lost').length > 40) t.true(subject.over || step.kind === 'send');
    }),
    { numRuns: 2_000 },
  );
});

test('without lost connections a node can keep a client busy for 32 answers at most', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...ANSWERS.map(encodeNymResponse)), { minLength: 40, maxLength: 40 }),
      (all) => {
        const subject = enrolment();
        let step: EnrolmentStep = subject.begin(UNIX_MS);
        let answers = 0;
        for (const content of all) {
          if (step.kind === 'credentialRequired') step = subject.pay(worthlessZkNym(), UNIX_MS) ?? step;
          if (step.kind !== 'send') break;
          step = subject.receive(content, UNIX_MS);
          answers++;
        }
        t.true(subject.over);
        t.true(answers <= 32);
      },
    ),
    { numRuns: 500 },
  );
});

test('what is no zk-nym is not sent, and another one may follow', (t) => {
  const subject = enrolment();
  subject.begin(UNIX_MS);
  t.is(subject.receive(encodeNymResponse({ kind: 'credential_required' }), UNIX_MS).kind, 'credentialRequired');
  t.is(subject.pay(Uint8Array.of(1, 2, 3), UNIX_MS), undefined);
  t.false(subject.credentialSent);
  t.is(subject.pay(worthlessZkNym(), UNIX_MS)?.kind, 'send');
  t.true(subject.uncertain);
});

test('what is over has forgotten its credential, and prints nothing of it', (t) => {
  const subject = enrolment();
  subject.begin(UNIX_MS);
  subject.receive(encodeNymResponse({ kind: 'credential_required' }), UNIX_MS);
  subject.pay(worthlessZkNym(), UNIX_MS);
  const step = subject.receive(encodeNymResponse({ kind: 'completed', tunnel: tunnelNumber(7) }), UNIX_MS);
  t.is(step.kind, 'completed');
  t.true(subject.over && subject.credentialSent && !subject.uncertain);
});
