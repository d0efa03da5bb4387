/** What is wrong with an input: it threw, it hung, or it took too much memory. Two findings of one key are the same fault. */

export type FindingKind = 'exception' | 'hang' | 'memory';

export interface Finding {
  readonly kind: FindingKind;
  /** Names the fault, not the input. */
  readonly key: string;
  readonly message: string;
  readonly stack: string;
  readonly input: Uint8Array;
  readonly minimised: Uint8Array;
}

/** Numbers and byte strings in a message belong to the input; the first frame of our own code belongs to the fault. */
export function faultKey(error: unknown): string {
  const { name, message, stack } = asError(error);
  // What an oracle says is full of the input; where it stands is what it found.
  if (message.startsWith('oracle: ')) return `oracle ${ownFrame(stack)}`;
  const words =
    message
      .split('\n', 1)[0]
      ?.replace(/[0-9a-f]{8,}|\d+/g, '#')
      .slice(0, 120) ?? '';
  return `${name}: ${words} ${ownFrame(stack)}`.trim();
}

/** `file:line` of the innermost frame in our sources or, before any of them, in a target. */
function ownFrame(stack: string): string {
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line) && !line.includes('node_modules'));
  const own = frames.find((line) => line.includes('/src/')) ?? frames.find((line) => /\/(?:targets|test)\//.test(line));
  return /([\w.-]+\.ts:\d+)/.exec(own ?? '')?.[1] ?? '';
}

export function asError(error: unknown): { name: string; message: string; stack: string } {
  if (error instanceof Error) return { name: error.name, message: error.message, stack: error.stack ?? '' };
  return { name: 'Thrown', message: String(error), stack: '' };
}
