import type { Aggregator, Metric, Registry } from 'prom-client'

/** A metric: how it is called, what it says, and by which labels its series differ. */
export interface MetricHead<Names extends readonly string[]> {
  readonly name: string
  readonly help: string
  readonly labelNames: Names
  /** What several workers' values make together; default their sum. */
  readonly aggregator?: Aggregator
}

/** One value for each label, in the order of the names. */
type Values<Names extends readonly string[]> = { readonly [Index in keyof Names]: string }

type Labels = Readonly<Record<string, string>>

/** One line of the text that is scraped. */
interface Sample {
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

/** A number that goes up; a gauge's goes down too. */
export class Count {
  value = 0

  add(amount = 1): void {
    this.value += amount
  }
}

/** How many observations lie in each bucket, and what they sum up to. */
export class Distribution {
  readonly #bounds: readonly number[]
  /** One more than there are bounds. */
  readonly counts: number[]
  sum = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  /** What is not a number is left out: the sum would never be one again. */
  observe(value: number): void {
    if (!Number.isFinite(value)) return
    let bucket = 0
    for (const bound of this.#bounds) {
      if (value <= bound) break
      bucket += 1
    }
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1
    this.sum += value
  }
}

/** All series of a metric. */
export interface Family<Names extends readonly string[], Series> {
  /** The series with these label values; it is scraped from now on. The values must come from closed sets. */
  at(...values: Values<Names>): Series
}

/**
 * A counter whose series are plain numbers: prom-client finds a series by writing its labels out, at each count; here
 * they are looked up one by one, and the text is made when somebody scrapes. The text is prom-client's to the letter.
 */
export function createCounter<const Names extends readonly string[]>(
  registry: Registry,
  head: MetricHead<Names>,
): Family<Names, Count> {
  return register(registry, head, { type: 'counter', open: () => new Count(), samples: countSample })
}

/** A gauge of the same make. */
export function createGauge<const Names extends readonly string[]>(
  registry: Registry,
  head: MetricHead<Names>,
): Family<Names, Count> {
  return register(registry, head, { type: 'gauge', open: () => new Count(), samples: countSample })
}

/** A histogram of the same make; `buckets` are their upper bounds, rising. */
export function createHistogram<const Names extends readonly string[]>(
  registry: Registry,
  head: MetricHead<Names> & { readonly buckets: readonly number[] },
): Family<Names, Distribution> {
  const { name, buckets } = head
  return register(registry, head, {
    type: 'histogram',
    open: () => new Distribution(buckets),
    samples: (distribution, labels) => bucketSamples(distribution, { name, buckets, labels }),
  })
}

function countSample({ value }: Count, labels: Labels): Sample[] {
  return [{ labels, value }]
}

/** Prometheus' buckets are cumulative: each holds those below it, the last all. */
function bucketSamples(
  { counts, sum }: Distribution,
  { name, buckets, labels }: { name: string; buckets: readonly number[]; labels: Labels },
): Sample[] {
  let count = 0
  const samples: Sample[] = []
  for (const le of [...buckets, '+Inf']) {
    count += counts[samples.length] ?? 0
    samples.push({ metricName: `${name}_bucket`, labels: { le, ...labels }, value: count })
  }
  return [
    ...samples,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ]
}

interface Kind<Series> {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly open: () => Series
  readonly samples: (series: Series, labels: Labels) => Sample[]
}

function register<const Names extends readonly string[], Series>(
  registry: Registry,
  { name, help, labelNames, aggregator = 'sum' }: MetricHead<Names>,
  { type, open, samples }: Kind<Series>,
): Family<Names, Series> {
  const tree = new SeriesTree<Series>(labelNames, open)
  if (labelNames.length === 0) tree.at()
  const metric = {
    name,
    async get() {
      const values = tree.all.flatMap(({ series, labels }) => samples(series, labels))
      return { name, help, type, values, aggregator }
    },
  }
  // Of what is registered a registry calls `get`, and nothing else; prom-client's own sums of a cluster are such objects.
  registry.registerMetric(metric as unknown as Metric)
  return tree
}

interface Branch<Series> {
  readonly branches: Map<string, Branch<Series>>
  series: Series | undefined
}

/** Series by their label values, a map for each label: nothing is written together to be looked up. */
class SeriesTree<Series> {
  readonly #labelNames: readonly string[]
  readonly #open: () => Series
  readonly #root = newBranch<Series>()
  /** In the order in which they were first asked for. */
  readonly all: { readonly labels: Labels; readonly series: Series }[] = []

  constructor(labelNames: readonly string[], open: () => Series) {
    this.#labelNames = labelNames
    this.#open = open
  }

  at(...values: readonly string[]): Series {
    let branch = this.#root
    for (const value of values) branch = branch.branches.get(value) ?? grow(branch, value)
    branch.series ??= this.#add(values)
    return branch.series
  }

  #add(values: readonly string[]): Series {
    const labels = Object.fromEntries(this.#labelNames.map((name, i) => [name, values[i] ?? '']))
    const series = this.#open()
    this.all.push({ labels, series })
    return series
  }
}

function newBranch<Series>(): Branch<Series> {
  return { branches: new Map(), series: undefined }
}

function grow<Series>(branch: Branch<Series>, value: string): Branch<Series> {
  const grown = newBranch<Series>()
  branch.branches.set(value, grown)
  return grown
}
