import type { EpochMs } from '../lib/clock.ts'
import { forEachParallel } from '../lib/parallel.ts'
import { NotAdoptableError, type SessionEngine, type SessionEntry } from '../sessions/engine.ts'
import { isPlaceholder, type Mover, readMark } from '../sessions/moving.ts'
import { isStoreFailure } from '../sessions/store-failure.ts'

/**
 * `copy` leaves the source as it is, and is for stores that nobody writes meanwhile. `move` takes each session over as a
 * gateway with `read_also` does, while such gateways run. `dry run` writes nothing.
 */
export type CopyMode = 'copy' | 'move' | 'dry run'

export interface CopyCounts {
  /** Copied or moved; in a dry run, what would be. */
  readonly copied: number
  /** In the target before; left as it was there. */
  readonly there: number
  /** Over by the time it was their turn. */
  readonly expired: number
  /** Of the source: a bad signature, or no session. */
  readonly unreadable: number
  /** Of a kind that the target cannot hold, or something in the way there that is over or cannot be read. */
  readonly unstorable: number
  readonly failed: number
}

export interface CopyReport {
  readonly counts: CopyCounts
  /** Public ids of the first of each kind. */
  readonly unreadable: readonly string[]
  readonly unstorable: readonly string[]
  /** `stopped`: a store failed, also after several tries; `cause` is what it said. */
  readonly end: 'done' | 'interrupted' | 'stopped'
  readonly cause: unknown
}

export interface CopyOptions {
  readonly mode: CopyMode
  readonly from: SessionEngine
  readonly to: SessionEngine
  /** From `from` to `to`. */
  readonly mover: Mover
  /** So many sessions at once. */
  readonly parallel: number
  readonly publicId: (key: string) => string
  readonly clock: () => EpochMs
  /** Waits; resolves early when the command is interrupted. */
  readonly pause: (durationMs: number) => Promise<void>
  readonly signal: AbortSignal
  readonly onProgress: (done: number) => void
}

/** How many public ids of a kind are kept: enough to look into, and bounded however many there are. */
const IDS_KEPT = 50

/** A store that restarts is back within these. */
const PAUSES_MS = [200, 500, 1000, 2000, 4000] as const

/** A session could not be stored in several tries: the whole is given up. Never leaves this file. */
class GivenUp extends Error {}

type Outcome = 'copied' | 'there' | 'expired' | 'unstorable'

/** Copies or moves every session of one store into another. Whoever runs it again goes on where it ended. */
export async function copySessions(options: CopyOptions): Promise<CopyReport> {
  return await new Copying(options).run()
}

class Copying {
  readonly #options: CopyOptions
  readonly #counts = { copied: 0, there: 0, expired: 0, unreadable: 0, unstorable: 0, failed: 0 }
  readonly #ids = { unreadable: [] as string[], unstorable: [] as string[] }

  constructor(options: CopyOptions) {
    this.#options = options
  }

  async run(): Promise<CopyReport> {
    const { signal } = this.#options
    try {
      await this.#persist(() => this.#pass())
      return this.#report(signal.aborted ? 'interrupted' : 'done', undefined)
    } catch (error) {
      if (error instanceof GivenUp) return this.#report('stopped', error.cause)
      if (isStoreFailure(error)) return this.#report('stopped', error)
      throw error
    }
  }

