import { createHash } from 'node:crypto';
import { fc, testProp } from '@fast-check/ava';
import test from 'ava';
import { renderHtml } from '../../../src/load/report/html.ts';
import { html, scriptJson } from '../../../src/load/report/markup.ts';
import type { LoadResult } from '../../../src/load/result.ts';
import {
  closedLoop,
  HOSTILE,
  hostile,
  long,
  mixed,
  nothingCompleted,
  oneInterval,
  operation,
  overloaded,
  result,
} from './sample-results.ts';

const ALL = { result, overloaded, mixed, closedLoop, nothingCompleted, oneInterval, long, hostile };

function scriptsOf(page: string): readonly { readonly attributes: string; readonly text: string }[] {
  return [...page.matchAll(/<script([^>]*)>([\s\S]*?)<\/script>/g)].map(([, attributes = '', text = '']) => ({
    attributes,
    text,
  }));
}

/** The page without what stands between tags, and without the text of scripts and style. */
function skeleton(page: string): readonly string[] {
  const bare = page.replace(/(<(?:script|style)[^>]*>)[\s\S]*?(<\/(?:script|style)>)/g, '$1$2');
  return bare.match(/<[^>]*>/g) ?? [];
}

function embedded(page: string, id: string): unknown {
  const found = scriptsOf(page).find(({ attributes }) => attributes.includes(`id="${id}"`));
  return JSON.parse(found?.text ?? 'null');
}

for (const [name, make] of Object.entries(ALL)) {
  const page = renderHtml(make());

  test(`${name}: elements are closed in their order`, (t) => {
    const open: string[] = [];
    for (const tag of skeleton(page)) {
      const [, slash, element = ''] = /^<(\/?)([a-z0-9!]+)/.exec(tag) ?? [];
      if (['!doctype', 'meta'].includes(element) || tag.endsWith('/>')) continue;
      if (slash === '/') t.is(open.pop(), element);
      else open.push(element);
    }
    t.deepEqual(open, []);
  });

  test(`${name}: ids are unique, and what refers to one finds it`, (t) => {
    const ids = skeleton(page).flatMap((tag) => / id="([^"]*)"/.exec(tag)?.[1] ?? []);
    t.is(new Set(ids).size, ids.length);
    for (const [, id = ''] of skeleton(page)
      .join('')
      .matchAll(/aria-(?:labelledby|describedby)="([^"]*)"/g)) {
      t.true(ids.includes(id), id);
    }
  });

  test(`${name}: nothing is fetched, and no style or handler stands in an attribute`, (t) => {
    const tags = skeleton(page).join('');
    t.notRegex(tags, /<(?:link|img|iframe|object|embed|base|form)\b/);
    t.notRegex(tags, / (?:src|href|style|on[a-z]+)=/);
    t.notRegex(page.slice(0, page.indexOf('<script')), /url\(|@import/);
  });

  test(`${name}: the page carries the result`, (t) => {
    t.deepEqual(embedded(page, 'result'), JSON.parse(JSON.stringify(make())));
  });
}

test('only the scripts and the style of the report may run, named by their hashes', (t) => {
  const page = renderHtml(hostile());
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1]?.replaceAll('&#39;', "'") ?? '';
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  const programs = scriptsOf(page).filter(({ attributes }) => attributes === '');
  const style = /<style>([\s\S]*?)<\/style>/.exec(page)?.[1] ?? '';
  t.is(programs.length, 2);
  t.is(
    policy,
    [
      "default-src 'none'",
      `script-src ${programs.map(({ text }) => hash(text)).join(' ')}`,
      `style-src ${hash(style)}`,
      "base-uri 'none'",
      "form-action 'none'",
    ].join('; '),
  );
});

test("uPlot's licence goes along", (t) => t.regex(renderHtml(oneInterval()), /Copyright \(c\) 2022 Leon Sorokin/));

