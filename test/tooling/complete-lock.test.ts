// The lock file is made whole for other platforms: scripts/complete-lock.mjs.

import test from 'ava';
import { missingOptional } from '../../scripts/complete-lock.mjs';

test('an absent platform package gets the pinned version, its platform and the kind of its parent', (t) => {
  const optionalDependencies = { '@x/cli-linux-x64-musl': '1.2.3', '@x/cli-darwin-arm64': '1.2.3' };
  t.deepEqual(missingOptional({ 'node_modules/x': { dev: true, optionalDependencies } }), {
    'node_modules/@x/cli-linux-x64-musl': {
      version: '1.2.3',
      cpu: ['x64'],
      dev: true,
      libc: ['musl'],
      optional: true,
      os: ['linux'],
    },
    'node_modules/@x/cli-darwin-arm64': { version: '1.2.3', cpu: ['arm64'], dev: true, optional: true, os: ['darwin'] },
  });
});

test('what is locked at the top, beside or below its parent is not missing', (t) => {
  const y = { version: '1.0.0' };
  const x = { version: '1.0.0', optionalDependencies: { y: '1.0.0' } };
  t.deepEqual(missingOptional({ 'node_modules/x': x, 'node_modules/y': y }), {});
  t.deepEqual(missingOptional({ 'node_modules/x': x, 'node_modules/x/node_modules/y': y }), {});
  t.deepEqual(missingOptional({ 'node_modules/a/node_modules/x': x, 'node_modules/a/node_modules/y': y }), {});
});

test('a missing package that is for no platform, or not pinned exactly, is an error', (t) => {
  for (const optionalDependencies of [{ plain: '1.0.0' }, { 'x-linux-x64': '^1.0.0' }]) {
    t.throws(() => missingOptional({ 'node_modules/x': { optionalDependencies } }), {
      message: /package-lock\.json lacks/,
    });
  }
});
