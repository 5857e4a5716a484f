import { type FSWatcher, watch } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorCodeOf } from './error-code.ts'

export interface FileWatchOptions {
  /** Absolute; they need not exist. */
  readonly paths: readonly string[]
  /** Called when one of them is another than before, or has come or gone; never twice at a time. It must not throw. */
  readonly onChange: () => Promise<void> | void
  /** How often they are looked at even if the system reports nothing. Default 2,000. */
  readonly pollMs?: number
  /** How long after a report they are looked at: a file is seldom written in one go. Default 100. */
  readonly settleMs?: number
}

/**
 * Tells when files change, from the moment at which the promise resolves. Their folders are watched, not the files: most
 * writers put a new file in the place of the old one, and a volume of Kubernetes swaps a symbolic link beside them, of
 * which a watch on the file itself hears nothing. Links may also lead to folders that nobody watches, network file systems
 * report nothing, and a system may have run out of watches: so they are looked at from time to time as well.
 */
export async function openFileWatch(options: FileWatchOptions): Promise<AsyncDisposable> {
  const watched = new FileWatch(options)
  await watched.begin()
  return watched
}

class FileWatch implements AsyncDisposable {
  readonly #paths: readonly string[]
  readonly #onChange: FileWatchOptions['onChange']
  readonly #pollMs: number
  readonly #settleMs: number
  readonly #watchers: FSWatcher[] = []
  #seen = ''
  #poll: NodeJS.Timeout | undefined
  #settling: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined
  #isClosed = false

  constructor({ paths, onChange, pollMs = 2_000, settleMs = 100 }: FileWatchOptions) {
    this.#paths = paths
    this.#onChange = onChange
    this.#pollMs = pollMs
    this.#settleMs = settleMs
  }

  async begin(): Promise<void> {
    for (const folder of new Set(this.#paths.map(dirname))) this.#watchFolder(folder)
    this.#seen = await signatureOf(this.#paths)
    this.#schedule()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#poll)
    clearTimeout(this.#settling)
    for (const watcher of this.#watchers) watcher.close()
    await this.#looking
  }

  #watchFolder(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#settle())
      watcher.on('error', () => watcher.close())
      this.#watchers.push(watcher)
    } catch {
      // No such folder, or no watch to be had: looking now and then is enough.
    }
  }

  /** A folder in which something happens all the time must not put off the look for ever: the first report counts. */
  #settle(): void {
    if (this.#isClosed || this.#settling !== undefined) return
    this.#settling = setTimeout(() => {
      this.#settling = undefined
      void this.#look()
    }, this.#settleMs).unref()
  }

  #schedule(): void {
    this.#poll = setTimeout(() => void this.#look().finally(() => this.#isClosed || this.#schedule()), this.#pollMs)
    this.#poll.unref()
  }

  /** What is reported during a look is seen by the next one at the latest: its state was taken before it was read. */
  #look(): Promise<void> {
    this.#looking ??= this.#compare().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #compare(): Promise<void> {
    const seen = await signatureOf(this.#paths)
    if (seen === this.#seen || this.#isClosed) return
    this.#seen = seen
    await this.#onChange()
  }
}

/** Of what the paths lead to, by way of links: another file, or another content, makes another text. */
async function signatureOf(paths: readonly string[]): Promise<string> {
  const states = paths.map(async (path) => {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
      return [dev, ino, size, mtimeNs, ctimeNs].join(':')
    } catch (error) {
      return errorCodeOf(error)
    }
  })
  return (await Promise.all(states)).join(' ')
}
