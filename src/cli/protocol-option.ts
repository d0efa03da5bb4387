/** `--protocol`, which every command that speaks it takes: this release has version 2 only, and says so. */
import { UsageError } from './exit.ts';

export const PROTOCOL_FLAG = '--protocol <version>';
export const PROTOCOL_HELP = 'version of the protocol; this release speaks 2 only';
export const PROTOCOL_DEFAULT = '2';

/** Throws UsageError. */
export function checkProtocol(text: string): void {
  if (text === PROTOCOL_DEFAULT) return;
  const what =
    text === '1' || text === 'nym'
      ? `this release speaks version 2 of the protocol only, not ${text}`
      : `there is no protocol version ${JSON.stringify(text)}`;
  throw new UsageError(what, 'leave --protocol out, or give --protocol 2');
}
