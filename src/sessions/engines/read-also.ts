import type { SessionData } from '../../django/json.ts'
import type { Clock } from '../../lib/clock.ts'
import { abandonable, withinDeadline } from '../deadline.ts'
import type { KeyVerdict, LoadResult, SessionEngine, SessionEntry, Transition, TransitionResult } from '../engine.ts'
import { createKeyMemory } from '../key-memory.ts'
import { createKeyQueue } from '../key-queue.ts'
import { Mover, type Place, readMark } from '../moving.ts'
import { type Scheduler, systemScheduler } from '../scheduler.ts'
import { storeUnavailable } from '../store-failure.ts'

export interface ReadAlsoOptions {
  /**
   * What becomes of a session in the other store at its first change. `to main`: it moves into the main store. `never`: it
   * is changed where it is, and the other store is the one that gateways further along move to; the first half of a change
   * of stores in which not all gateways are replaced at once.
   */
  readonly moves: 'to main' | 'never'
  /**
   * For the whole of an operation, in milliseconds: an operation asks both stores, some several times, and each of these
   * calls has a deadline of its own. Default: none.
   */
  readonly timeoutMs?: number
  /** Default: the system's. */
  readonly scheduler?: Scheduler
  readonly clock: Clock
  /** A fresh random key (`django/session-key.ts`). */
  readonly newKey: () => string
}

type Decide = (now: SessionData) => Transition

/** How many sessions are remembered of which the store that they came from is known to have nothing any more. */
const ENDED_KEYS_REMEMBERED = 100_000

/** How often a change begins anew because the session was moved or finished meanwhile. */
const MAX_STEPS = 50

/**
 * Two engines as one: new sessions are made in `main`, and those that are still in `also` are found there, so that the
 * store can be changed without logging anybody out. How a session moves, and why none that was deleted comes back, is
 * argued in `../moving.ts`. Closing it closes both.
 *
 * - A store that fails is `ERR_STORE_UNAVAILABLE` for every session that is not surely in the other: never "no such
 *   session". `ping` asks the main store alone, since a gateway that can serve most sessions is of more use than none.
 * - What is in both counts as it is in the store that is moved to. Before such a session is changed there for the first
 *   time, the other row goes: with an end of its own, it would outlive the session.
 * - `entries` lists a session that moves while the listing runs perhaps twice, never not at all.
 */
export function createReadAlsoEngine(
  main: SessionEngine,
  also: SessionEngine,
  options: ReadAlsoOptions,
): SessionEngine {
  if (!main.isServerSide || !also.isServerSide) throw new TypeError('sessions in cookies move nowhere')
  return new ReadAlsoEngine(main, also, options)
}

class ReadAlsoEngine implements SessionEngine {
  readonly name: string
  readonly isServerSide = true
  readonly lists: boolean
  readonly #main: SessionEngine
  readonly #also: SessionEngine
  /** Sessions move from here … */
  readonly #from: SessionEngine
  /** … to here, by us or by others. */
  readonly #to: SessionEngine
  readonly #moves: boolean
  readonly #inTime: <T>(running: Promise<T>) => Promise<T>
  readonly #mover: Mover
  /** Fifty parallel changes of a session that has not moved yet are one move, not fifty that help each other. */
  readonly #inTurn = createKeyQueue<string>()
  readonly #ended = createKeyMemory(ENDED_KEYS_REMEMBERED)

  constructor(main: SessionEngine, also: SessionEngine, options: ReadAlsoOptions) {
    const { moves, clock, newKey, timeoutMs, scheduler = systemScheduler } = options
    this.name = main.name
    this.lists = main.lists && also.lists
    this.#main = main
    this.#also = also
    this.#moves = moves === 'to main'
    this.#from = this.#moves ? also : main
    this.#to = this.#moves ? main : also
    this.#inTime = (running) =>
      timeoutMs === undefined
        ? running
        : withinDeadline(running, {
            timeoutMs,
            scheduler,
            onExpire: () => storeUnavailable(`the session stores did not answer within ${timeoutMs} ms`),
          })
    this.#mover = new Mover({ from: this.#from, to: this.#to, clock, newKey })
  }

  admits(cookieValue: string): KeyVerdict {
    const verdict = this.#main.admits(cookieValue)
    return verdict !== 'ask' && this.#also.admits(cookieValue) === 'ask' ? 'ask' : verdict
  }

  async load(key: string): Promise<LoadResult> {
    const place = await this.#inTime(this.#mover.locate(key))
    if (place.at === 'nowhere') return { found: false, reason: place.reason }
    return { found: true, data: place.data, expiresAt: place.expiresAt }
  }

