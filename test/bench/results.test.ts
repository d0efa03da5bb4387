import test from 'ava';
import { figure, formatValue, ratioFigure, series, type Unit } from '../../scripts/bench/figures.ts';
import { busyWarning } from '../../scripts/bench/machine.ts';
import { parseCpuList } from '../../scripts/bench/pinning.ts';
import { decodeRun, encodeRun, SCHEMA } from '../../scripts/bench/results.ts';
import { markdownTable, terminalTable } from '../../scripts/bench/table.ts';
import { runOf } from './run.ts';

const TLS = ratioFigure(
  'gateway/handshake-vs-tls',
  series('whole gateway', 'us', [100, 120, 110]),
  series('Node tls', 'us', [200, 200, 200]),
);

test('a ratio is taken round by round, and keeps both sides', (t) => {
  t.deepEqual(TLS.rounds, [0.5, 0.6, 0.55]);
  t.deepEqual(
    TLS.parts.map(({ name }) => name),
    ['whole gateway', 'Node tls'],
  );
  t.throws(() => ratioFigure('a/b', series('', 'us', [1]), series('', 'us', [1, 2])), { message: /pairs/ });
});

test('results read back as they were written', (t) => {
  const run = runOf([TLS, figure('memory/idle-session', 'B', [349.07], { note: 'a note' })]);
  const { figures, machine, quick } = decodeRun(encodeRun(run), 'a.json');
  t.deepEqual(machine, run.machine);
  t.is(quick, run.quick);
  t.deepEqual(
    figures.map(({ name, unit, rounds, better }) => ({ name, unit, rounds, better })),
    run.figures.map(({ name, unit, rounds, better }) => ({ name, unit, rounds, better })),
  );
});

test('results carry the schema, each figure’s median, bound and whether it is met, and each target', (t) => {
  const json = JSON.parse(encodeRun(runOf([TLS])));
  t.is(json.schema, SCHEMA);
  t.is(json.figures[0].median, 0.55);
  t.deepEqual(json.figures[0].bounds, [{ bound: '≤ 0.48', met: false }]);
  t.is(json.targets[0].met, 'NOT met');
  t.is(json.targets[1].met, 'not measured');
});

test('a round that measured nothing survives JSON', (t) => {
  const [read] = decodeRun(encodeRun(runOf([figure('a/b', 'us', [1, Number.NaN])])), 'a.json').figures;
  t.deepEqual(read?.rounds, [1, Number.NaN]);
});

const MALFORMED: readonly [string, string, RegExp][] = [
  ['no JSON', '{', /a\.json is no JSON/],
  ['another schema', JSON.stringify({ schema: 0, machine: {}, figures: [] }), /schema/],
  ['no figures', JSON.stringify({ schema: SCHEMA, machine: {} }), /does not read/],
  [
    'a figure of an unknown unit',
    JSON.stringify({
      schema: SCHEMA,
      machine: {},
      figures: [{ name: 'a', unit: 'furlong', rounds: [], better: 'lower', parts: [] }],
    }),
    /does not read/,
  ],
];
for (const [name, text, message] of MALFORMED) {
  test(`a file of results with ${name} is refused with a reason`, (t) => {
    t.throws(() => decodeRun(text, 'a.json'), { code: 'ERR_BENCH_RESULTS', message });
  });
}

test('the table says of each target whether it is met, and what was measured', (t) => {
  const markdown = markdownTable(runOf([TLS]));
  t.regex(markdown, /\| handshake \| [^|]*0\.48[^|]* \| 0\.55 \| ≤ 0\.48 \| NOT met \|/);
  t.regex(markdown, /\| soak \| [^|]* \| – \| interval holds 0 \| not measured \|/);
  t.regex(markdown, /A CPU, 2 cores, 8,192 MiB, linux x64, Node v26\.0\.0, crypto native/);
  t.regex(markdown, /load average 0\.10 before, 1\.50 after/);
});

test('what parts alternatives does not part columns', (t) => {
  const rows = markdownTable(runOf([])).split('\n');
  for (const row of rows.filter((line) => line.startsWith('| echo, pipelined'))) {
    t.is(row.replaceAll('\\|', '').split('|').length, 7);
  }
});

test('the terminal shows only asked targets unless all were, and warnings and failures always', (t) => {
  const run = runOf([TLS], { warnings: ['the machine was busy'], failures: ['gateway echo: it ended early'] });
  const some = terminalTable(run, false);
  t.notRegex(some, /soak/);
  t.regex(some, /^NOTE: the machine was busy$/m);
  t.regex(some, /^FAILED: gateway echo: it ended early$/m);
  t.regex(terminalTable(run, true), /soak/);
});

const FORMATTED: readonly [number, Unit, string][] = [
  [0.5, 'ratio', '0.50'],
  [4, 'ratio', '4.00'],
  [1_234_567.8, 'per_s', '1,234,568/s'],
  [123.4, 'us', '123 µs'],
  [12.34, 'us', '12.3 µs'],
  [1.234, 'ms', '1.23 ms'],
  [600, 'B', '600 B'],
  [-1.5, 'MiB', '-1.50 MiB'],
];
for (const [value, unit, text] of FORMATTED) {
  test(`${value} in ${unit} is written ${text}`, (t) => {
    t.is(formatValue(value, unit), text);
  });
}

test('lists of cores are read as the kernel writes them', (t) => {
  t.deepEqual(parseCpuList('0-3,8\n'), [0, 1, 2, 3, 8]);
  t.deepEqual(parseCpuList('1'), [1]);
  t.deepEqual(parseCpuList(''), []);
});

test('a busy machine is told of, a quiet one is not', (t) => {
  t.is(busyWarning(0.2, 2), undefined);
  t.regex(busyWarning(1.5, 2) ?? '', /BUSY: load average 1\.50 on 2 cores/);
});
