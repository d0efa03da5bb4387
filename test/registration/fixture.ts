/** A registrar on memory backends with a stepped clock, and backends that fail when they are told to. */
import { createHash } from 'node:crypto';
import { blake3 } from '@noble/hashes/blake3.js';
import type { RandomSource } from '../../src/lp/crypto/provider.ts';
import {
  type AnswerBody,
  type Credential,
  decodeAnswer,
  encodeRequest,
  type RegistrationName,
  type RequestBody,
} from '../../src/lp/wire/registration-body.ts';
import { createNoPrice } from '../../src/registration/credentials/none.ts';
import type { CredentialVerifier } from '../../src/registration/credentials/verifier.ts';
import {
  createRegistrar,
  type Registrar,
  type RegistrarFault,
  type RegistrarOptions,
} from '../../src/registration/registrar.ts';
import { createMemoryStore } from '../../src/registration/store/memory.ts';
import { type RegistrationStore, StoreError } from '../../src/registration/store/store.ts';
import { type WireGuardBackend, WireGuardError } from '../../src/registration/wireguard/backend.ts';
import { createMemoryWireGuard, type MemoryWireGuard } from '../../src/registration/wireguard/memory.ts';

export const START = 1_800_000_000;
export const GATEWAY_KEY = bytes32('gateway');

export function bytes32(name: string): Uint8Array {
  return Uint8Array.from(createHash('sha256').update(name).digest());
}

export function seededRandom(seed: number): RandomSource {
  let drawn = 0;
  return {
    kind: 'seeded',
    fill: (out) => {
      out.set(bytes32(`${seed} ${drawn}`).subarray(0, out.length));
      drawn += 1;
    },
  };
}

export const OPTIONS: RegistrarOptions = {
  modes: ['dvpn', 'mixnet'],
  ipv4: { cidr: '10.9.0.0/24' },
  ipv6: { cidr: 'fd09::/112' },
  endpoints: ['192.0.2.1:51820', '[2001:db8::1]:51820'],
  wireGuardPublicKey: GATEWAY_KEY,
  keepaliveSeconds: 25,
  grant: { bandwidth: 2 ** 40, lifetimeSeconds: 86_400 },
  quoteHoldSeconds: 120,
  quotesPerSession: 3,
  registrationsLimit: 1000,
  graceSeconds: 3600,
  queueLength: 64,
};

/** Tokens read `<id>:<challenge>`; a price of one token for 1000 bytes and 100 seconds. */
export const PRICED: CredentialVerifier = {
  offer: () => ({
    kind: 'price',
    challenge: new Uint8Array([1, 2, 3]),
    issuer: 'issuer.example',
    price: { tokens: 1, bandwidth: 1000, lifetime: 100 },
  }),
  verify: async ({ kind, token }, now) => {
    if (kind !== 'test') return { kind: 'refused', code: 'credential_kind' };
    const text = Buffer.from(token).toString();
    if (text.startsWith('bad')) return { kind: 'refused', code: 'credential_invalid' };
    return {
      kind: 'accepted',
      tokenId: bytes32(text),
      keepUntil: now + 1000,
      grant: { bandwidth: 1000, lifetimeSeconds: 100 },
    };
  },
};

export function token(text: string): Credential {
  return { kind: 'test', token: Uint8Array.from(Buffer.from(text)) };
}

export interface Fixture {
  readonly registrar: Registrar;
  readonly store: RegistrationStore;
  readonly wireguard: MemoryWireGuard;
  readonly faults: RegistrarFault[];
  /** Which backend calls fail now: the next `n`, or all. */
  readonly failing: { wireguard: number; store: number };
  now: number;
  ask(
    request: RequestBody,
    from?: Partial<{ source: string; family: string; quotesAllowed: number }>,
  ): Promise<AnswerBody>;
}