  async create(data: SessionData): Promise<string> {
    const key = await this.#inTime(this.#main.create(data))
    if (this.#main === this.#to) this.#ended.add(key)
    return key
  }

  async adopt(entry: SessionEntry): Promise<boolean> {
    const other = await this.#also.load(entry.key)
    if (other.found || other.reason !== 'not_found') return false
    return await this.#main.adopt(entry)
  }

  /** What is abandoned after the deadline may still move the session, but changes nothing in it. */
  async transition(key: string, decide: Decide): Promise<TransitionResult> {
    const inTime = abandonable(decide)
    try {
      return await this.#inTime(this.#transition(key, inTime.decide))
    } finally {
      inTime.abandon()
    }
  }

  async #transition(key: string, decide: Decide): Promise<TransitionResult> {
    let isOriginEnded = false
    for (let step = 0; step < MAX_STEPS; step++) {
      const changed = await this.#changeThere(key, decide, isOriginEnded)
      if (changed === 'origin first') {
        await this.#endOrigin(key)
        isOriginEnded = true
        continue
      }
      const result = changed ?? (await this.#inTurn(key, () => this.#changeElsewhere(key, decide)))
      if (result !== undefined) return result
    }
    throw storeUnavailable('a session is moved or changed all the time')
  }

  async delete(key: string): Promise<boolean> {
    return (await this.transition(key, () => ({ kind: 'delete' }))).kind === 'deleted'
  }

  /** First what will move, then what has: the other way round, one that moves in between would be overlooked. */
  async *entries(onUnreadable?: (key: string) => void): AsyncIterable<SessionEntry> {
    for await (const { key } of this.#from.entries(onUnreadable)) {
      const place = await this.#mover.locate(key)
      if (place.at !== 'nowhere' && place.at !== 'to') yield { key, data: place.data, expiresAt: place.expiresAt }
    }
    for await (const entry of this.#to.entries(onUnreadable)) if (readMark(entry.data) === undefined) yield entry
  }

  async clearExpired(limit: number): Promise<number> {
    const count = await this.#main.clearExpired(limit)
    return count < limit ? count + (await this.#also.clearExpired(limit - count)) : count
  }

  /** Of both; of one where the other forgets by itself. */
  countExpired(limit: number): AsyncIterable<number> | undefined {
    const main = this.#main.countExpired(limit)
    const also = this.#also.countExpired(limit)
    return main && also ? atMost(limit, [main, also]) : (main ?? also)
  }

  async ping(): Promise<void> {
    await this.#main.ping()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using stack = new AsyncDisposableStack()
    stack.use(this.#main)
    stack.use(this.#also)
  }

  /** Changes a session that has moved. Undefined if it is not there; `origin first` if its old row must go before. */
  async #changeThere(
    key: string,
    decide: Decide,
    isOriginEnded: boolean,
  ): Promise<TransitionResult | 'origin first' | undefined> {
    let finding = 'there' as 'there' | 'marked' | 'origin first'
    const result = await this.#to.transition(key, (now) => {
      finding = readMark(now) === undefined ? 'there' : 'marked'
      if (finding === 'marked') return { kind: 'keep' }
      const next = decide(now)
      if (!this.#leavesNothing(key, next, isOriginEnded)) finding = 'origin first'
      return finding === 'there' ? next : { kind: 'keep' }
    })
    if (result.kind === 'gone' || finding === 'marked') return undefined
    if (finding === 'origin first') return finding
    if (result.kind === 'stored' && result.key !== key) this.#ended.add(result.key)
    return result
  }

  /**
   * True if nothing of the session is left behind in the store that it came from when this is done to it. What is to die
   * dies there each time anew: another program may have put it back.
   */
  #leavesNothing(key: string, next: Transition, isOriginEnded: boolean): boolean {
    if (isOriginEnded || next.kind === 'keep') return true
    return next.kind === 'update' && this.#ended.has(key)
  }

  async #endOrigin(key: string): Promise<void> {
    await this.#mover.endOrigin(key)
    this.#ended.add(key)
  }

  /** Deals with a session that was not where sessions move to. Undefined: look there again. */
  async #changeElsewhere(key: string, decide: Decide): Promise<TransitionResult | undefined> {
    const place = await this.#mover.locate(key)
    switch (place.at) {
      case 'to':
        return undefined
      case 'nowhere':
        return { kind: 'gone', reason: place.reason }
      case 'between':
        await this.#move(key, place)
        return undefined
      case 'from': {
        const { kind } = decide(place.data)
        const isToMove = this.#moves && (kind === 'update' || kind === 'cycle')
        if (isToMove && (await this.#move(key, place))) return undefined
        return await this.#changeHere(key, decide, this.#moves && !isToMove)
      }
    }
  }

  async #move(key: string, place: Extract<Place, { at: 'from' | 'between' }>): Promise<boolean> {
    const move = await this.#mover.move(key, place)
    if (move === 'moved') this.#ended.add(key)
    return move !== 'unadoptable'
  }

  /**
   * Changes a session that has not moved, where it is. Undefined if it has begun to move, or, with `endsOnly`, if what is
   * decided now is a change after all.
   */
  async #changeHere(key: string, decide: Decide, endsOnly: boolean): Promise<TransitionResult | undefined> {
    let isOurs = true
    const result = await this.#from.transition(key, (now) => {
      isOurs = readMark(now) === undefined
      const next: Transition = isOurs ? decide(now) : { kind: 'keep' }
      if (endsOnly && (next.kind === 'update' || next.kind === 'cycle')) isOurs = false
      return isOurs ? next : { kind: 'keep' }
    })
    if (result.kind === 'gone' || !isOurs) return undefined
    // A mover may have put his placeholder meanwhile. Nobody can confirm it any more.
    if (result.kind === 'deleted' || (result.kind === 'stored' && result.key !== key)) await this.#to.delete(key)
    return result
  }
}

/** The parts of all counts, one after the other, as long as they stay within `limit` together. */
async function* atMost(limit: number, counts: readonly AsyncIterable<number>[]): AsyncIterable<number> {
  let left = limit
  for (const count of counts) {
    for await (const part of count) {
      yield Math.min(part, left)
      left -= part
      if (left <= 0) return
    }
  }
}
