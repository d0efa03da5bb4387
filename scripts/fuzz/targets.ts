/** Finds the targets: every file under `targets/` exports some. A name stands for one of them only. */
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { FuzzTarget, TargetModule } from './target.ts';

export interface FoundTarget {
  /** URL. */
  readonly module: string;
  readonly target: FuzzTarget;
}

const FOLDER = fileURLToPath(new URL('targets', import.meta.url));

export async function findTargets(folder = FOLDER): Promise<readonly FoundTarget[]> {
  const found: FoundTarget[] = [];
  for (const file of globSync('*.ts', { cwd: folder }).sort()) {
    const module = pathToFileURL(join(folder, file)).href;
    const { targets }: TargetModule = await import(module);
    for (const target of targets ?? []) {
      if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(target.name)) throw new Error(`${target.name} in ${file} is no name`);
      if (found.some((other) => other.target.name === target.name)) throw new Error(`two targets are ${target.name}`);
      found.push({ module, target });
    }
  }
  return found;
}

/** By name, or by a beginning of names as in `core-*`. Returns the name that nothing has, if there is one. */
export function chooseTargets(
  found: readonly FoundTarget[],
  names: readonly string[],
): readonly FoundTarget[] | { readonly unknown: string } {
  if (names.length === 0) return found;
  const fits = (name: string, wanted: string) =>
    wanted.endsWith('*') ? name.startsWith(wanted.slice(0, -1)) : name === wanted;
  const unknown = names.find((wanted) => !found.some(({ target }) => fits(target.name, wanted)));
  if (unknown !== undefined) return { unknown };
  return found.filter(({ target }) => names.some((wanted) => fits(target.name, wanted)));
}
