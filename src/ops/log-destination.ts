/**
 * Where log lines go: a file descriptor, written without ever blocking the event loop. One write is in flight; what comes
 * meanwhile waits, up to a bound, and is dropped beyond it rather than the gateway stalled by a reader that stopped. A
 * reader that is gone ends the log, not the gateway. What waits when the process exits is written then, as far as it goes
 * (pino's own destination retries there for ever when the reader is gone).
 */
import { write, writeSync } from 'node:fs';
import { systemCode } from './operator-error.ts';

export interface LogDestination {
  /** One line with its end. */
  write(line: string): void;
  /** Calls back when nothing waits any more, or after FLUSH_MS: a reader that stopped must not hold up the end. */
  flush(done: () => void): void;
  /** Lines that found no room, or no reader. */
  readonly dropped: number;
}

/** About 20,000 lines: seconds of a loud log. */
const MAX_WAITING_CHARACTERS = 4_194_304;
/** As much as a pipe holds. */
const MAX_WRITE_CHARACTERS = 65_536;
/** A full pipe that does not block (EAGAIN) is tried again after this. */
const RETRY_MS = 20;
const FLUSH_MS = 1_000;
/** How often it is tried while the process exits. */
const EXIT_TRIES = 10;

export function openLogDestination(fd: number, maxWaiting: number = MAX_WAITING_CHARACTERS): LogDestination {
  let waiting: string[] = [];
  let waitingCharacters = 0;
  let dropped = 0;
  let state: 'idle' | 'writing' | 'broken' = 'idle';
  let flushed: (() => void)[] = [];

  function rest(next: 'idle' | 'broken'): void {
    state = next;
    const told = flushed;
    flushed = [];
    for (const done of told) done();
  }

  function takeChunk(): Buffer {
    let characters = 0;
    let lines = 0;
    while (lines < waiting.length && (lines === 0 || characters < MAX_WRITE_CHARACTERS)) {
      characters += waiting[lines]?.length ?? 0;
      lines++;
    }
    const text = waiting.slice(0, lines).join('');
    waiting = waiting.slice(lines);
    waitingCharacters -= characters;
    return Buffer.from(text, 'utf8');
  }

  function breakOff(): void {
    dropped += waiting.length;
    waiting = [];
    waitingCharacters = 0;
    rest('broken');
  }

  function writeChunk(chunk: Buffer): void {
    state = 'writing';
    write(fd, chunk, (error, written) => {
      if (systemCode(error) === 'EAGAIN') setTimeout(() => writeChunk(chunk), RETRY_MS);
      else if (error !== null) breakOff();
      else if (written < chunk.length) writeChunk(chunk.subarray(written));
      else if (waiting.length > 0) writeChunk(takeChunk());
      else rest('idle');
    });
  }

  function writeRest(): void {
    if (state === 'broken') return;
    let tries = 0;
    while (waiting.length > 0 && tries < EXIT_TRIES) {
      for (let chunk = takeChunk(); chunk.length > 0 && tries < EXIT_TRIES; ) {
        try {
          chunk = chunk.subarray(writeSync(fd, chunk));
        } catch (error) {
          if (systemCode(error) !== 'EAGAIN') return;
          tries++;
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
        }
      }
    }
  }

  process.once('exit', writeRest);
  return {
    write(line) {
      if (state === 'broken' || waitingCharacters + line.length > maxWaiting) {
        dropped++;
        return;
      }
      waiting.push(line);
      waitingCharacters += line.length;
      if (state === 'idle') writeChunk(takeChunk());
    },
    flush(done) {
      if (state !== 'writing') return done();
      const timer = setTimeout(() => {
        flushed = flushed.filter((waiting) => waiting !== once);
        done();
      }, FLUSH_MS);
      const once = () => {
        clearTimeout(timer);
        done();
      };
      flushed.push(once);
    },
    get dropped() {
      return dropped;
    },
  };
}