test('hostile strings appear as text only', (t) => {
  const page = renderHtml(hostile());
  t.is(scriptsOf(page).length, 4);
  t.true(page.includes('&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;'));
  t.false(page.includes('<script>alert'));
  t.false(page.includes('<img'));
  const words = page.slice(page.indexOf('<body>'), page.indexOf('<script'));
  t.notRegex(words.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
});

function withText(text: string): LoadResult {
  const { plan, machine, generator, ...rest } = oneInterval();
  const errors = [{ code: text, count: 1, example: text }];
  return {
    ...rest,
    startedAt: text,
    plan: { ...plan, target: text, identity: text, via: text, protocol: text },
    machine: { ...machine, cpu: text, node: text, crypto: text },
    operations: [operation('handshake', 5, errors)],
    generator: { ...generator, bottlenecks: [text] },
  };
}

const FRAGMENTS = [...HOSTILE, '<', '>', '"', "'", '&', '</', '-->', ']]>', 'a'] as const;
const foreignText = fc
  .array(fc.oneof(fc.constantFrom(...FRAGMENTS), fc.string({ unit: 'binary' })), { maxLength: 6 })
  .map((parts) => parts.join(''));

const HARMLESS = skeleton(renderHtml(withText('harmless')));

testProp('no string changes the structure of the page', [foreignText], (t, text) => {
  const page = renderHtml(withText(text));
  t.deepEqual(skeleton(page), HARMLESS);
  t.deepEqual(embedded(page, 'result'), JSON.parse(JSON.stringify(withText(text))));
});

testProp('text within a tag is escaped, markup is not', [foreignText], (t, text) => {
  const { source } = html`<p title="${text}">${[text, html`<b>${1}</b>`]}</p>`;
  t.regex(source, /^<p title="[^"<>']*">[^<>"']*<b>1<\/b><\/p>$/);
});

testProp(
  'JSON in a script has no character that could end it, and reads as what it was',
  [fc.jsonValue()],
  (t, value) => {
    const { source } = scriptJson(value);
    t.notRegex(source, /[<>&\u2028\u2029]/);
    t.deepEqual(JSON.parse(source), JSON.parse(JSON.stringify(value)));
  },
);

test('what makes the figures doubtful stands before them', (t) => {
  const page = renderHtml(overloaded());
  const doubt = page.indexOf('The generator was a bottleneck');
  t.true(doubt > 0 && doubt < page.indexOf('class="tiles"'));
  t.true(renderHtml(nothingCompleted()).includes('No handshake was completed'));
  t.true(renderHtml(oneInterval()).includes('Stopped before its time'));
});

test('every plot is an image with a name and words, and the same data as a table', (t) => {
  const page = renderHtml(mixed());
  const figures = page.match(/<figure[\s\S]*?<\/figure>/g) ?? [];
  t.is(figures.length, 10);
  for (const figure of figures) {
    t.regex(figure, /<figcaption><h3 id="title-[a-z-]+">[^<]+<\/h3><p class="reading" id="reading-[a-z-]+">[^<]+/);
    t.regex(figure, /role="img" aria-labelledby="title-[a-z-]+" aria-describedby="reading-[a-z-]+"/);
    if (!figure.includes('plot-distribution')) t.regex(figure, /<table><caption>[\s\S]*<th scope="col"/);
  }
});

test('tables have a caption and scoped headers', (t) => {
  const tables = renderHtml(overloaded()).match(/<table[\s\S]*?<\/table>/g) ?? [];
  t.true(tables.length >= 6);
  for (const table of tables) {
    t.regex(table, /<caption>[^<]+<\/caption>/);
    t.notRegex(table, /<th(?! scope="(?:col|row)")[ >]/);
  }
});

test('kinds of errors are listed up to a bound', (t) => {
  const errors = Array.from({ length: 150 }, (_, index) => ({ code: `E${index}`, count: 150 - index, example: 'x' }));
  const page = renderHtml(result({ operations: [operation('handshake', 10, errors)] }));
  t.true(page.includes('>E99<'));
  t.false(page.includes('>E100<'));
  t.true(page.includes('50 more kinds'));
});

test('a run without a single interval has words instead of plots', (t) => {
  const page = renderHtml(result({ intervals: [], operations: [] }));
  t.true(page.includes('The run ended before its first second'));
  t.false(page.includes('<figure'));
});

test('an hour is below two megabytes', (t) => t.true(renderHtml(long()).length < 2e6));
