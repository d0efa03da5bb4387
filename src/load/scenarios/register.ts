/**
 * *register*: a handshake that brings a registration with fresh keys, paid with a token where the gateway asks for one
 * (registration.md), then Close. LP1 asks on the new session. Invariant: every registration that was or may have been made
 * is released at the end where the version can, and a token is used for one registration only.
 */

import { KIND } from '../../lp/wire/application-frame.ts';
import { sameBytes } from '../../lp/wire/bytes.ts';
import { keyToBase58 } from '../../lp/wire/key-text.ts';
import { decodeTokenChallenge, encodeTokenChallenge, PRIVACY_PASS } from '../../lp/wire/privacy-pass.ts';
import {
  type AnswerBody,
  type Credential,
  decodeAnswer,
  encodeRequest,
  type RegistrationCode,
} from '../../lp/wire/registration-body.ts';
import { cleaned, type Failure, failure, malformed, timedOut } from '../failure.ts';
import type { Answer, LiveSession } from '../live-session.ts';
import { openSession } from '../opening.ts';
import type { Operation } from '../operation.ts';
import { type NewRegistration, newRegistration, type RegistrationCounts, Registrations } from '../registrations.ts';
import { pause } from '../session-pool.ts';
import type { Scenario, ScenarioContext, ScenarioKind } from './scenario.ts';

export const REGISTER: ScenarioKind = { create: (context) => new RegisterScenario(context) };

const UNTOUCHED: readonly RegistrationCode[] = ['pool_exhausted', 'limit_reached', 'try_later', 'mode_not_offered'];
/** How often the session that releases may be asked for, where the gateway is busy. */
const RELEASE_SESSION_TRIES = 3;

interface Asking {
  readonly op: 'quote' | 'register';
  readonly registration: NewRegistration;
  readonly token?: Uint8Array;
  readonly deadlineMs: number;
  /** `sent`: the gateway may have acted on the request. */
  over(result: AnswerBody | Failure, sent: boolean): void;
}

class RegisterScenario implements Scenario {
  readonly #context: ScenarioContext;
  readonly #registrations = new Registrations();

  constructor(context: ScenarioContext) {
    this.#context = context;
  }

  /** Learns the KEM key and whether a token is asked for. */
  prepare(): Promise<void> {
    const { world, target, tokens } = this.#context;
    const registration = newRegistration(world.random);
    // A version that cannot end registrations makes none that was not asked for.
    if (!world.traits.managesRegistrations) return Promise.resolve();
    const deadlineMs = world.now().monotonicMs + world.timeoutMs;
    return new Promise((resolve) => {
      const over = (result: AnswerBody | Failure) => {
        if (!isFailure(result) && result.status === 'completed') this.#registrations.add(registration, true);
        const challenge = isFailure(result) ? undefined : ownChallenge(result, target.identity);
        if (challenge !== undefined) tokens.begin(challenge);
        resolve();
      };
      this.#ask({ op: 'quote', registration, deadlineMs, over });
    });
  }

  start(operation: Operation): void {
    const { tokens, world } = this.#context;
    if (tokens.challenge === undefined) {
      this.#register(operation, undefined);
      return;
    }
    tokens.take((token, refused) => {
      if (token === undefined) return operation.fail(refused ?? failure('PAYMENT_FAILED', 'there is no token'));
      if (world.now().monotonicMs < operation.deadlineMs) return this.#register(operation, token);
      tokens.giveBack(token);
      operation.fail(timedOut('no token came', world.timeoutMs));
    });
  }

  async finish(untilMs: number): Promise<RegistrationCounts> {
    const { world } = this.#context;
    const registrations = this.#registrations;
    if (!registrations.empty && world.traits.managesRegistrations) {
      const session = await this.#releasingSession(untilMs);
      if (session !== undefined) await registrations.release(world, session, untilMs);
      session?.close();
    }
    return registrations.counts;
  }

