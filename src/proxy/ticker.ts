/**
 * How long a tick is. A deadline is reached after as many whole ticks as it needs, and one more for the tick under way
 * when it was set: never early, and at most two ticks late.
 */
export const TICK_MS = 50

/**
 * The clock of everything on an upstream that can take too long. One timer that looks at all connections costs less
 * than one for each of them that is moved with every read and write.
 */
export interface Ticker {
  /** How many ticks there have been; compare with it what `ticksFor` was added to. */
  readonly count: number
  /** Lets it run as long as there is something to look at. */
  start(): void
  stop(): void
}

/** Creates a ticker that stands still. It does not keep the process alive: the sockets that it guards do. */
export function createTicker(onTick: () => void): Ticker {
  let count = 0
  let timer: NodeJS.Timeout | undefined
  function tick(): void {
    count += 1
    timer?.refresh()
    onTick()
  }
  return {
    get count() {
      return count
    },
    start() {
      // The loop's clock counts whole milliseconds, so a timer may be early by the rest of one. The next tick is timed
      // from this one and not from when it was due: after a stall no two of them come closer together.
      timer ??= setTimeout(tick, TICK_MS + 1).unref()
    },
    stop() {
      clearTimeout(timer)
      timer = undefined
    },
  }
}

/** How many ticks after the one under way that much time has gone by. */
export function ticksFor(delayMs: number): number {
  return 1 + Math.ceil(delayMs / TICK_MS)
}
