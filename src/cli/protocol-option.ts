/** `--protocol` and its kin: which versions of the protocol a command can be asked for. */
import { UsageError } from './exit.ts';

export type ProtocolVersion = 1 | 2;
/** Where Nym's protocol goes as well. */
export type AnyProtocol = ProtocolVersion | 'nym';

export const PROTOCOL_FLAG = '--protocol <version>';
export const PROTOCOL_DEFAULT = '2';

/** Throws UsageError. */
export function anyProtocolOf(text: string): AnyProtocol {
  return text === 'nym' ? text : protocolOf(text);
}

/** Throws UsageError. */
export function protocolOf(text: string, option = '--protocol'): ProtocolVersion {
  if (text === '1') return 1;
  if (text === '2') return 2;
  const what =
    text === 'nym'
      ? `${option} nym does not go here, where versions 1 and 2 of the protocol are known only`
      : `there is no protocol version ${JSON.stringify(text)}`;
  throw new UsageError(what, `leave ${option} out, or give ${option} 1 or ${option} 2`);
}
