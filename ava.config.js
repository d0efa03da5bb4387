// @ts-check
// How tests run. Sources are compiled once for all test files and for what they start, which halves the time; not under c8,
// whose counts want the code as it was compiled.
import { join } from 'node:path';
import process from 'node:process';

const counted = process.env.NODE_V8_COVERAGE !== undefined;

export default {
  extensions: ['ts'],
  files: ['test/**/*.test.ts'],
  timeout: '60s',
  workerThreads: false,
  ...(!counted && {
    environmentVariables: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules', '.cache', 'node-compile') },
  }),
};
