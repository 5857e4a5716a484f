import { RESERVED_KEY } from '../django/changes.ts'
import { jsonText, parseJsonValue, parseSessionData, type SessionData, writeSessionData } from '../django/json.ts'
import type { Clock, EpochMs } from '../lib/clock.ts'
import { type AbsenceReason, type LoadResult, NotAdoptableError, type SessionEngine } from './engine.ts'
import { storeUnavailable } from './store-failure.ts'

/*
 * How a session moves from one store to another under the eyes of everybody, with no step that spans both.
 *
 * The stores are called `from` and `to`, and a session only ever moves that way. Each of the four steps is one atomic step
 * of one store:
 *
 *   1. place:    `to` adopts a *placeholder* under the session's key: `_gw.moving = id`, no data, an hour to live. The id is
 *                random and never used twice. Where one is there already, the mover goes on with its id.
 *   2. claim:    the session in `from` gets the mark `_gw.moved = id`. From then on nobody changes it there.
 *   3. confirm:  the placeholder *with that id*, and nothing else, becomes the session as it was claimed.
 *   4. clean up: the claimed row leaves `from`.
 *
 * Who sees what (`locate`): an unmarked session in `to` is the session, whatever `from` has. Otherwise an unmarked one in
 * `from` is. Otherwise, a claim in `from` beside the placeholder with the same id is a move between steps 2 and 3: the
 * session lives, with the claimed data, and whoever wants to change it does steps 3 and 4 first (no need to know whether
 * the mover still runs). A placeholder or a claim alone is nothing. Since a session may move between two looks, "not there"
 * needs a last look at `to` after `from` had none: what `from` has lost by then has reached `to` before.
 *
 * Why a deleted session never lives again. Whoever deletes (or cycles) a key ends it in `from` first and in `to` second,
 * and answers after both. Suppose that somebody confirms after that. He holds a claim with the id of a placeholder that
 * was placed before the claim was made.
 *   - The claim came before the end in `from`: so the placeholder was placed before the end in `to`, which removed it. It
 *     is inserted once, under a fresh id, so it cannot be there to be confirmed.
 *   - The claim came after the end in `from`: it needs a session there, and there was none.
 * It does not matter for how long a mover sleeps between any two steps, nor whether he ever wakes up.
 *
 * Why no change is lost: only unmarked sessions are changed; the claim is computed from what `from` holds at that moment,
 * and confirming takes what was claimed.
 *
 * Where a process dies: before the claim, the session stays in `from`, and the placeholder serves the next mover. After it,
 * the next request that changes the session finishes the move. Only if nobody does for an hour, the placeholder ends and
 * with it the session. That is why a placeholder does not end sooner, and it holds nothing of the session, so that a
 * gateway that reads `to` alone finds nobody logged in under it.
 *
 * What does not hold: a program that knows only `from` (a Django project, an older gateway) sees a session that has moved
 * as ended, and may end the cookie; what it writes into `from` under the same key after the move is not looked at as long
 * as `to` has the session, and is deleted at its next change or end there. Two gateways that move in opposite directions
 * break the argument.
 */

/** How long a placeholder waits to be confirmed. */
const PLACEHOLDER_LIFE_MS = 3_600_000

/** How long the session lives by which it is found out whether two engines share a store. */
const PROBE_LIFE_MS = 60_000

const MAX_STEPS = 20

export interface MoverOptions {
  readonly from: SessionEngine
  readonly to: SessionEngine
  readonly clock: Clock
  /** A fresh random key (`django/session-key.ts`); also makes the ids of moves. */
  readonly newKey: () => string
}

interface Living {
  readonly data: SessionData
  readonly expiresAt: EpochMs | undefined
}

/** Where a session is. `id` is that of the placeholder in `to`, if there is one. */
export type Place =
  | ({ readonly at: 'to' } & Living)
  | ({ readonly at: 'from'; readonly id: string | undefined } & Living)
  | ({ readonly at: 'between'; readonly id: string } & Living)
  | { readonly at: 'nowhere'; readonly reason: AbsenceReason }

