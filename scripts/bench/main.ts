/**
 * `npm run bench`: the table of figures, each against a floor or a peer of the same run. Options: names of figures
 * (responder, responder-lp1, handshake, registration, leases, echo, memory; default all), `--quick`, `--json`. Ends with 0 also when a figure is not reached:
 * machines are shared, and the table says so.
 */
import { parseArgs } from 'node:util';
import { responderFigure } from './core.ts';
import { lp1ResponderFigure } from './core-lp1.ts';
import { type Figure, printFigures } from './figures.ts';
import { echoFigures, handshakeFigure } from './gateway.ts';
import { leaseFigure } from './leases.ts';
import { memoryFigure } from './memory.ts';
import { registrationFigures } from './registration.ts';

const { values, positionals } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const { quick, json } = values;
const BENCHES: Readonly<Record<string, () => Promise<Figure[]>>> = {
  responder: async () => [await responderFigure(quick ? 3 : 7, quick ? 200 : 600)],
  'responder-lp1': async () => [await lp1ResponderFigure(quick ? 5 : 21, 200)],
  handshake: async () => [await handshakeFigure(quick ? 3 : 7, quick ? 1_000 : 3_000)],
  registration: () => registrationFigures(quick ? 3 : 7, quick ? 1_000 : 3_000),
  leases: async () => [leaseFigure(quick ? 3 : 7, 200_000)],
  echo: () => echoFigures(quick ? 3 : 7, quick ? 500 : 2_000),
  memory: async () => [await memoryFigure(quick ? 20_000 : 200_000)],
};
const asked = positionals.length > 0 ? positionals : Object.keys(BENCHES);
const unknown = asked.filter((name) => !Object.hasOwn(BENCHES, name));
if (unknown.length > 0) {
  console.error(`bench: no figure called ${unknown.join(', ')}. There are: ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}
const figures: Figure[] = [];
for (const name of asked) {
  if (!json) console.error(`measuring ${name} …`);
  figures.push(...((await BENCHES[name]?.()) ?? []));
}
if (json) console.log(JSON.stringify({ node: process.version, figures }, undefined, 2));
else printFigures(figures);
