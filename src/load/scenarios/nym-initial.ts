/**
 * *initial*: a handshake, then Initial with fresh keys (nym.md §8.2), completed when the node wants a credential; then the
 * end of the connection, and the node forgets it. Invariant: nothing is ever paid. A node that registers for nothing has
 * registered, and keeps it: the protocol has no way to release.
 */
import { decodeNymResponse, encodeNymRequest } from '../../lp/nym/registration.ts';
import type { Failure } from '../failure.ts';
import { initialMalformed, initialRefused } from '../nym-failure.ts';
import { openNymSession } from '../nym-opening.ts';
import type { NymAnswer } from '../nym-session.ts';
import type { Operation } from '../operation.ts';
import type { RegistrationCounts } from '../registrations.ts';
import type { NymWorld } from '../world.ts';
import { meet, type NymScenarioContext, type NymScenarioKind } from './nym-scenario.ts';
import type { Scenario } from './scenario.ts';

const KEY_BYTES = 32;

export const NYM_INITIAL: NymScenarioKind = (context) => new InitialScenario(context);

class InitialScenario implements Scenario {
  readonly #context: NymScenarioContext;
  #registered = 0;

  constructor(context: NymScenarioContext) {
    this.#context = context;
  }

  prepare(): Promise<void> {
    return meet(this.#context);
  }

  start(operation: Operation): void {
    const { world, peer } = this.#context;
    const { deadlineMs } = operation;
    openNymSession(world, {
      peer,
      deadlineMs,
      failed: (failure) => operation.fail(failure),
      opened: (session) => {
        const body = initialBody(world);
        session.ask(body, deadlineMs, (answer) => {
          const refused = this.#read(answer);
          if (refused === undefined) operation.done();
          else operation.fail(refused);
          session.close();
        });
        body.fill(0);
      },
    });
  }

  finish(): Promise<RegistrationCounts | undefined> {
    const made = this.#registered;
    return Promise.resolve(made === 0 ? undefined : { made, released: 0, left: made });
  }

  /** Undefined: it is as it should be. */
  #read(answer: NymAnswer): Failure | undefined {
    if (answer.kind === 'failed') return answer.failure;
    const response = decodeNymResponse(answer.content);
    switch (response?.kind) {
      case 'credential_required':
        return undefined;
      case 'completed':
        this.#registered++;
        return undefined;
      case 'failed':
        return initialRefused(response.text);
      case 'completed_mixnet':
      case undefined:
        return initialMalformed();
    }
  }
}

/** Nobody has the private half of the WireGuard key: no tunnel is ever made. */
function initialBody({ random, now }: NymWorld): Uint8Array {
  const wgPublicKey = new Uint8Array(KEY_BYTES);
  const presharedKey = new Uint8Array(KEY_BYTES);
  random.fill(wgPublicKey);
  random.fill(presharedKey);
  const time = BigInt(Math.floor(now().unixMs / 1_000));
  return encodeNymRequest({ kind: 'initial', wgPublicKey, presharedKey, time });
}
