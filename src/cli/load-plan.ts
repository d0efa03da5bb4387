/** What the user asked `lewes load` for in LP1 or LP2, checked as a whole before anything is sent. Throws UsageError. */
import { LEWES_OPERATIONS, type LewesPlan, type LoadTarget, type Mix } from '../load/plan.ts';
import type { LoopPlan, OperationName } from '../load/result.ts';
import { REKEY_INTERVAL_MS } from '../load/scenarios/rekey.ts';
import { traitsOf } from '../lp/client-handshake.ts';
import type { CryptoProvider } from '../lp/crypto/provider.ts';
import { FRAME_HEADER_LENGTH, KIND, MAX_FRAME_BODY_LENGTH } from '../lp/wire/application-frame.ts';
import { encodeBase58, parseKey } from '../ops/base58.ts';
import { formatSocketAddress, parseSocketAddress } from '../ops/config/addresses.ts';
import { UsageError } from './exit.ts';
import { checkOwner, integerOf, type LoadFlags, scenarioOf, shapeOf, sourcesOf } from './load-shape.ts';
import { type ProtocolVersion, protocolOf } from './protocol-option.ts';

export interface LoadTask {
  readonly plan: LewesPlan;
  readonly maxErrorShare: number;
}

const DEFAULT_SESSIONS = 16;
/** Sessions that are to be free when a rekeying comes by chance. */
const REKEY_RESERVE = 1.3;

const NYM_ONLY: Readonly<Record<string, keyof LoadFlags>> = {
  '--announcement': 'announcement',
  '--lp-key': 'lpKey',
  '--kem-digest': 'kemDigest',
  '--pipelined': 'pipelined',
};

export function planLoad(address: string, flags: LoadFlags, crypto: CryptoProvider): LoadTask {
  const protocol = protocolOf(flags.protocol);
  refuseNymFlags(flags);
  const { scenario, mix } = scenarioOf(flags, LEWES_OPERATIONS, 'handshake=5,echo=80,rekey=10,register=5');
  const target = targetOf(address, flags.identity, 'load', crypto);
  const via = flags.via === undefined ? undefined : viaOf(flags.via, crypto);
  checkVia(mix, flags);
  checkVersion(mix, protocol, flags);
  checkTokens(mix, protocol, flags);
  checkOwner(via === undefined ? [target] : [target, via], 'gateway', flags);
  const { facts, timeoutMs, maxInFlight, maxErrorShare } = shapeOf(flags);
  const plan: LewesPlan = {
    facts: {
      target: formatSocketAddress(target),
      identity: encodeBase58(target.identity),
      ...(via !== undefined && { via: `${formatSocketAddress(via)}/${encodeBase58(via.identity)}` }),
      protocol: String(protocol),
      scenario,
      ...facts,
      sources: sourcesOf(flags, dialledIn(mix, target, via)),
      payloadBytes: integerOf(flags.size, '--size', 0, MAX_FRAME_BODY_LENGTH - FRAME_HEADER_LENGTH),
    },
    target,
    ...(via !== undefined && { via }),
    protocol,
    keepConnections: flags.keepConnections === true,
    mix,
    sessions: sessionsOf(flags, mix, facts.loop),
    timeoutMs,
    maxInFlight,
  };
  return { plan, maxErrorShare };
}

function refuseNymFlags(flags: LoadFlags): void {
  for (const [name, key] of Object.entries(NYM_ONLY)) {
    if (flags[key] !== undefined)
      throw new UsageError(`${name} is for --protocol nym`, 'give that as well, or leave it out');
  }
}

/** Forwards reach the exit through the entry alone. */
function dialledIn(mix: Mix, target: LoadTarget, via: LoadTarget | undefined): readonly LoadTarget[] {
  const forwardsOnly = Object.keys(mix).length === 1 && has(mix, 'forward');
  return [...(forwardsOnly ? [] : [target]), ...(via === undefined ? [] : [via])];
}

function has(mix: Mix, name: OperationName): boolean {
  return (mix[name] ?? 0) > 0;
}

function checkVia(mix: Mix, { via }: LoadFlags): void {
  if (has(mix, 'forward') && via === undefined) {
    throw new UsageError(
      'forward needs an entry',
      'name it with --via ADDR:PORT/KEY; the address of the command is the exit',
    );
  }
  if (!has(mix, 'forward') && via !== undefined) {
    throw new UsageError('--via is for forward', 'give --scenario forward, or leave --via out');
  }
}

