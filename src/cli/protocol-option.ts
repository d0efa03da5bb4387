/** `--protocol` and its kin: which versions of the protocol a command can be asked for. */
import { UsageError } from './exit.ts';

export type ProtocolVersion = 1 | 2;

export const PROTOCOL_FLAG = '--protocol <version>';
export const PROTOCOL_DEFAULT = '2';

/** Throws UsageError. */
export function protocolOf(text: string, option = '--protocol'): ProtocolVersion {
  if (text === '1') return 1;
  if (text === '2') return 2;
  const what =
    text === 'nym'
      ? 'this release speaks versions 1 and 2 of the protocol only, not nym'
      : `there is no protocol version ${JSON.stringify(text)}`;
  throw new UsageError(what, `leave ${option} out, or give ${option} 1 or ${option} 2`);
}