/**
 * What a move came to: `moved`, and nothing is left behind; `elsewhere`, by somebody else or to its end; `unadoptable`, since
 * `to` has no such keys, or a row in the way that is over or cannot be read.
 */
export type Move = 'moved' | 'elsewhere' | 'unadoptable'

/** What `take` came to: moved by us, there already (or by somebody else), over, or under a key that `to` cannot give it. */
export type Removal = 'moved' | 'there' | 'gone' | 'unadoptable'

/** Moves sessions, one at a time, as the argument at the top of this file has it. */
export class Mover {
  readonly #options: MoverOptions
  #areApart: Promise<void> | undefined

  constructor(options: MoverOptions) {
    this.#options = options
  }

  /** Finds out where a session is, with as few looks as it takes: one for a session in `to`, two for one in `from`. */
  async locate(key: string): Promise<Place> {
    const { from, to } = this.#options
    const first = await to.load(key)
    const firstMark = markOf(first)
    if (first.found && firstMark === undefined) return { ...first, at: 'to' }
    const origin = await from.load(key)
    const originMark = markOf(origin)
    if (origin.found && originMark === undefined) {
      return { ...origin, at: 'from', id: firstMark?.kind === 'moving' ? firstMark.id : undefined }
    }
    const last = await to.load(key)
    const lastMark = markOf(last)
    if (last.found && lastMark === undefined) return { ...last, at: 'to' }
    if (origin.found && originMark?.kind === 'moved' && isPlaceholder(lastMark, originMark.id)) {
      return { ...origin, data: withoutMark(origin.data), at: 'between', id: originMark.id }
    }
    return { at: 'nowhere', reason: absenceReason(last, origin) }
  }

  /** Moves the session to the end, whoever began; it keeps its own end, and nothing of it stays in `from`. */
  async take(key: string): Promise<Removal> {
    let move: Move = 'elsewhere'
    for (let step = 0; step < MAX_STEPS; step++) {
      const place = await this.locate(key)
      if (place.at === 'nowhere') return 'gone'
      if (place.at === 'to') {
        if (move !== 'moved') await this.endOrigin(key)
        return move === 'moved' ? 'moved' : 'there'
      }
      move = await this.move(key, place)
      if (move === 'unadoptable') return move
    }
    throw storeUnavailable('a session could not be moved: it is changed all the time')
  }

  /**
   * Does what is left of the move of a session that was located `from` or `between`. Where it is afterwards is to be looked
   * at anew.
   */
  async move(key: string, place: Extract<Place, { at: 'from' | 'between' }>): Promise<Move> {
    await this.#ensureApart()
    const id = place.id ?? (await this.#place(key))
    if (id === 'elsewhere' || id === 'unadoptable') return id
    const claimed = await this.#claim(key, id, place.expiresAt)
    await this.#confirm(key, id, claimed && { data: claimed, expiresAt: place.expiresAt })
    return claimed === undefined ? 'elsewhere' : 'moved'
  }

  /** Deletes what `from` has of a session that is in `to`. */
  async endOrigin(key: string): Promise<void> {
    await this.#ensureApart()
    await this.#options.from.delete(key)
  }

  /**
   * Makes sure that the two are not one store under two names: the copy that is deleted would be the only one.
   *
   * @throws {TypeError} when they are; a configuration that no check has found out.
   */
  async #ensureApart(): Promise<void> {
    this.#areApart ??= this.#probe().catch((error: unknown) => {
      this.#areApart = undefined
      throw error
    })
    await this.#areApart
  }

  /** The id of the placeholder under the key, ours or another's. */
  async #place(key: string): Promise<string | 'elsewhere' | 'unadoptable'> {
    const { to, clock, newKey } = this.#options
    const id = newKey()
    try {
      if (await to.adopt({ key, data: placeholder(id), expiresAt: clock() + PLACEHOLDER_LIFE_MS })) return id
    } catch (error) {
      if (error instanceof NotAdoptableError) return 'unadoptable'
      throw error
    }
    const there = await to.load(key)
    const mark = markOf(there)
    if (mark?.kind === 'moving') return mark.id
    // What a move the other way round has left here, once upon a time.
    if (mark?.kind === 'moved') await to.transition(key, (now) => ({ kind: isClaimed(now) ? 'delete' : 'keep' }))
    return there.found || there.reason === 'not_found' ? 'elsewhere' : 'unadoptable'
  }

  /** The session as it is claimed for that id, by us or somebody else; undefined if there is nothing to claim. */
  async #claim(key: string, id: string, expiresAt: EpochMs | undefined): Promise<SessionData | undefined> {
    let claimed: SessionData | undefined
    const result = await this.#options.from.transition(key, (now) => {
      const mark = readMark(now)
      claimed = mark === undefined ? now : undefined
      if (mark === undefined) return { kind: 'update', data: withMark(now, { kind: 'moved', id }), expiresAt }
      if (isClaimed(now, id)) claimed = withoutMark(now)
      return { kind: 'keep' }
    })
    return result.kind === 'gone' ? undefined : claimed
  }

  /** Puts the claimed session in the place of its placeholder, or takes away one that nobody can confirm any more. */
  async #confirm(key: string, id: string, claimed: Living | undefined): Promise<void> {
    const { from, to } = this.#options
    await to.transition(key, (now) => {
      if (!isPlaceholder(readMark(now), id)) return { kind: 'keep' }
      return claimed === undefined ? { kind: 'delete' } : { kind: 'update', ...claimed }
    })
    await from.transition(key, (now) => {
      return { kind: isClaimed(now, id) ? 'delete' : 'keep' }
    })
  }

  async #probe(): Promise<void> {
    const { from, to, clock, newKey } = this.#options
    const key = newKey()
    await to.adopt({ key, data: placeholder(newKey()), expiresAt: clock() + PROBE_LIFE_MS })
    const { found } = await from.load(key)
    await to.delete(key)
    if (found) throw new TypeError('session.engine and session.read_also are the same store: nothing can move')
  }
}

