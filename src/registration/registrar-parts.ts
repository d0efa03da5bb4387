/**
 * What a registrar works with, opened as its thread is told: store, WireGuard backend, credential verifier. All or, when
 * one of them fails, none stays open. Modules with native code are loaded only where they are asked for.
 */
import type { RandomSource } from '../lp/crypto/provider.ts';
import { assertNever } from '../lp/drop-reason.ts';
import type { Clock } from '../system/clock.ts';
import type { Timers } from '../system/timers.ts';
import { createNoPrice } from './credentials/none.ts';
import { createPrivacyPass, type IssuerPublicKey } from './credentials/privacy-pass.ts';
import type { CredentialVerifier } from './credentials/verifier.ts';
import { createMockZkNym, NYM_ZK_NYM_KIND, withZkNym } from './credentials/zk-nym.ts';
import type { CredentialChoice, RegistrarInit, StoreChoice } from './registrar-messages.ts';
import { createMemoryStore } from './store/memory.ts';
import type { RegistrationStore } from './store/store.ts';
import type { WireGuardBackend } from './wireguard/backend.ts';
import { createMemoryWireGuard } from './wireguard/memory.ts';
import type { UapiEvent } from './wireguard/uapi.ts';

export interface StoreCounts {
  readonly registrations: number;
  readonly tokens: number;
}

export interface RegistrarParts {
  readonly store: RegistrationStore & { counts?(): StoreCounts };
  readonly wireguard: WireGuardBackend;
  readonly verifier: CredentialVerifier & { setKeys?(keys: readonly IssuerPublicKey[]): void };
}

export interface PartsDependencies {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: RandomSource;
  /** Something about the interface that the operator should read; no secrets. */
  readonly note: (text: string) => void;
  /** The interface has come back without its peers. */
  readonly peersLost: () => void;
}

/** Rejects with StoreError, WireGuardError or PrivacyPassConfigError. */
export async function openParts(init: RegistrarInit, dependencies: PartsDependencies): Promise<RegistrarParts> {
  const verifier = verifierOf(init.credentials, dependencies.random);
  const store = await openStore(init.store);
  try {
    return { store, wireguard: await openWireGuard(init, dependencies), verifier };
  } catch (error) {
    await store.close();
    throw error;
  }
}

function verifierOf(choice: CredentialChoice, random: RandomSource): RegistrarParts['verifier'] {
  if (choice.kind === 'none') return createNoPrice();
  const { bandwidth, lifetime } = choice.price;
  const mock = createMockZkNym({ bandwidth, lifetimeSeconds: lifetime }, random);
  const privacyPass = createPrivacyPass(choice);
  const lp1 = choice.zkNym === 'off' ? privacyPass : withZkNym(privacyPass, mock);
  return choice.nym === 'off' ? lp1 : withZkNym(lp1, mock, NYM_ZK_NYM_KIND);
}

async function openStore(choice: StoreChoice): Promise<RegistrarParts['store']> {
  if (choice.kind === 'memory') return createMemoryStore(choice);
  const { openLmdbStore } = await import('./store/lmdb.ts');
  const { path, maxRegistrations, maxTokens } = choice;
  return openLmdbStore({ path, maxRegistrations, maxTokens });
}

/** An interface that is not there yet is no reason not to start: it is looked for, and registrations wait meanwhile. */
async function openWireGuard(
  { wireguard: choice, options }: RegistrarInit,
  { clock, timers, note, peersLost }: PartsDependencies,
): Promise<WireGuardBackend> {
  if (choice.kind === 'memory') return createMemoryWireGuard();
  const { createUapiWireGuard } = await import('./wireguard/uapi.ts');
  const { interfaceName, socketPath, listenPort, privateKey } = choice;
  const backend = createUapiWireGuard({
    interfaceName,
    ...(socketPath !== undefined && { socketPath }),
    privateKey: { bytes: privateKey },
    publicKey: options.wireGuardPublicKey,
    listenPort,
    timers,
    clock,
    report: (event) => note(textOf(event)),
  });
  // It has its own copy.
  privateKey.fill(0);
  backend.onReset(peersLost);
  return backend;
}

function textOf(event: UapiEvent): string {
  switch (event.kind) {
    case 'retried':
      return `the WireGuard interface did not answer as it should, try ${event.attempt}: ${event.error.message}`;
    case 'keyReplaced':
      return "the WireGuard interface had another private key and has this gateway's now";
    case 'reset':
      return 'the WireGuard interface was lost and has been set up anew; its peers follow';
    default:
      return assertNever(event);
  }
}
