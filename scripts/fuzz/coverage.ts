/**
 * Coverage as V8 counts it, in this thread: which characters of our sources have run. Invariant: only what was committed
 * counts as seen, so a batch can be run again in parts to find out which of its inputs reached something new.
 *
 * Start before the code under test is loaded: what V8 has compiled already gets no counters.
 */
import { Session } from 'node:inspector';

interface CoverageRange {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

export interface FunctionCoverage {
  readonly functionName: string;
  readonly ranges: readonly CoverageRange[];
}

export interface ScriptCoverage {
  readonly url: string;
  readonly functions: readonly FunctionCoverage[];
}

export interface Gain {
  readonly blocks: number;
  readonly functions: number;
}

export const NO_GAIN: Gain = { blocks: 0, functions: 0 };

/** Where the loop looks after each batch; a test may give another one, and a run without guidance has none. */
export interface CoverageSource {
  /** What ran since the last call. */
  take(): readonly ScriptCoverage[];
}

export class V8Coverage implements CoverageSource {
  readonly #session = new Session();
  readonly #covers: (url: string) => boolean;

  constructor(covers: (url: string) => boolean) {
    this.#covers = covers;
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  take(): readonly ScriptCoverage[] {
    let scripts: readonly ScriptCoverage[] = [];
    // On the session's own thread the answer is there when the call returns.
    this.#session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error !== null) throw error;
      scripts = result.filter(({ url }) => this.#covers(url));
    });
    return scripts;
  }

  close(): void {
    this.#session.disconnect();
  }
}

/** All that has run so far, per script one flag for each character. */
export class Seen {
  readonly #characters = new Map<string, Uint8Array>();
  readonly #functions = new Set<string>();
  #blocks = 0;

  get total(): Gain {
    return { blocks: this.#blocks, functions: this.#functions.size };
  }

  /** What a commit would add. */
  gain(scripts: readonly ScriptCoverage[]): Gain {
    return this.#visit(scripts, false);
  }

  commit(scripts: readonly ScriptCoverage[]): Gain {
    const gain = this.#visit(scripts, true);
    this.#blocks += gain.blocks;
    return gain;
  }

  #visit(scripts: readonly ScriptCoverage[], commit: boolean): Gain {
    let blocks = 0;
    let functions = 0;
    for (const script of scripts) {
      const painted = paint(script);
      blocks += this.#newRuns(script.url, painted, commit);
      for (const { functionName, ranges } of script.functions) {
        const [whole] = ranges;
        if (whole === undefined || whole.count === 0) continue;
        const id = `${script.url} ${functionName} ${whole.startOffset}`;
        if (this.#functions.has(id)) continue;
        functions++;
        if (commit) this.#functions.add(id);
      }
    }
    return { blocks, functions };
  }

  /** Runs of characters that are painted and were not seen: a block, mostly. */
  #newRuns(url: string, painted: Uint8Array, commit: boolean): number {
    let seen = this.#characters.get(url) ?? new Uint8Array(0);
    if (commit && seen.length < painted.length) {
      const grown = new Uint8Array(painted.length);
      grown.set(seen);
      seen = grown;
      this.#characters.set(url, seen);
    }
    let runs = 0;
    let inside = false;
    for (let i = 0; i < painted.length; i++) {
      const isNew = painted[i] === 1 && seen[i] !== 1;
      if (isNew && !inside) runs++;
      inside = isNew;
      if (isNew && commit) seen[i] = 1;
    }
    return runs;
  }
}

/** Ranges stand in the order of nesting: an inner one has the last word. */
function paint({ functions }: ScriptCoverage): Uint8Array {
  let length = 0;
  for (const { ranges } of functions) for (const range of ranges) length = Math.max(length, range.endOffset);
  const painted = new Uint8Array(length);
  for (const { ranges } of functions) {
    for (const { startOffset, endOffset, count } of ranges) painted.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  }
  return painted;
}
