/**
 * The report of a load run as one HTML file that needs no network: uPlot, style, data and result are inside. The page may
 * run and style itself only with what was written here: a Content-Security-Policy names the two scripts and the style by
 * their hashes and forbids everything else. Text goes through `html`, data through `scriptJson` (markup.ts).
 */
import { createHash } from 'node:crypto';
import type { LoadResult } from '../result.ts';
import { chartsOf, phasesOf } from './charts.ts';
import { type Content, html, Markup, scriptJson } from './markup.ts';
import { PAGE_PROGRAM, type PageData } from './page-program.ts';
import { PAGE_STYLE } from './page-style.ts';
import { plotSections } from './plot-sections.ts';
import { headerSection, noticeSections, tableSections, tileSection } from './sections.ts';
import { uplotAssets } from './uplot-assets.ts';

export function renderHtml(result: LoadResult): string {
  const assets = uplotAssets();
  const style = `${assets.style}${PAGE_STYLE}`;
  const scripts = [assets.script, PAGE_PROGRAM];
  const charts = chartsOf(result);
  const data: PageData = { charts, phases: phasesOf(result.intervals) };
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy(scripts, style)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Load test: ${result.plan.scenario} against ${result.plan.target}</title>
<style>${verbatim(style)}</style>
</head>
<body>
${headerSection(result)}
<main>
${noticeSections(result)}
${tileSection(result)}
<h2>Course of the run</h2>
${plotSections(charts)}
${tableSections(result)}
</main>
${footer(result)}
<script type="application/json" id="charts">${scriptJson(data)}</script>
<script type="application/json" id="result">${scriptJson(result)}</script>
${scripts.map((script): Content => html`<script>${verbatim(script)}</script>\n`)}</body>
</html>
`;
  return page.source;
}

function policy(scripts: readonly string[], style: string): string {
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  return [
    "default-src 'none'",
    `script-src ${scripts.map(hash).join(' ')}`,
    `style-src ${hash(style)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
}

/** Our own text and uPlot's, as it is: a hash must fit to the byte. */
function verbatim(text: string): Markup {
  if (/<\/(?:script|style)|<!--/i.test(text)) throw new Error('a script or style of the report would end its element');
  return new Markup(text);
}

function footer({ schema, startedAt }: LoadResult): Markup {
  return html`<footer>
<p class="quiet">Made by <code class="code">lewes load</code>, started ${startedAt}, schema ${schema}.</p>
<button type="button" id="save" hidden>Save the result as JSON</button>
</footer>`;
}
