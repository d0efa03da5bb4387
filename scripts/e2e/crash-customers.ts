/**
 * The customers of a gateway that is killed all the time, and what each of them knows. Invariant: a customer has one
 * operation under way at most, so whatever the store shows after a kill is its state before that operation or after it, and
 * nothing else; whose answer was lost repeats the same request with the same token (registration.md, rules 1 and 2).
 */
import type { AnswerBody, Client, RegisterRequest, StandingRequest, TokenSource } from '../../src/client/index.ts';
import { PRIVACY_PASS } from '../../src/lp/wire/privacy-pass.ts';
import type { Prng } from '../../test/support/prng.ts';
import { must } from '../../test/support/property.ts';

/** What one token buys here. */
export const BANDWIDTH = 1_000_000;

export interface Standing {
  readonly grants: number;
  /** IPv4 and IPv6 in hex; `undefined` where only a lost answer told them. */
  readonly addresses: string | undefined;
  /** In hex. */
  readonly presharedKey: string;
  /** Unix seconds; `undefined` where only a lost answer told it. */
  readonly expires: number | undefined;
}

export type OperationKind = 'register' | 'enrol' | 'topup' | 'rekey' | 'release';

/** It was sent, and no answer has come. */
export interface Pending {
  readonly kind: OperationKind;
  readonly token: Uint8Array | undefined;
  /** Asked for the token again, it gives the same one. */
  readonly source: TokenSource | undefined;
  /** As a new preshared key. */
  readonly presharedKey: string;
  /** What the store has shown since, if it was carried out. */
  seen: Standing | undefined | 'before';
}

export class Customer {
  readonly wgPublicKey: Uint8Array;
  readonly key: string;
  readonly #owner: Uint8Array;
  standing: Standing | undefined;
  pending: Pending | undefined;
  /** Somebody works for it at this moment. */
  busy = false;
  /** Tokens that have surely been spent. */
  readonly spent: Uint8Array[] = [];
  #presharedKey: string;

  constructor(prng: Prng) {
    this.wgPublicKey = prng.bytes(32);
    this.key = Buffer.from(this.wgPublicKey).toString('hex');
    this.#owner = prng.bytes(32);
    this.#presharedKey = hex(prng.bytes(32));
  }

  /** Sends a new operation. Rejects when its answer is lost; then it is pending. */
  async start(client: Client, kind: OperationKind, token: Uint8Array | undefined, prng: Prng): Promise<void> {
    must(this.pending === undefined, 'one operation at a time');
    const presharedKey = kind === 'rekey' ? hex(prng.bytes(32)) : this.#presharedKey;
    const source = token && { token: async () => token };
    this.pending = { kind, token, source, presharedKey, seen: 'before' };
    await this.finish(client);
  }

  /** Sends what is pending, for the first time or again. */
  async finish(client: Client): Promise<void> {
    const { pending } = this;
    if (pending === undefined) return;
    const answer = await this.#send(client, pending);
    if (answer.status === 'failed') {
      // A release that was carried out before its answer was lost.
      const gone = pending.kind === 'release' && answer.code === 'not_owner' && pending.seen === undefined;
      must(gone, () => `${pending.kind} (${show(pending.seen)}): ${answer.code}`);
    } else this.#compare(pending, answer);
    this.standing = this.after(pending, answer);
    this.#presharedKey = pending.presharedKey;
    if (pending.token !== undefined) this.spent.push(pending.token);
    this.pending = undefined;
  }

  /** What asks again for what stands costs nothing and changes nothing. */
  async again(client: Client, how: 'balance' | 'register' | 'quote'): Promise<void> {
    const { standing } = this;
    const answer = how === 'balance' ? await client.balance(this.#named()) : await client[how](this.#opening());
    if (standing === undefined) {
      must(answer.status !== 'completed', () => `${how} of what does not stand is completed`);
      return;
    }
    must(answer.status === 'completed', () => `${how}: ${show(answer)}`);
    const { bandwidth, expires } = answer;
    must(bandwidth === standing.grants * BANDWIDTH && expires === standing.expires, () => `${how}: another balance`);
    must(addressesOf(answer) === standing.addresses, () => `${how}: other addresses`);
  }

  /** With a token of somebody else, who has spent it: must not be taken. */
  async steal(client: Client, token: Uint8Array): Promise<void> {
    const answer = await client.register({ ...this.#opening(), credential: { kind: PRIVACY_PASS, token } });
    must(answer.status === 'failed' && answer.code === 'credential_spent', () => `a spent token: ${show(answer)}`);
  }

  /** What stands once the pending operation has been carried out. */
  after({ kind, presharedKey }: Pending, answer?: AnswerBody): Standing | undefined {
    if (kind === 'release') return undefined;
    const before = this.standing;
    const addresses = (answer && addressesOf(answer)) ?? before?.addresses;
    const paid = kind === 'rekey' ? 0 : 1;
    const expires = answer?.status === 'completed' ? answer.expires : paid === 0 ? before?.expires : undefined;
    return { grants: (before?.grants ?? 0) + paid, addresses, presharedKey, expires };
  }

  #send(client: Client, { kind, token, source, presharedKey }: Pending): Promise<AnswerBody> {
    const credential = token && { kind: PRIVACY_PASS, token };
    const opening = this.#opening(presharedKey);
    switch (kind) {
      case 'register':
        return client.register(credential === undefined ? opening : { ...opening, credential });
      case 'enrol':
        return client.enrol(opening, source);
      case 'topup':
        return client.topup(credential === undefined ? this.#named() : { ...this.#named(), credential });
      case 'rekey':
        return client.register(opening);
      case 'release':
        return client.release(this.#named());
    }
  }

  #compare(pending: Pending, answer: AnswerBody): void {
    must(answer.status === 'completed', () => `${pending.kind}: ${show(answer)}`);
    must(pending.kind !== 'release' || pending.seen === 'before', 'released twice');
    if (pending.kind === 'release') return;
    const after = this.after(pending, answer);
    const charged = answer.bandwidth === (after?.grants ?? 0) * BANDWIDTH;
    must(charged, () => `${pending.kind}: ${answer.bandwidth} bytes for ${after?.grants} tokens`);
    const known = pending.seen === 'before' || pending.seen === undefined ? this.standing : pending.seen;
    const same = known?.addresses === undefined || known.addresses === addressesOf(answer);
    must(same, () => `${pending.kind}: other addresses than before`);
    const ends = pending.seen === 'before' ? undefined : pending.seen?.expires;
    must(ends === undefined || ends === answer.expires, () => `${pending.kind}: carried out twice`);
  }

  #opening(presharedKey = this.#presharedKey): RegisterRequest {
    const { wgPublicKey } = this;
    return { mode: 'dvpn', wgPublicKey, presharedKey: Buffer.from(presharedKey, 'hex'), owner: this.#owner };
  }

  #named(): StandingRequest {
    return { mode: 'dvpn', wgPublicKey: this.wgPublicKey, owner: this.#owner };
  }
}

function addressesOf(answer: AnswerBody): string | undefined {
  if (!('addresses' in answer) || answer.addresses === undefined) return undefined;
  return hex(answer.addresses.ipv4) + hex(answer.addresses.ipv6);
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function show(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}
