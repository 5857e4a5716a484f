/** How fast somebody has to be, and by how much time he may be behind. */
export interface Pace {
  readonly graceMs: number
  readonly minBytesPerSecond: number
}

/** A client that sends a body, or takes an answer. */
export interface Paced {
  /** Bytes that it has sent or taken so far. */
  movedBytes(): number
  /** False while it is we, or the app, who are waited for. */
  isClientsTurn(): boolean
  /** It is too far behind; called once. */
  onTooSlow(): void
}

export interface PacedOptions {
  readonly pace: Pace
  /** The most that somebody who was fast may fall behind; at least the grace. */
  readonly mostBehindMs: number
  /** Whether as much is allowed from the start; else the grace. */
  readonly startsFull: boolean
}

const LONGEST_TICK_MS = 1_000
const SHORTEST_TICK_MS = 50
/** How often somebody is looked at, at least, within his grace. */
const LOOKS_IN_GRACE = 8

/**
 * Looks at slow clients, all of them with one timer. Each has an account of time: while it is the client's turn, time is
 * taken from it, and each byte that moves puts back the time that it may take at the slowest. Whoever has none left is too
 * slow. What was put back is bounded, so that a fast beginning does not pay for hours of drops. Time that passes while
 * it is not the client's turn is nobody's fault, and the account is full again after it.
 */
export class PaceWatch {
  readonly #accounts = new Set<Account>()
  #tickMs = LONGEST_TICK_MS
  #timer: NodeJS.Timeout | undefined
  #lastMs = 0

  /** Returns the way to stop; nobody is told of anything after it. */
  watch(paced: Paced, options: PacedOptions): () => void {
    const account = new Account(paced, options)
    this.#accounts.add(account)
    this.#start(options.pace.graceMs)
    return () => this.#drop(account)
  }

  /** As often as the most impatient account needs it; it goes back to the usual when nobody is left. */
  #start(graceMs: number): void {
    const tickMs = Math.max(SHORTEST_TICK_MS, Math.min(LONGEST_TICK_MS, graceMs / LOOKS_IN_GRACE))
    if (this.#timer !== undefined && tickMs >= this.#tickMs) return
    clearInterval(this.#timer)
    this.#tickMs = tickMs
    this.#lastMs = performance.now()
    this.#timer = setInterval(this.#look, tickMs).unref()
  }

  #drop(account: Account): void {
    this.#accounts.delete(account)
    if (this.#accounts.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  readonly #look = (): void => {
    const nowMs = performance.now()
    // A process that stood still itself has not looked whether anything came.
    const elapsedMs = Math.min(nowMs - this.#lastMs, 2 * this.#tickMs)
    this.#lastMs = nowMs
    for (const account of this.#accounts) {
      if (account.look(elapsedMs)) continue
      this.#drop(account)
      account.paced.onTooSlow()
    }
  }
}

/** Exported for its tests. */
export class Account {
  readonly paced: Paced
  readonly #mostMs: number
  readonly #msPerByte: number
  #leftMs: number
  #movedBytes: number
  #wasClientsTurn = true

  constructor(paced: Paced, { pace, mostBehindMs, startsFull }: PacedOptions) {
    this.paced = paced
    this.#mostMs = Math.max(pace.graceMs, mostBehindMs)
    this.#msPerByte = 1000 / pace.minBytesPerSecond
    this.#leftMs = startsFull ? this.#mostMs : pace.graceMs
    this.#movedBytes = paced.movedBytes()
  }

  /** So much time has passed since the last look. False: there is none left. */
  look(elapsedMs: number): boolean {
    const movedBytes = this.paced.movedBytes()
    this.#leftMs += (movedBytes - this.#movedBytes) * this.#msPerByte
    this.#movedBytes = movedBytes
    const wasClientsTurn = this.#wasClientsTurn
    this.#wasClientsTurn = this.paced.isClientsTurn()
    if (wasClientsTurn && this.#wasClientsTurn) this.#leftMs -= elapsedMs
    else this.#leftMs = this.#mostMs
    this.#leftMs = Math.min(this.#leftMs, this.#mostMs)
    return this.#leftMs > 0
  }
}
