/**
 * The work of `lewes token`. Invariant: a token that was paid for is printed or in the file before the next one is asked
 * for, so that no failure loses more than one.
 */
import { TokenError } from '../client/token-error.ts';
import { appendToken, checkTokenFile } from '../client/token-file.ts';
import { encodeTokenChallenge } from '../lp/wire/privacy-pass.ts';
import { encodeBase58, parseKey } from '../ops/base58.ts';
import { EXIT, type ExitCode, tellError, UsageError } from './exit.ts';
import { onInterrupt } from './interrupt.ts';
import { createProgress, printJson, printLine } from './output.ts';
import { issuerSource, readAccessKey } from './token-options.ts';

export interface TokenFlags {
  readonly issuer?: string;
  readonly gateway?: string;
  readonly issuerName?: string;
  readonly count: string;
  readonly accessKeyFile?: string;
  readonly out?: string;
  readonly json?: boolean;
}

interface Plan {
  readonly issuerUrl: string;
  /** Base58. */
  readonly gateway: string;
  readonly issuerName: string;
  readonly count: number;
}

const MAX_COUNT = 1_000;

export async function token(flags: TokenFlags): Promise<ExitCode> {
  const plan = planOf(flags);
  const { out, json = false } = flags;
  if (out !== undefined) checkTokenFile(out);
  using interruption = onInterrupt();
  const { issuerUrl, issuerName, gateway, count } = plan;
  const accessKey = flags.accessKeyFile === undefined ? undefined : readAccessKey(flags.accessKeyFile);
  const source = issuerSource({
    issuerUrl,
    signal: interruption.signal,
    ...(accessKey !== undefined && { accessKey }),
  });
  const tokens: string[] = [];
  const progress = createProgress({ json });
  let failure: unknown;
  try {
    for (let number = 1; number <= count; number++) {
      const bytes = await progress.step(`token ${number}`, () =>
        source.token(encodeTokenChallenge({ issuerName, originInfo: gateway })),
      );
      const text = Buffer.from(bytes).toString('base64');
      if (out !== undefined) await appendToken(out, bytes);
      else if (!json) printLine(text);
      tokens.push(text);
    }
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    failure = error;
  }
  if (json) printJson(reportOf(plan, tokens, out, failure));
  else if (out !== undefined && tokens.length > 0) printLine(`${tokens.length} tokens added to ${out}`);
  if (failure === undefined) return EXIT.done;
  return json ? EXIT.failed : tellError(failure, false);
}

function reportOf(plan: Plan, tokens: readonly string[], out: string | undefined, failure: unknown): object {
  const { issuerUrl: issuer, issuerName, gateway } = plan;
  return {
    ok: failure === undefined,
    issuer,
    issuerName,
    gateway,
    count: tokens.length,
    ...(out === undefined ? { tokens } : { file: out }),
    ...(failure instanceof TokenError && { error: { code: failure.code, message: failure.message } }),
  };
}

function planOf({ issuer, gateway, issuerName, count: text }: TokenFlags): Plan {
  if (issuer === undefined || gateway === undefined) {
    throw new UsageError('token needs an issuer and a gateway', 'give --issuer URL and --gateway IDENTITY');
  }
  if (!URL.canParse(issuer)) throw new UsageError(`--issuer "${issuer}" is no URL`, 'give it as https://HOST');
  const parsed = parseKey(gateway);
  if (!parsed.ok) {
    throw new UsageError(`the key of --gateway ${parsed.reason}`, 'give 32 bytes in base58 or in 64 hex digits');
  }
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > MAX_COUNT) {
    throw new UsageError(`--count "${text}" is no number of tokens`, `give 1 to ${MAX_COUNT}`);
  }
  const name = issuerName ?? new URL(issuer).host;
  if (name === '' || name.length > 256) throw new UsageError('the name of the issuer has 1 to 256 bytes', 'correct it');
  return { issuerUrl: issuer, gateway: encodeBase58(parsed.key), issuerName: name, count };
}
