/**
 * Customers that register, top up, rekey and release with real tokens, as those of the crash tests do (scripts/e2e): what each
 * was told is compared with what it knows, and in the end with the store. Each has one operation under way at most, and asks
 * again until it has an answer.
 */
import { type AnswerBody, type Client, type ConnectOptions, LewesError } from '../../src/client/index.ts';
import type { BlindKey } from '../../src/issuer/blind-key.ts';
import { mintToken } from '../../test/support/mint.ts';
import type { Prng } from '../../test/support/prng.ts';
import { Customer, type OperationKind } from '../e2e/crash-customers.ts';
import { Connected } from './clients.ts';
import { Patient, type PatientParts } from './patient.ts';

const CALM_MS = 120;
const HURRIED_MS = 5;

export interface ShopParts {
  readonly prng: Prng;
  readonly issuerKey: BlindKey;
  readonly challenge: Uint8Array;
  readonly customers: number;
}

/** All customers, and the tokens. */
export class Shop {
  readonly customers: readonly Customer[];
  /** As many operations as possible. */
  hurried = false;
  /** Only what is pending is finished. */
  closing = false;
  readonly #parts: ShopParts;

  constructor(parts: ShopParts) {
    this.#parts = parts;
    this.customers = Array.from({ length: parts.customers }, () => new Customer(parts.prng));
  }

  get pending(): number {
    return this.customers.filter(({ pending }) => pending !== undefined).length;
  }

  get standing(): readonly Customer[] {
    return this.customers.filter(({ standing }) => standing !== undefined);
  }

  /** One that nobody serves; those that wait for an answer first. */
  next(): Customer | undefined {
    const free = this.customers.filter(({ busy }) => !busy);
    const waiting = free.filter(({ pending }) => pending !== undefined);
    if (waiting.length > 0) return this.#parts.prng.pick(waiting);
    return free.length === 0 || this.closing ? undefined : this.#parts.prng.pick(free);
  }

  async serve(customer: Customer, client: Client): Promise<void> {
    customer.busy = true;
    try {
      if (customer.pending !== undefined) await customer.finish(client);
      else await this.#operate(customer, client);
    } finally {
      customer.busy = false;
    }
  }

  #operate(customer: Customer, client: Client): Promise<void> {
    const { prng } = this.#parts;
    if (customer.standing === undefined) {
      const robbed = prng.pick(this.customers).spent.at(-1);
      if (prng.chance(0.05) && robbed !== undefined) return customer.steal(client, robbed);
      return customer.start(client, prng.chance(0.6) ? 'register' : 'enrol', this.#token(), prng);
    }
    if (!this.hurried && prng.chance(0.25)) return customer.again(client, prng.pick(['balance', 'register', 'quote']));
    const kind: OperationKind = prng.pick(['topup', 'topup', 'rekey', 'release']);
    return customer.start(client, kind, kind === 'topup' ? this.#token() : undefined, prng);
  }

  #token(): Uint8Array {
    return mintToken(this.#parts.issuerKey, this.#parts.challenge);
  }
}

export interface BuyerParts extends PatientParts {
  readonly shop: Shop;
  readonly options: ConnectOptions;
}

/** Serves one customer after the other over a session of its own. */
export class Buyer extends Patient {
  readonly #shop: Shop;
  readonly #connected: Connected;

  constructor(name: string, parts: BuyerParts) {
    super(name, parts);
    this.#shop = parts.shop;
    this.#connected = new Connected(parts.options, () => this.record.disturbed(performance.now()));
  }

  protected override get paceMs(): number {
    return this.#shop.hurried ? HURRIED_MS : CALM_MS;
  }

  protected override async act(): Promise<void> {
    const client = await this.#connected.client();
    const customer = this.#shop.next();
    if (customer !== undefined) await this.#shop.serve(customer, certain(client, customer));
  }

  protected override close(): Promise<void> {
    return this.#connected.close();
  }
}

const METHODS: ReadonlySet<PropertyKey> = new Set(['register', 'enrol', 'quote', 'topup', 'balance', 'release']);

/**
 * The client, with answers that leave open what has happened made into errors, so that they are asked again. A release that
 * was carried out before its answer got lost is answered like one of nothing: then it is done, and the store will tell
 * if it is not.
 */
function certain(client: Client, customer: Customer): Client {
  return new Proxy(client, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function' || !METHODS.has(name)) return value;
      return async (...args: unknown[]) => {
        const answer: AnswerBody = await Reflect.apply(value, target, args);
        if (answer.status !== 'failed') return answer;
        // Where the store was seen without it, the customer expects that answer.
        const wasReleased = answer.code === 'not_owner' && customer.pending?.seen === 'before';
        if (name === 'release' && wasReleased) return RELEASED;
        if (answer.code === 'try_later') throw tryLater();
        return answer;
      };
    },
  });
}

const RELEASED: AnswerBody = { status: 'completed', mode: 'mixnet', bandwidth: 0, expires: 0 };

function tryLater(): LewesError {
  const message = 'the gateway says to try later';
  return new LewesError({ code: 'refused', hop: 'direct', step: 'registration', reason: 'try_later', message });
}