export interface Mark {
  /** `moving`: a placeholder in `to`. `moved`: a claim in `from`. */
  readonly kind: 'moving' | 'moved'
  readonly id: string
}

/** The mark that a move has left in a session. */
export function readMark(data: SessionData): Mark | undefined {
  const text = data.get(RESERVED_KEY)
  // Nearly every session: what the gateway keeps in one is not read twice per request.
  if (text === undefined || !text.includes('"mov')) return undefined
  const kept = parseSessionData(text)
  for (const kind of ['moving', 'moved'] as const) {
    const id = kept?.get(kind)
    const value = id === undefined ? undefined : parseJsonValue(id)
    if (typeof value === 'string') return { kind, id: value }
  }
  return undefined
}

function markOf(loaded: LoadResult): Mark | undefined {
  return loaded.found ? readMark(loaded.data) : undefined
}

/** True for the mark of a placeholder, of the move with that id if one is given. */
export function isPlaceholder(mark: Mark | undefined, id?: string): boolean {
  return mark?.kind === 'moving' && (id === undefined || mark.id === id)
}

/** True for a session that was claimed, by the move with that id if one is given. */
function isClaimed(data: SessionData, id?: string): boolean {
  const mark = readMark(data)
  return mark?.kind === 'moved' && (id === undefined || mark.id === id)
}

function placeholder(id: string): SessionData {
  return withMark(new Map(), { kind: 'moving', id })
}

/** The session with a mark; what the gateway keeps beside it stays, text for text. */
function withMark(data: SessionData, { kind, id }: Mark): SessionData {
  const kept = new Map(parseSessionData(data.get(RESERVED_KEY) ?? '{}'))
  return new Map(data).set(RESERVED_KEY, writeSessionData(kept.set(kind, jsonText(id))))
}

function withoutMark(data: SessionData): SessionData {
  const kept = new Map(parseSessionData(data.get(RESERVED_KEY) ?? '{}'))
  kept.delete('moved')
  const unmarked = new Map(data)
  if (kept.size === 0) unmarked.delete(RESERVED_KEY)
  else unmarked.set(RESERVED_KEY, writeSessionData(kept))
  return unmarked
}

function absenceReason(...looks: readonly LoadResult[]): AbsenceReason {
  for (const look of looks) if (!look.found && look.reason !== 'not_found') return look.reason
  return 'not_found'
}
