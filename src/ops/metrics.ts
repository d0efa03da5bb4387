/**
 * Metrics of the whole process in one registry on the main thread. Numbers are kept where they arise (plain counters of a
 * shard, of admission) and read as a snapshot when somebody scrapes: the hot path never calls the metrics library.
 * Every name begins with `lewes_`; counters end in `_total`; label values come from closed sets.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { LoopDelay } from '../system/loop-delay.ts';

export type { Registry } from 'prom-client';

/** One value of a metric with its labels; a label without a value is not shown. */
export interface Sample<Label extends string> {
  readonly labels: Readonly<Partial<Record<Label, string>>>;
  readonly value: number;
}

type Read<Label extends string> = () => readonly Sample<Label>[];

const PREFIX = 'lewes_';
/** Gauges whose names end like counters', which promtool refuses; `lewes_nodejs_active_*` without the suffix stay. */
const MISNAMED = ['handles_total', 'requests_total', 'resources_total'].map((end) => `${PREFIX}nodejs_active_${end}`);

/** A registry with the metrics of the process itself (memory, CPU, garbage collection, file descriptors). */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: PREFIX });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  return registry;
}

/** A gauge that is read when it is scraped. A sample that is no finite number is left out. */
export function registerGauges<Label extends string>(
  registry: Registry,
  name: string,
  help: string,
  labels: readonly Label[],
  read: Read<Label>,
): void {
  checkName(name, false);
  new Gauge({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, value } of read()) if (Number.isFinite(value)) this.set(labels, value);
    },
  });
}

/**
 * A counter that is read when it is scraped. Samples with equal labels (of several shards) add up. A reader whose thread
 * was restarted begins at 0 again, which is what scrapers expect of a counter.
 */
export function registerCounters<Label extends string>(
  registry: Registry,
  name: string,
  help: string,
  labels: readonly Label[],
  read: Read<Label>,
): void {
  checkName(name, true);
  new Counter({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, value } of read()) if (Number.isFinite(value) && value >= 0) this.inc(labels, value);
    },
  });
}

/** `lewes_event_loop_delay_seconds{thread, stat}`: `read` gives the delay per thread ("main", "shard-0", …). */
export function registerLoopDelays(registry: Registry, read: () => Readonly<Record<string, LoopDelay>>): void {
  registerGauges(
    registry,
    `${PREFIX}event_loop_delay_seconds`,
    'Delay of the event loop since the last scrape, per thread.',
    ['thread', 'stat'],
    () =>
      Object.entries(read()).flatMap(([thread, { p50, p99, max }]) =>
        Object.entries({ p50, p99, max }).map(([stat, value]) => ({ labels: { thread, stat }, value })),
      ),
  );
}

function checkName(name: string, counter: boolean): void {
  if (!/^lewes_[a-z][a-z0-9_]*$/.test(name) || name.endsWith('_total') !== counter) {
    throw new Error(`the metric name ${name} breaks the rules of this module`);
  }
}
