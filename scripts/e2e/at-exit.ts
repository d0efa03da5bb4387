/**
 * What must not be left when this process ends before its tests have tidied up: commands that are run then, the last one
 * first. Whoever tidied up takes its command back.
 */
import { spawnSync } from 'node:child_process';
import process from 'node:process';

const commands = new Map<object, readonly string[]>();

/** The command of this owner, in place of its former one; `undefined` for none any more. */
export function atExit(owner: object, command: readonly string[] | undefined): void {
  if (commands.size === 0) install();
  commands.delete(owner);
  if (command !== undefined) commands.set(owner, command);
}

let installed = false;

function install(): void {
  if (installed) return;
  installed = true;
  process.once('exit', () => {
    for (const [command = '', ...args] of [...commands.values()].reverse()) spawnSync(command, args);
  });
  // ava ends a test file that takes too long with SIGTERM; when ava itself is ended, its channel to the test file is.
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
  process.once('disconnect', () => {
    if (commands.size > 0) process.exit(1);
  });
}
