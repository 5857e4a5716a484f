import { performance } from 'node:perf_hooks'
import { Counter, collectDefaultMetrics, Gauge, type Registry } from 'prom-client'

/** What runs. */
export interface BuildInfo {
  readonly version: string
  /** The commit it was built from; empty where nobody said. */
  readonly revision: string
}

/** With what it runs. */
export interface ConfigInfo {
  /** A short hash of the configuration in force; it says which, not what. */
  readonly hash: string
  readonly mode: 'enforce' | 'observe'
}

export interface ProcessMetrics {
  /** The configuration in force is this one now. */
  configured(config: ConfigInfo): void
}

export interface ProcessMetricsOptions {
  readonly build: BuildInfo
  /** Read at every scrape. */
  readonly droppedLogLines: () => number
}

/** Gauges that prom-client names as counters are named; the same without `_total` have the numbers by their types. */
const misnamed = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']

/** Node's own metrics, and what tells one process from another. */
export function createProcessMetrics(registry: Registry, options: ProcessMetricsOptions): ProcessMetrics {
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  for (const name of misnamed) registry.removeSingleMetric(name)
  addUtilization(registers)
  addDroppedLines(registers, options.droppedLogLines)
  const build = new Gauge({
    name: 'sessiongate_build_info',
    help: 'What runs; always 1.',
    labelNames: ['version', 'revision', 'node'],
    registers,
    aggregator: 'first',
  })
  build.set({ ...options.build, node: process.versions.node }, 1)
  const config = new Gauge({
    name: 'sessiongate_config_info',
    help: 'The configuration in force; always 1.',
    labelNames: ['hash', 'mode'],
    registers,
    aggregator: 'first',
  })
  return {
    configured({ hash, mode }) {
      config.reset() // or the configuration before would go on saying 1
      config.set({ hash, mode }, 1)
    },
  }
}

function addUtilization(registers: Registry[]): void {
  let last = performance.eventLoopUtilization()
  new Gauge({
    name: 'nodejs_eventloop_utilization_ratio',
    help: 'The share of time, since the last scrape, in which the event loop was not idle.',
    registers,
    aggregator: 'average',
    collect() {
      const now = performance.eventLoopUtilization()
      this.set(performance.eventLoopUtilization(now, last).utilization)
      last = now
    },
  })
}

function addDroppedLines(registers: Registry[], droppedLogLines: () => number): void {
  new Counter({
    name: 'sessiongate_log_lines_dropped_total',
    help: 'Log lines lost because their reader stalled or went away.',
    registers,
    collect() {
      this.reset()
      this.inc(droppedLogLines())
    },
  })
}
