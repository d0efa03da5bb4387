// Where the thread entries of workers/ are: beside src/ in a clone (.ts, types stripped by Node), beside dist/src/ in the
// published package (.js, compiled). Both layouts keep workers/ two levels above this file, so only the extension differs.

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

/** The module URL of the thread entry `workers/<name>`, in the form this very module runs in. */
export function workerEntry(name: string): URL {
  return new URL(`../../workers/${name}${EXTENSION}`, import.meta.url);
}
