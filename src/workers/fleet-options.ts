import type { Config } from '../config/config.ts'
import type { FileSnapshot } from '../config/snapshot.ts'
import type { Sink } from '../observe/sink.ts'
import type { Fork } from './forking.ts'
import type { RestartSchedule } from './restart-schedule.ts'
import type { WorkerTimes } from './worker-process.ts'

/** A configuration as far as a supervisor acts on it, and as its workers are given it. */
export interface FleetConfig {
  readonly config: Pick<Config, 'workers' | 'admin' | 'probes' | 'shutdown' | 'logging'>
  /** The YAML's path, a name among `files`. */
  readonly path: string
  readonly files: FileSnapshot
}

export interface FleetOptions extends FleetConfig {
  /** Logged once the workers listen. */
  readonly warnings: readonly { readonly message: string; readonly file: string; readonly line?: number }[]
}

export interface FleetParts {
  readonly fork: Fork
  /** Default: that of stdout, and a log on it. */
  readonly sink?: Sink
  readonly schedule?: RestartSchedule
  readonly times?: Partial<WorkerTimes>
}
