/** The options of `lewes probe`, as the parser gives them, and which of them belong to one protocol alone. */
import { UsageError } from './exit.ts';

export interface ProbeFlags {
  readonly identity?: string;
  readonly via?: string;
  readonly register?: boolean;
  readonly rekey?: boolean;
  readonly protocol: string;
  readonly viaProtocol?: string;
  readonly keepConnections?: boolean;
  readonly timeout: string;
  readonly kem: readonly string[];
  readonly kemKeyHash: readonly string[];
  readonly json?: boolean;
  readonly tokenFile?: string;
  readonly issuer?: string;
  readonly accessKeyFile?: string;
  readonly wgQuick?: string;
}

/** Flags of `probe` that only `--protocol nym` has. */
export interface NymProbeFlags {
  readonly announcement?: string;
  readonly lpKey?: string;
  readonly kemDigest?: string;
  readonly viaAnnouncement?: string;
  readonly viaLpKey?: string;
  readonly viaKemDigest?: string;
  readonly handshakeOnly?: boolean;
  readonly credentialFile?: string;
  readonly viaCredentialFile?: string;
  readonly mockCredential?: boolean;
}

/** By name. */
export const NYM_FLAGS: Readonly<Record<string, keyof NymProbeFlags>> = {
  '--announcement': 'announcement',
  '--lp-key': 'lpKey',
  '--kem-digest': 'kemDigest',
  '--via-announcement': 'viaAnnouncement',
  '--via-lp-key': 'viaLpKey',
  '--via-kem-digest': 'viaKemDigest',
  '--handshake-only': 'handshakeOnly',
  '--credential-file': 'credentialFile',
  '--via-credential-file': 'viaCredentialFile',
  '--mock-credential': 'mockCredential',
};

/** For the other versions. */
export function refuseNymFlags(flags: NymProbeFlags): void {
  for (const [name, key] of Object.entries(NYM_FLAGS)) {
    if (flags[key] !== undefined)
      throw new UsageError(`${name} is for --protocol nym`, 'give that as well, or leave it out');
  }
}