  /**
   * Goes through the source from its beginning. After a listing that broke off that is the only way to go on, and what was
   * done before is not counted as having been there.
   */
  async #pass(): Promise<void> {
    const { from, signal, parallel, mode } = this.#options
    const copiedBefore = mode === 'copy' ? this.#counts.copied : 0
    Object.assign(this.#counts, { there: 0, expired: 0, unreadable: 0, unstorable: 0 })
    if (mode === 'dry run') this.#counts.copied = 0
    this.#ids.unreadable.length = 0
    this.#ids.unstorable.length = 0
    const listing = untilAborted(
      from.entries((key) => this.#note('unreadable', key)),
      signal,
    )
    try {
      await forEachParallel(listing, parallel, (entry) => this.#one(entry))
    } finally {
      this.#counts.there = Math.max(0, this.#counts.there - copiedBefore)
    }
  }

  async #one(entry: SessionEntry): Promise<void> {
    try {
      const outcome = await this.#persist(() => this.#handle(entry))
      if (outcome === undefined) return
      if (outcome === 'unstorable') this.#note(outcome, entry.key)
      else this.#counts[outcome] += 1
      this.#options.onProgress(this.#counts.copied + this.#counts.there)
    } catch (error) {
      this.#counts.failed += 1
      throw isStoreFailure(error) ? new GivenUp('a session could not be copied', { cause: error }) : error
    }
  }

  /** Undefined for what is no session but something that a move has left behind. */
  async #handle(entry: SessionEntry): Promise<Outcome | undefined> {
    const { mode, mover, clock } = this.#options
    const mark = readMark(entry.data)
    if (mark?.kind === 'moving') return undefined
    if (mode === 'dry run') return await this.#look(entry)
    // Claimed by a mover that may have died: only the protocol knows whether it lives.
    if (mode === 'move' || mark !== undefined) return outcomes[await mover.take(entry.key)]
    return entry.expiresAt !== undefined && entry.expiresAt <= clock() ? 'expired' : await this.#copy(entry)
  }

  async #copy(entry: SessionEntry): Promise<Outcome> {
    const { to } = this.#options
    try {
      if (await to.adopt(entry)) return 'copied'
    } catch (error) {
      if (error instanceof NotAdoptableError) return 'unstorable'
      throw error
    }
    const standing = await this.#look(entry)
    return standing === 'copied' ? await this.#fill(entry) : standing
  }

  /** The place may be taken by what a mover has left there who died before he took the session itself. */
  async #fill({ key, data, expiresAt }: SessionEntry): Promise<Outcome> {
    let isFilled = false
    const result = await this.#options.to.transition(key, (now) => {
      isFilled = isPlaceholder(readMark(now))
      return isFilled ? { kind: 'update', data, expiresAt } : { kind: 'keep' }
    })
    if (isFilled && result.kind === 'stored') return 'copied'
    // It ended or changed between two looks.
    return result.kind === 'gone' ? 'expired' : 'there'
  }

  /** What is in the place of the session; `copied` if it is free for it. */
  async #look({ key }: SessionEntry): Promise<Outcome> {
    const { to } = this.#options
    if (to.admits(key) !== 'ask') return 'unstorable'
    const loaded = await to.load(key)
    if (loaded.found) return isPlaceholder(readMark(loaded.data)) ? 'copied' : 'there'
    return loaded.reason === 'not_found' ? 'copied' : 'unstorable'
  }

  #note(kind: 'unreadable' | 'unstorable', key: string): void {
    this.#counts[kind] += 1
    if (this.#ids[kind].length < IDS_KEPT) this.#ids[kind].push(this.#options.publicId(key))
  }

  /** Tries again for as long as it is the store that fails, a few times; to store a session twice is to find it there. */
  async #persist<T>(step: () => Promise<T>): Promise<T> {
    for (const pauseMs of PAUSES_MS) {
      try {
        return await step()
      } catch (error) {
        if (!isStoreFailure(error) || this.#options.signal.aborted) throw error
      }
      await this.#options.pause(pauseMs)
    }
    return await step()
  }

  #report(end: CopyReport['end'], cause: unknown): CopyReport {
    return { counts: { ...this.#counts }, ...this.#ids, end, cause }
  }
}

const outcomes = { moved: 'copied', there: 'there', gone: 'expired', unadoptable: 'unstorable' } as const

async function* untilAborted<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncIterable<T> {
  if (signal.aborted) return
  for await (const item of items) {
    yield item
    if (signal.aborted) return
  }
}
