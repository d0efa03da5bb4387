/**
 * The registrations that a thread has made, to be released at the end. Invariant: at most MAX_KEPT are kept by name; those
 * beyond stay with the gateway until they run out, and are counted.
 */
import type { RandomSource } from '../lp/crypto/provider.ts';
import { KIND } from '../lp/wire/application-frame.ts';
import { decodeAnswer, type Enrolment, encodeRequest } from '../lp/wire/registration-body.ts';
import type { Answer, LiveSession } from './live-session.ts';
import type { World } from './world.ts';

/** 64 bytes of keys each. */
const MAX_KEPT = 200_000;
/** A gateway answers so many side by side without refusing any. */
const RELEASES_AT_ONCE = 16;
const KEY_BYTES = 32;

export interface RegistrationCounts {
  readonly made: number;
  readonly released: number;
  /** Stay with the gateway until they run out. */
  readonly left: number;
}

export interface NewRegistration {
  readonly enrolment: Extract<Enrolment, { readonly mode: 'dvpn' }>;
  readonly owner: Uint8Array;
}

/** Fresh keys: nobody has the private half of the WireGuard key, and no tunnel is ever made. */
export function newRegistration(random: RandomSource): NewRegistration {
  const draw = () => {
    const bytes = new Uint8Array(KEY_BYTES);
    random.fill(bytes);
    return bytes;
  };
  return { enrolment: { mode: 'dvpn', wgPublicKey: draw(), presharedKey: draw() }, owner: draw() };
}

export class Registrations {
  readonly #kept: NewRegistration[] = [];
  #made = 0;
  #released = 0;

  /** Certainly: it stands. Otherwise it may. */
  add(registration: NewRegistration, certainly: boolean): void {
    if (certainly) this.#made++;
    if (this.#kept.length < MAX_KEPT) this.#kept.push(registration);
  }

  get counts(): RegistrationCounts {
    const made = Math.max(this.#made, this.#released);
    return { made, released: this.#released, left: made - this.#released };
  }

  get empty(): boolean {
    return this.#kept.length === 0;
  }

  /** Resolves when all are released, or at that monotonic time, or when the session is lost. */
  async release(world: World, session: LiveSession, untilMs: number): Promise<void> {
    const worker = async () => {
      while (world.now().monotonicMs < untilMs && !session.ended) {
        const next = this.#kept.pop();
        if (next === undefined) return;
        if (await releaseOne(session, next, untilMs)) this.#released++;
      }
    };
    await Promise.all(Array.from({ length: RELEASES_AT_ONCE }, worker));
  }
}

function releaseOne(session: LiveSession, { enrolment, owner }: NewRegistration, untilMs: number): Promise<boolean> {
  const name = { mode: 'dvpn', wgPublicKey: enrolment.wgPublicKey } as const;
  const body = encodeRequest({ op: 'release', name, owner });
  return new Promise((resolve) =>
    session.request(KIND.registrationRequest, body, untilMs, (answer) => resolve(isCompleted(answer))),
  );
}

function isCompleted(answer: Answer): boolean {
  if (answer.kind === 'failed' || answer.frame.kind !== KIND.registrationResponse) return false;
  const decoded = decodeAnswer(answer.frame.body);
  return decoded.kind === 'value' && decoded.value.status === 'completed';
}
