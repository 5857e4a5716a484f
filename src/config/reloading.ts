import { setTimeout } from 'node:timers/promises'
import { type FileWatchOptions, openFileWatch } from '../lib/file-watch.ts'
import { failureFields } from '../observe/failure.ts'
import type { Log } from '../observe/log.ts'
import type { Config } from './config.ts'
import { fingerprint, publicHash } from './fingerprint.ts'
import { ConfigError, type Problem } from './problem.ts'
import { ConfigSnapshot } from './snapshot.ts'

/** A configuration that was read, and what from. */
export interface ReadConfig {
  readonly config: Config
  readonly warnings: readonly Problem[]
  readonly snapshot: ConfigSnapshot
}

export interface ReloadParts {
  /** The one in force. */
  readonly first: ReadConfig
  /** Reads the configuration through that snapshot. @throws {ConfigError} */
  readonly read: (snapshot: ConfigSnapshot) => Promise<ReadConfig>
  /** Puts a configuration into force, whole or not at all. */
  readonly apply: (read: ReadConfig) => Promise<void>
  readonly log: Log
  readonly onEnd: (isSuccess: boolean) => void
  readonly watch?: Pick<FileWatchOptions, 'pollMs' | 'settleMs'>
}

/** `error` is why the one before stays. */
export type ReloadOutcome = { readonly isTaken: true } | { readonly isTaken: false; readonly error: unknown }

/** Where the configuration comes from, as it is asked for what stands there now, and to take it. */
export interface ConfigSource {
  readonly path: string
  /** @throws {ConfigError} */
  readonly read: () => Promise<{ readonly config: Config }>
  readonly reload: () => Promise<ReloadOutcome>
}

/** Takes changed configurations. Disposing waits for the one that is being taken. */
export interface Reloader extends AsyncDisposable {
  /** Reads the configuration again, even if nothing has changed; resolves when it is in force, or refused. Never rejects. */
  reload(): Promise<ReloadOutcome>
}

/** How long files must stay as they are until they are believed: who writes one bit by bit has them half at first. */
const STEADY_MS = 100
const MAX_LOOKS = 50
const MAX_PROBLEMS_LOGGED = 10

/**
 * Watches the files of a configuration and takes what they say whenever they change, one after the other. What is broken
 * changes nothing, and is told with its line.
 */
export async function openReloader(parts: ReloadParts): Promise<Reloader> {
  const reloader = new ConfigReloader(parts)
  await reloader.begin()
  return reloader
}

class ConfigReloader implements Reloader {
  readonly #parts: ReloadParts
  /** Of the configuration in force. */
  #fingerprint: string
  #isRefused = false
  /** What was read last, in force or not. */
  #last: ConfigSnapshot
  #paths: readonly string[]
  #watch: AsyncDisposable | undefined
  #running: Promise<ReloadOutcome> = Promise.resolve({ isTaken: true })
  #isClosed = false

  constructor(parts: ReloadParts) {
    this.#parts = parts
    this.#fingerprint = fingerprint(parts.first.config)
    this.#last = parts.first.snapshot
    this.#paths = pathsOf(parts.first.snapshot)
  }

  async begin(): Promise<void> {
    await this.#watchFiles()
    // What was written between the reading and the watching.
    if (!(await this.#parts.first.snapshot.isCurrent())) void this.#queue(true)
  }

  reload(): Promise<ReloadOutcome> {
    return this.#queue(false)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#watch?.[Symbol.asyncDispose]()
    await this.#running
  }

  async #watchFiles(): Promise<void> {
    await this.#watch?.[Symbol.asyncDispose]()
    const { watch } = this.#parts
    this.#watch = await openFileWatch({ ...watch, paths: this.#paths, onChange: () => void this.#queue(true) })
  }

  #queue(onlyIfChanged: boolean): Promise<ReloadOutcome> {
    this.#running = this.#running.then(() => this.#take(onlyIfChanged))
    return this.#running
  }

  async #take(onlyIfChanged: boolean): Promise<ReloadOutcome> {
    if (this.#isClosed) return { isTaken: false, error: new Error('the gateway is shutting down') }
    // Told twice of one change.
    if (onlyIfChanged && (await this.#last.isCurrent())) return { isTaken: true }
    const { log, apply, onEnd } = this.#parts
    try {
      const read = await this.#readSteady()
      const next = fingerprint(read.config)
      const hash = publicHash(read.config)
      if (next === this.#fingerprint && onlyIfChanged) {
        // A file was touched, or is again as it was before it was broken.
        if (this.#isRefused) log.info('configuration is in order again', { hash })
        if (this.#isRefused) onEnd(true)
      } else {
        await apply(read)
        this.#fingerprint = next
        log.info('configuration reloaded', { hash })
        logWarnings(log, read.warnings)
        onEnd(true)
      }
      this.#isRefused = false
      return { isTaken: true }
    } catch (error) {
      this.#isRefused = true
      log.error('configuration not reloaded, the one before stays in force', refusalFields(error))
      onEnd(false)
      return { isTaken: false, error }
    }
  }

  /** What the files hold once they have come to rest. */
  async #readSteady(): Promise<ReadConfig> {
    for (let looks = 1; ; looks += 1) {
      const snapshot = new ConfigSnapshot()
      const [outcome] = await Promise.allSettled([this.#parts.read(snapshot)])
      await setTimeout(STEADY_MS)
      if (!(await snapshot.isCurrent()) && looks < MAX_LOOKS) continue
      this.#last = snapshot
      await this.#follow(snapshot)
      if (outcome.status === 'rejected') throw outcome.reason
      return outcome.value
    }
  }

  /** A file that the configuration names since now is watched too; what it has not read for want of another stays. */
  async #follow(snapshot: ConfigSnapshot): Promise<void> {
    const paths = [...new Set([...this.#paths, ...pathsOf(snapshot)])]
    if (paths.length === this.#paths.length || this.#isClosed) return
    this.#paths = paths
    await this.#watchFiles()
  }
}

/** What a configuration is taken in spite of. */
export function logWarnings(log: Log, warnings: readonly Pick<Problem, 'message' | 'file' | 'line'>[]): void {
  for (const { message, file, line } of warnings) log.warn('configuration warning', { warning: message, file, line })
}

function pathsOf({ files }: ConfigSnapshot): string[] {
  return [...files.keys()]
}

/** Places and words of what is wrong, fit to be printed; no value of the file. */
function refusalFields(error: unknown) {
  if (!(error instanceof ConfigError)) return failureFields(error)
  const errors = error.problems.filter(({ severity }) => severity === 'error')
  const [first] = errors
  return {
    file: first?.file,
    line: first?.line,
    column: first?.column,
    problems: errors.slice(0, MAX_PROBLEMS_LOGGED).map(({ file, line, column, message }) => {
      const place = [file, line, column].filter((part) => part !== undefined).join(':')
      return `${place}: ${message}`
    }),
  }
}
