import type { LineBatch } from './line-batches.ts'
import type { WorkerProcess } from './worker-process.ts'

/** The part of a worker's process that is told whether somebody watches. */
export type Watched = Pick<WorkerProcess, 'send'>

interface Watcher {
  readonly onLine: (line: string) => void
  readonly onLeftOut: (count: number) => void
}

/** The requests of all workers, for those who watch. While nobody does, no worker sends any. */
export class SharedTail {
  readonly #workers: () => Iterable<Watched>
  readonly #watchers = new Set<Watcher>()

  /** @param workers All that have not ended. */
  constructor(workers: () => Iterable<Watched>) {
    this.#workers = workers
  }

  /** As `Operations.watchRequests`. */
  watch(onLine: Watcher['onLine'], onLeftOut: Watcher['onLeftOut'] = () => undefined): () => void {
    const watcher = { onLine, onLeftOut }
    this.#watchers.add(watcher)
    if (this.#watchers.size === 1) this.#tell(true)
    return () => {
      if (this.#watchers.delete(watcher) && this.#watchers.size === 0) this.#tell(false)
    }
  }

  /** That worker listens now. */
  join(worker: Watched): void {
    if (this.#watchers.size > 0) worker.send({ kind: 'watch', isOn: true })
  }

  take({ lines, leftOut }: LineBatch): void {
    for (const { onLine, onLeftOut } of this.#watchers) {
      for (const line of lines) onLine(line)
      if (leftOut > 0) onLeftOut(leftOut)
    }
  }

  #tell(isOn: boolean): void {
    for (const worker of this.#workers()) worker.send({ kind: 'watch', isOn })
  }
}
