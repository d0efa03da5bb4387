/**
 * uPlot's browser build and style as text, to be written into the report, with the licence that has to go along. Read
 * once per process from the installed package.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface UplotAssets {
  readonly script: string;
  readonly style: string;
}

let cached: UplotAssets | undefined;

/** Throws the system's error when the package's files cannot be read. */
export function uplotAssets(): UplotAssets {
  cached ??= {
    script: `/*\n${textAt(import.meta.resolve('uplot/LICENSE'))}*/\n${textAt(import.meta.resolve('uplot/dist/uPlot.iife.min.js'))}`,
    style: textAt(import.meta.resolve('uplot/dist/uPlot.min.css')),
  };
  return cached;
}

function textAt(url: string): string {
  return readFileSync(fileURLToPath(url), 'utf8');
}
