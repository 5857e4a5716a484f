/** Between two replacements, whoever they are for. */
const GAP_MS = 1_000
/** Who has lived for so long was well; who has not is waited for, each time twice as long. */
const YOUNG_MS = 10_000
const FIRST_WAIT_MS = 1_000
const LAST_WAIT_MS = 30_000

export interface RestartSchedule {
  /** In how many ms the worker of that slot may be replaced, which lived for so long; 0 for one that never served. */
  waitMs(slot: number, livedMs: number): number
}

/** A machine on which every worker dies must not be kept busy by starting them. `now` is monotonic, in ms. */
export function createRestartSchedule(now: () => number = () => performance.now()): RestartSchedule {
  const youngDeaths = new Map<number, number>()
  /** When replacements were, and will be: none comes near another. */
  let taken: readonly number[] = []

  function takeFrom(earliestMs: number): number {
    taken = taken.filter((ms) => ms > now() - GAP_MS)
    let dueMs = earliestMs
    for (const ms of taken) if (Math.abs(dueMs - ms) < GAP_MS) dueMs = ms + GAP_MS
    taken = [...taken, dueMs].sort((a, b) => a - b)
    return dueMs
  }

  return {
    waitMs(slot, livedMs) {
      const deaths = livedMs < YOUNG_MS ? (youngDeaths.get(slot) ?? 0) + 1 : 0
      youngDeaths.set(slot, deaths)
      const ownWaitMs = deaths === 0 ? 0 : Math.min(FIRST_WAIT_MS * 2 ** (deaths - 1), LAST_WAIT_MS)
      const nowMs = now()
      return takeFrom(nowMs + ownWaitMs) - nowMs
    },
  }
}
