/**
 * The style of the report's page. Colours are custom properties, which the plots read too: light by default, dark where
 * the reader prefers it, light again on paper. Text has a contrast of at least 4.5 to 1, lines of plots of 3 to 1.
 */
export const PAGE_STYLE = `
:root {
  --back: #ffffff; --panel: #f6f8fa; --text: #1a2129; --quiet: #55606c; --edge: #d4dae1; --grid: #e6eaef;
  --accent: #0a58b8; --phase: #eef1f5;
  --warn-back: #fff4e0; --warn-edge: #b25e00; --warn-text: #5c3000; --bad: #ab1f3f;
  --series-0: #6b7683; --series-1: #0a58b8; --series-2: #b25e00; --series-3: #b3204f; --series-4: #00756b;
  --series-5: #6f42c1; --series-6: #1a2129;
  --fill-1: #0a58b81f; --fill-3: #b3204f1f; --fill-4: #00756b1f;
}
@media screen and (prefers-color-scheme: dark) {
  :root:not([data-paper]) {
    --back: #0e1318; --panel: #161d25; --text: #e8ecf1; --quiet: #a3afbc; --edge: #33404d; --grid: #232d37;
    --accent: #7ab8ff; --phase: #18212a;
    --warn-back: #33240d; --warn-edge: #f0a840; --warn-text: #ffe2b3; --bad: #ff8fa8;
    --series-0: #94a1af; --series-1: #6cb2ff; --series-2: #ffb15c; --series-3: #ff86a6; --series-4: #55d3c3;
    --series-5: #c0a1ff; --series-6: #e8ecf1;
    --fill-1: #6cb2ff2b; --fill-3: #ff86a62b; --fill-4: #55d3c32b;
  }
}
* { box-sizing: border-box; }
html { color-scheme: light dark; }
body {
  margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 68rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { margin: 3rem 0 1rem; padding-bottom: .35rem; border-bottom: 1px solid var(--edge); font-size: 1.3rem; }
h3 { margin: 0; font-size: 1.05rem; }
.over { margin: 0 0 .3rem; color: var(--quiet); font-size: .9rem; }
.headline { margin: .9rem 0 0; max-width: 46rem; font-size: 1.15rem; }
.quiet, .reading, .note { color: var(--quiet); font-size: .9rem; }
.notice { margin: 1.5rem 0 0; padding: .9rem 1.1rem; border: 1px solid var(--edge); border-left: 6px solid var(--edge);
  border-radius: 6px; background: var(--panel); }
.notice p { margin: 0; font-weight: 650; }
.notice ul { margin: .4rem 0 0; padding-left: 1.2rem; }
.notice li { overflow-wrap: anywhere; }
.notice.doubt { border-color: var(--warn-edge); background: var(--warn-back); color: var(--warn-text); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: .9rem; margin: 1.75rem 0 0; padding: 0; }
.tile { padding: .9rem 1.1rem; border: 1px solid var(--edge); border-radius: 8px; background: var(--panel); }
.tile dt { color: var(--quiet); font-size: .85rem; }
.tile dd { margin: 0; }
.tile .figure { display: block; font-size: 1.75rem; font-weight: 650; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile .unit { white-space: nowrap; font-size: 1rem; font-weight: 500; color: var(--quiet); }
.tile .beside { display: block; color: var(--quiet); font-size: .85rem; }
.tile.bad .figure { color: var(--bad); }
.plot { margin: 0 0 2.25rem; }
.plot .reading { margin: .15rem 0 .5rem; }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0 2rem; align-items: start; }
.pair .plot { display: grid; grid-template-rows: subgrid; grid-row: span 4; grid-template-columns: minmax(0, 1fr); }
.canvas { min-height: 280px; overflow: hidden; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; margin: 0; padding: 0; list-style: none; font-size: .85rem; }
.legend li { display: flex; align-items: center; gap: .4rem; }
.legend .value, .legend .at { min-width: 1px; color: var(--quiet); font-variant-numeric: tabular-nums; }
.legend svg { flex: none; width: 34px; height: 10px; }
.legend line { stroke-width: 2; }
.s0 { stroke: var(--series-0); } .s1 { stroke: var(--series-1); } .s2 { stroke: var(--series-2); } .s3 { stroke: var(--series-3); }
.s4 { stroke: var(--series-4); } .s5 { stroke: var(--series-5); } .s6 { stroke: var(--series-6); }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { padding: 0 0 .4rem; text-align: left; font-weight: 650; }
th, td { padding: .4rem .7rem; border-bottom: 1px solid var(--edge); text-align: left; vertical-align: top; }
thead th { border-bottom-width: 2px; color: var(--quiet); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 600; white-space: nowrap; }
.number { text-align: right; white-space: nowrap; }
.facts td, .words { overflow-wrap: anywhere; min-width: 12rem; }
.facts tbody th { width: 9.5rem; color: var(--quiet); font-weight: 500; }
.code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .85em; }
td.code { overflow-wrap: anywhere; min-width: 9rem; }
.block { margin: 0 0 1.75rem; }
details { margin: .4rem 0 0; font-size: .85rem; }
summary { color: var(--accent); cursor: pointer; }
details .scroll { max-height: 22rem; overflow: auto; margin-top: .5rem; }
button { padding: .45rem .9rem; border: 1px solid var(--edge); border-radius: 6px; background: var(--panel); color: var(--accent);
  font: inherit; font-size: .9rem; cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--edge); display: flex; flex-wrap: wrap; gap: 1rem;
  align-items: center; justify-content: space-between; }
footer p { margin: 0; }
@media screen and (max-width: 34rem) { .tile .figure { font-size: 1.35rem; } .tile .unit { font-size: .9rem; } }
@media screen and (max-width: 46rem) { .pair { grid-template-columns: minmax(0, 1fr); } }
/* The width of A4 within its margins, also while the plots are measured for it. */
:root[data-paper] body { width: 182mm; max-width: none; padding: 0; }
@page { size: A4; margin: 14mm; }
@media print {
  html { color-scheme: light; }
  body { width: 182mm; max-width: none; padding: 0; font-size: 10.5pt; }
  h2 { margin-top: 1.5rem; }
  h2, h3, caption { break-after: avoid; }
  .plot, .tile, .notice, tr, .legend { break-inside: avoid; }
  .scroll { overflow: visible; }
  .plot { margin-bottom: 1rem; }
  .canvas { min-height: 0; }
  .tiles { grid-template-columns: repeat(4, 1fr); }
  .tile { padding: .6rem .8rem; }
  .tile .figure { font-size: 1.3rem; }
  .tile .unit { font-size: .85rem; }
  .tile, .notice, .legend { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  details, button, .screen { display: none; }
}
`;
