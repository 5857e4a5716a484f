import { type Aggregator, AggregatorRegistry, type Registry } from 'prom-client'

/** A metric with its values, as it travels from a worker to its supervisor. */
export interface MetricFamily {
  readonly name: string
  readonly help: string
  /** `counter`, `gauge`, `histogram`. */
  readonly type: string
  /** What the values of several workers make together. */
  readonly aggregator: Aggregator
  readonly values: readonly MetricSample[]
}

export interface MetricSample {
  /** Of the parts of a histogram. */
  readonly metricName?: string | undefined
  readonly labels: Readonly<Record<string, string | number>>
  /** `null`: not a number, which JSON cannot say. */
  readonly value: number | null
}

/** Of Node's own metrics, where a sum of several processes would be no answer, or one that stands still would be lost in it. */
const aggregators: Readonly<Record<string, Aggregator>> = {
  process_start_time_seconds: 'min',
  nodejs_version_info: 'first',
  nodejs_eventloop_lag_seconds: 'max',
  nodejs_eventloop_lag_min_seconds: 'min',
  nodejs_eventloop_lag_max_seconds: 'max',
  nodejs_eventloop_lag_mean_seconds: 'max',
  nodejs_eventloop_lag_stddev_seconds: 'max',
  nodejs_eventloop_lag_p50_seconds: 'max',
  nodejs_eventloop_lag_p90_seconds: 'max',
  nodejs_eventloop_lag_p99_seconds: 'max',
}

type JsonOf = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

/** What a registry holds now of these metrics. */
export async function readFamiliesOf(registry: Registry, names: ReadonlySet<string>): Promise<MetricFamily[]> {
  const metrics = [...names].map((name) => registry.getSingleMetric(name)).filter((metric) => metric !== undefined)
  return (await Promise.all(metrics.map((metric) => metric.get()))) as unknown as MetricFamily[]
}

/** What a registry holds now. */
export async function readFamilies(registry: Registry): Promise<MetricFamily[]> {
  // Its types give the kind as a number, and do not know the names of a histogram's parts.
  return (await registry.getMetricsAsJSON()) as unknown as MetricFamily[]
}

/** What processes count together. Values that are no numbers are left out: a sum would never be one again. */
export async function sumFamilies(processes: readonly (readonly MetricFamily[])[]): Promise<MetricFamily[]> {
  return await readFamilies(summed(processes))
}

/** The same in Prometheus' text format. */
export async function familiesText(processes: readonly (readonly MetricFamily[])[]): Promise<string> {
  return await summed(processes).metrics()
}

/** What stays true when the process has ended: what it has counted, and nothing that it had at the moment. */
export function lastingFamilies(families: readonly MetricFamily[]): MetricFamily[] {
  return families.filter(({ type }) => type === 'counter' || type === 'histogram')
}

function summed(processes: readonly (readonly MetricFamily[])[]): Registry {
  const all = processes.map((families) =>
    families.map((family) => ({
      ...family,
      aggregator: aggregators[family.name] ?? family.aggregator,
      values: family.values.filter(({ value }) => value !== null && !Number.isNaN(value)),
    })),
  )
  return AggregatorRegistry.aggregate(all as unknown as JsonOf[]) as Registry
}
