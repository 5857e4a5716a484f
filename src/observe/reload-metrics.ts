import type { Registry } from 'prom-client'
import type { Clock } from '../lib/clock.ts'
import { createCounter, createGauge } from './series.ts'

/** How the configuration was taken, as Prometheus tells it of itself. */
export interface ReloadMetrics {
  /** The start counts as one that was taken. */
  ended(isSuccess: boolean): void
}

export function createReloadMetrics(registry: Registry, clock: Clock): ReloadMetrics {
  const reloads = createCounter(registry, {
    name: 'sessiongate_config_reloads_total',
    help: 'Configurations that were read, the first among them: taken, or refused with the one before in force.',
    labelNames: ['result'],
  })
  const successful = createGauge(registry, {
    name: 'sessiongate_config_last_reload_successful',
    help: '0 while the file holds something that was refused.',
    labelNames: [],
  })
  const successSeconds = createGauge(registry, {
    name: 'sessiongate_config_last_reload_success_timestamp_seconds',
    help: 'When the configuration in force was taken.',
    labelNames: [],
  })
  return {
    ended(isSuccess) {
      reloads.at(isSuccess ? 'success' : 'failure').add()
      successful.at().value = isSuccess ? 1 : 0
      if (isSuccess) successSeconds.at().value = clock() / 1000
    },
  }
}