  #register(operation: Operation, token: Uint8Array | undefined): void {
    const { world, tokens } = this.#context;
    const registration = newRegistration(world.random);
    const over = (result: AnswerBody | Failure, sent: boolean) => {
      const refused = refusalOf(result);
      const made = refused === undefined;
      const uncertain = sent && isFailure(result);
      if (made || uncertain) this.#registrations.add(registration, made);
      if (token !== undefined && (!sent || leavesToken(result))) tokens.giveBack(token);
      if (made) operation.done();
      else operation.fail(refused);
    };
    const { deadlineMs } = operation;
    this.#ask({ op: 'register', registration, ...(token !== undefined && { token }), deadlineMs, over });
  }

  #ask({ op, registration, token, deadlineMs, over }: Asking): void {
    const { world, target } = this.#context;
    const { enrolment, owner } = registration;
    const credential: Credential | undefined = token && { kind: PRIVACY_PASS, token };
    const body = encodeRequest(
      op === 'register' && credential !== undefined ? { op, enrolment, owner, credential } : { op, enrolment, owner },
    );
    let session: LiveSession | undefined;
    const answered = (answer: Answer) => {
      over(readAnswer(answer), true);
      session?.close();
    };
    const early = world.traits.maxEarlyFrameLength > 0;
    openSession(world, {
      peer: target,
      deadlineMs,
      ...(early && { early: { kind: KIND.registrationRequest, body, answered } }),
      opened: (opened) => {
        session = opened;
        if (!early) session.request(KIND.registrationRequest, body, deadlineMs, answered);
      },
      failed: (reason, lastMessageSent) => over(reason, early && lastMessageSent),
    });
  }

  async #releasingSession(untilMs: number): Promise<LiveSession | undefined> {
    const { world, target } = this.#context;
    for (let tries = 0; tries < RELEASE_SESSION_TRIES; tries++) {
      const result = await new Promise<LiveSession | Failure>((resolve) =>
        openSession(world, { peer: target, deadlineMs: untilMs, opened: resolve, failed: resolve }),
      );
      if (!isFailure(result)) return result;
      const waitMs = (result.retryAfterS ?? 0) * 1_000;
      if (waitMs === 0 || world.now().monotonicMs + waitMs > untilMs) return undefined;
      await pause(world, waitMs, NEVER_ABORTED);
    }
    return undefined;
  }
}

const NEVER_ABORTED = new AbortController().signal;

function isFailure(result: AnswerBody | Failure | LiveSession): result is Failure {
  return 'example' in result;
}

function readAnswer(answer: Answer): AnswerBody | Failure {
  if (answer.kind === 'failed') return answer.failure;
  if (answer.frame.kind !== KIND.registrationResponse) return malformed('it is no registration answer');
  // The answer's bytes are the read buffer's.
  const decoded = decodeAnswer(answer.frame.body.slice());
  return decoded.kind === 'value' ? decoded.value : malformed(`its body has a fault (${decoded.reason})`);
}

/** The gateway refused for a reason of its own, and has not touched the token. */
function leavesToken(result: AnswerBody | Failure): boolean {
  return !isFailure(result) && result.status === 'failed' && UNTOUCHED.includes(result.code);
}

/** Undefined: it is completed. */
function refusalOf(result: AnswerBody | Failure): Failure | undefined {
  if (isFailure(result)) return result;
  switch (result.status) {
    case 'completed':
      return undefined;
    case 'credential_required':
      return failure('PAYMENT_FAILED_TOKEN_ASKED', 'the gateway asks for a token, though its first answer did not');
    case 'failed':
      return failure(`REFUSED_${result.code.toUpperCase()}`, `the gateway says: ${cleaned(result.text)}`);
  }
}

/** The challenge, if it is for this gateway alone: tokens are spent for nothing else. */
function ownChallenge(answer: AnswerBody, identity: Uint8Array): Uint8Array | undefined {
  if (answer.status !== 'credential_required') return undefined;
  const issuerName = decodeTokenChallenge(answer.challenge)?.issuerName;
  if (issuerName === undefined) return undefined;
  const own = encodeTokenChallenge({ issuerName, originInfo: keyToBase58(identity) });
  return sameBytes(own, answer.challenge) ? own : undefined;
}