function checkVersion(mix: Mix, protocol: ProtocolVersion, { keepConnections }: LoadFlags): void {
  const traits = traitsOf(protocol);
  if (has(mix, 'echo') && !traits.requestKinds.includes(KIND.opaque)) {
    throw new UsageError(`LP${protocol} has no echo`, 'leave echo out, or use --protocol 2');
  }
  if (keepConnections === true && !traits.onePacketPerConnection) {
    throw new UsageError(`--keep-connections is for LP1; LP${protocol} always does`, 'leave it out');
  }
}

/** In LP1 a token has no place: none would be spent. */
function checkTokens(mix: Mix, protocol: ProtocolVersion, { tokenFile, issuer, accessKeyFile }: LoadFlags): void {
  const given = { '--token-file': tokenFile, '--issuer': issuer, '--access-key-file': accessKeyFile };
  for (const [option, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (!has(mix, 'register'))
      throw new UsageError(`${option} is for register`, 'give --scenario register, or leave it out');
    if (!traitsOf(protocol).managesRegistrations) {
      throw new UsageError(
        `${option} does not go with --protocol ${protocol}, which cannot carry tokens`,
        'leave it out',
      );
    }
  }
}

/** A session can be rekeyed once in REKEY_INTERVAL_MS: fewer than that many would be a load of refusals. */
function sessionsOf({ sessions: text }: LoadFlags, mix: Mix, loop: LoopPlan): number {
  const given = text === undefined ? undefined : integerOf(text, '--sessions', 1, 1_000_000);
  if (loop.kind === 'closed') {
    if (given === undefined) return loop.clients;
    throw new UsageError('--sessions is for the open loop', 'leave it out: in a closed loop each client has one');
  }
  const total = Object.values(mix).reduce((sum, weight) => sum + weight, 0);
  const rekeys = (loop.rate * (mix.rekey ?? 0) * REKEY_INTERVAL_MS) / 1_000 / total;
  if (given === undefined) return Math.max(DEFAULT_SESSIONS, Math.ceil(rekeys * REKEY_RESERVE));
  if (given >= rekeys) return given;
  throw new UsageError(
    `--sessions ${given} are too few: a session is rekeyed once in ${REKEY_INTERVAL_MS / 1_000} s at most`,
    `give at least ${Math.ceil(rekeys)}, or a lower rate`,
  );
}

function viaOf(text: string, crypto: CryptoProvider): LoadTarget {
  const cut = text.lastIndexOf('/');
  if (cut === -1) {
    throw new UsageError(
      `--via ${JSON.stringify(text)} has no key`,
      'give the entry as ADDR:PORT/KEY, IPv6 as [::1]:41264/KEY',
    );
  }
  return targetOf(text.slice(0, cut), text.slice(cut + 1), '--via', crypto);
}

/** By its IP address: looking up a name for every connection would be measured, too. */
function targetOf(address: string, key: string | undefined, what: string, crypto: CryptoProvider): LoadTarget {
  const parsed = parseSocketAddress(address);
  if (!parsed.ok) throw new UsageError(`the address ${JSON.stringify(address)} ${parsed.error}`, parsed.remedy ?? '');
  if (parsed.value.port === 0)
    throw new UsageError(`the address ${JSON.stringify(address)} has no port`, 'give the port');
  if (key === undefined) {
    throw new UsageError(
      `${what} needs the identity of the gateway`,
      'give it with --identity; on its machine "lewes status" shows it',
    );
  }
  const identity = parseKey(key);
  const option = what === '--via' ? '--via' : '--identity';
  const remedy = 'give 32 bytes in base58 (as gateways show their identity) or in 64 hex digits';
  if (!identity.ok) throw new UsageError(`the key of ${option} ${identity.reason}`, remedy);
  if (crypto.x25519PublicOfEd25519(identity.key) === undefined) {
    throw new UsageError(
      `the key of ${option} is no Ed25519 key`,
      'is a digit wrong? compare it with what the gateway shows',
    );
  }
  return { ...parsed.value, identity: identity.key };
}
