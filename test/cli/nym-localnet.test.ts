import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import { tempDir } from '../ops/temp-dir.ts';
import { lewes, outline, type ReportedStep, start } from './child.ts';

interface Report {
  readonly ok: boolean;
  readonly entry: { readonly nym: string; readonly dataDir: string };
  readonly registrations: Readonly<Record<string, { ipv4: string; paid: boolean; endpoints: string[] }>>;
  readonly nodes: Readonly<Record<string, { source: string; credential?: string; clockSkewS: number }>>;
  readonly steps: readonly ReportedStep[];
  readonly probe?: string;
  readonly wgQuick?: readonly string[];
}

const parse = (out: string) => JSON.parse(out) as Report;

test('with --protocol nym two gateways are announced, verified, registered with and probed, and nothing is left', async (t) => {
  const TMPDIR = join(tempDir(t), 'tmp');
  mkdirSync(TMPDIR);
  const args = ['localnet', '--protocol', 'nym', '--keep', '--wireguard', '--json'];
  const network = start(t, args, { TMPDIR });
  const report = parse(await network.output(/\n}\n$/));
  t.true(report.ok);
  const steps = outline(report.steps).filter((step) => !/ (?:start|reload)$/.test(step));
  t.deepEqual(steps, [
    'entry announcement',
    'exit announcement',
    ...['connect', 'kkt', 'psq'].map((step) => `entry ${step}`),
    ...['kkt', 'psq', 'initial', 'credential', 'finalise'].map((step) => `exit ${step}`),
    ...['initial', 'credential', 'finalise'].map((step) => `entry ${step}`),
  ]);
  for (const hop of ['entry', 'exit']) {
    t.like(report.nodes[hop], { source: 'fetched', credential: 'accepted', clockSkewS: 0 });
    t.true(report.registrations[hop]?.paid);
    t.regex(report.registrations[hop]?.ipv4 ?? '', /^10\.64\./);
  }
  const [file = ''] = report.wgQuick ?? [];
  t.is(dirname(file), dirname(report.entry.dataDir));
  t.regex(readFileSync(file, 'utf8'), /PresharedKey = /);

  const [, ...again] = (report.probe ?? '').split(' ');
  const probed = await lewes(t, [...again, '--json']);
  t.is(probed.code, 0, probed.out + probed.err);
  t.is(Object.keys(parse(probed.out).registrations).length, 2);

  network.child.kill('SIGINT');
  t.is((await network.ended).code, 0);
  t.deepEqual(
    readdirSync(TMPDIR).filter((name) => name.startsWith('lewes-localnet-')),
    [],
  );
});
