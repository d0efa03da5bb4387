/** Clients for tests of the core: an Initiator against a ShardHarness, packets handed over without a network. */
import type { ClientReceived, ClientSession, HandshakeStep } from '../../src/lp/client-session.ts';
import type { CryptoProvider, KemName, RandomSource } from '../../src/lp/crypto/provider.ts';
import type { Now } from '../../src/lp/time.ts';
import type { ClientFamily } from '../../src/lp/v2/client-family.ts';
import { Initiator, type InitiatorOptions } from '../../src/lp/v2/initiator.ts';
import type { KemAnnouncement } from '../../src/lp/v2/kem-key.ts';
import { decodeFrame, encodeFrame, KIND } from '../../src/lp/wire/application-frame.ts';
import type { ShardHarness } from './shard-harness.ts';

export interface ClientOptions {
  readonly crypto: CryptoProvider;
  readonly random: RandomSource;
  readonly clientSeed?: Uint8Array;
  readonly kem?: KemName;
  readonly kemKey?: KemAnnouncement | undefined;
  readonly earlyFrame?: Uint8Array;
}

export function initiatorFor(harness: ShardHarness, options: ClientOptions): Initiator {
  const { crypto, random } = options;
  const whole: InitiatorOptions = {
    crypto,
    random,
    clientSeed: options.clientSeed ?? new Uint8Array(32).fill(0x11),
    gatewayEd25519: harness.ed25519Public,
    gatewayX25519: crypto.x25519PublicOfEd25519(harness.ed25519Public)!,
    kem: options.kem ?? 'ml-kem-768',
    kemKey: options.kemKey,
    pinnedHashes: [],
    clockOffsetMs: 0,
    earlyFrame: options.earlyFrame ?? new Uint8Array(0),
  };
  return new Initiator(whole, harness.now);
}

export interface Established {
  readonly initiator: Initiator;
  readonly family: ClientFamily;
  readonly received: ClientReceived;
  /** Every packet the client sent, in order. */
  readonly sent: readonly Uint8Array[];
}

/** A whole handshake over a network without faults. */
export function establish(harness: ShardHarness, options: ClientOptions): Established {
  const initiator = initiatorFor(harness, options);
  const sent: Uint8Array[] = [];
  let step: HandshakeStep<ClientFamily> = initiator.start(harness.now);
  for (let round = 0; round < 4 && step.kind === 'send'; round++) {
    let next: HandshakeStep<ClientFamily> = { kind: 'wait' };
    for (const packet of step.packets) {
      sent.push(packet);
      for (const reply of harness.replies(packet.slice())) {
        const taken = initiator.receive(reply, harness.now);
        if (taken.kind !== 'wait') next = taken;
      }
    }
    step = next;
  }
  if (step.kind !== 'established') throw new Error(`the handshake ended with ${step.kind}`);
  return { initiator, family: step.session, received: step.received, sent };
}

export function opaque(requestId: number, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  return encodeFrame(KIND.opaque, requestId, body);
}

/** The packet of a version that needs one for a frame; `undefined` when it is not sealed. */
export function sealedFrame(family: ClientFamily, frame: Uint8Array): Uint8Array | undefined {
  const sealed = family.sealFrame(frame);
  return sealed.kind === 'packets' ? sealed.packets[0] : undefined;
}

/** KK1; `undefined` when the rekeying is refused. */
export function startedRekey(family: ClientSession, kem: boolean | undefined, now: Now): Uint8Array | undefined {
  const started = family.startRekey(kem, now);
  return started.kind === 'packet' ? started.packet : undefined;
}

/** Whether a probe is echoed on the session that the client seals on. */
export function echoes(harness: ShardHarness, family: ClientFamily, requestId = 0xeeee): boolean {
  const packet = sealedFrame(family, opaque(requestId, Uint8Array.of(1, 2, 3)));
  if (packet === undefined) return false;
  return harness.replies(packet).some((reply) => {
    const received = family.receive(reply, harness.now);
    return received.kind === 'frame' && decodeFrame(received.bytes)?.requestId === requestId;
  });
}

/** A rekey over a network without faults, Ready acknowledged; false when it does not go through. */
export function rekeys(harness: ShardHarness, family: ClientFamily, withKem = false): boolean {
  const kk1 = startedRekey(family, withKem, harness.now);
  if (kk1 === undefined) return false;
  const before = family.rekeys;
  deliver(harness, family, [kk1]);
  return family.rekeys === before + 1;
}

/** Hands packets over, and what they bring about, until nothing is under way. */
export function deliver(harness: ShardHarness, family: ClientFamily, packets: readonly Uint8Array[]): ClientReceived[] {
  const received: ClientReceived[] = [];
  const queue = [...packets];
  for (let packet = queue.shift(); packet !== undefined; packet = queue.shift()) {
    for (const reply of harness.replies(packet)) {
      const taken = family.receive(reply, harness.now);
      received.push(taken);
      if (taken.kind === 'rekeyed') queue.push(...taken.packets);
    }
  }
  return received;
}