export function createFixture(
  options: Partial<RegistrarOptions> = {},
  parts: { verifier?: CredentialVerifier; store?: RegistrationStore; wireguard?: MemoryWireGuard } = {},
): Fixture {
  const store = parts.store ?? createMemoryStore({ maxRegistrations: 1000, maxTokens: 1000 });
  const wireguard = parts.wireguard ?? createMemoryWireGuard();
  const failing = { wireguard: 0, store: 0 };
  const faults: RegistrarFault[] = [];
  const fixture: Omit<Fixture, 'registrar'> = { store, wireguard, faults, failing, now: START, ask };
  const registrar = createRegistrar(
    { ...OPTIONS, ...options },
    {
      now: () => fixture.now,
      random: seededRandom(7),
      blake3: (message) => blake3(message),
      store: failingStore(store, failing),
      wireguard: failingWireGuard(wireguard, failing),
      verifier: parts.verifier ?? createNoPrice(),
      report: (fault) => faults.push(fault),
    },
  );
  async function ask(
    request: RequestBody,
    from: Partial<{ source: string; family: string; quotesAllowed: number }> = {},
  ): Promise<AnswerBody> {
    const outcome = await registrar.handle({
      body: encodeRequest(request),
      source: '198.51.100.7',
      family: 'family',
      quotesAllowed: 10,
      ...from,
    });
    if (outcome.kind === 'failure') throw new Error(`failure ${outcome.code}: ${outcome.text}`);
    const answer = decodeAnswer(outcome.body);
    if (answer.kind === 'malformed') throw new Error(`malformed answer: ${answer.reason}`);
    return answer.value;
  }
  return Object.assign(fixture, { registrar });
}

function failingStore(store: RegistrationStore, failing: { store: number }): RegistrationStore {
  return {
    transaction: (body) => {
      if (failing.store === 0) return store.transaction(body);
      failing.store -= 1;
      return Promise.reject(new StoreError('STORE_UNAVAILABLE', 'told to fail'));
    },
    registrations: () => store.registrations(),
    close: () => store.close(),
  };
}

function failingWireGuard(wireguard: WireGuardBackend, failing: { wireguard: number }): WireGuardBackend {
  const orFail = async (call: () => Promise<void>) => {
    if (failing.wireguard === 0) return call();
    failing.wireguard -= 1;
    throw new WireGuardError('WIREGUARD_UNAVAILABLE', 'told to fail');
  };
  return {
    upsert: (peer) => orFail(() => wireguard.upsert(peer)),
    remove: (publicKey) => orFail(() => wireguard.remove(publicKey)),
    resync: (peers) => orFail(() => wireguard.resync(peers)),
    async *list() {
      await orFail(async () => undefined);
      yield* wireguard.list();
    },
    close: () => wireguard.close(),
  };
}

/** Requests of one client that is called `name`, with the owner secret `owner`. */
export function client(name: string, owner = name, presharedKey = `psk of ${name}`) {
  const wgName: RegistrationName = { mode: 'dvpn', wgPublicKey: bytes32(name) };
  const enrolment = { ...wgName, presharedKey: bytes32(presharedKey) };
  const secret = bytes32(`owner ${owner}`);
  const pay = (credential?: Credential) => (credential === undefined ? {} : { credential });
  return {
    publicKey: wgName.wgPublicKey,
    quote: (): RequestBody => ({ op: 'quote', enrolment, owner: secret }),
    register: (credential?: Credential): RequestBody => ({
      op: 'register',
      enrolment,
      owner: secret,
      ...pay(credential),
    }),
    finalise: (credential?: Credential): RequestBody => ({
      op: 'finalise',
      name: wgName,
      owner: secret,
      ...pay(credential),
    }),
    topup: (credential?: Credential): RequestBody => ({ op: 'topup', name: wgName, owner: secret, ...pay(credential) }),
    balance: (): RequestBody => ({ op: 'balance', name: wgName, owner: secret }),
    release: (): RequestBody => ({ op: 'release', name: wgName, owner: secret }),
  };
}
