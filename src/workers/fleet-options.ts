import type { Operations } from '../admin/operations.ts'
import type { OpenSpeech } from '../admin/operator-tls.ts'
import type { Config } from '../config/config.ts'
import type { TlsConfig } from '../config/listen-config.ts'
import type { ConfigSource } from '../config/reloading.ts'
import type { FileSnapshot } from '../config/snapshot.ts'
import type { Log } from '../observe/log.ts'
import type { Sink } from '../observe/sink.ts'
import type { TlsMetrics } from '../observe/tls-metrics.ts'
import type { Fork } from './forking.ts'
import type { RestartSchedule } from './restart-schedule.ts'
import type { WorkerTimes } from './worker-process.ts'

/** A configuration, and as its workers are given it. */
export interface FleetConfig {
  readonly config: Config
  /** The YAML's path, a name among `files`. */
  readonly path: string
  readonly files: FileSnapshot
}

export interface FleetOptions extends FleetConfig {
  readonly version: string
  /** Logged once the workers listen. */
  readonly warnings: readonly { readonly message: string; readonly file: string; readonly line?: number }[]
}

export interface FleetParts {
  readonly fork: Fork
  /** What the operator asks of the configuration in force, and of where it comes from. */
  readonly fileOperations: (
    inForce: () => Config,
    source: () => Promise<ConfigSource>,
  ) => Pick<Operations, 'configuration' | 'reload'>
  /** What the operator's listener speaks with `admin.tls`. */
  readonly openSpeech: (told: {
    readonly log: Log
    readonly metrics: { readonly tls: TlsMetrics }
  }) => OpenSpeech<TlsConfig>
  /** Default: that of stdout, and a log on it. */
  readonly sink?: Sink
  readonly schedule?: RestartSchedule
  readonly times?: Partial<WorkerTimes>
}
