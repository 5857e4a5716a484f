export interface LineLimitOptions {
  /** How many lines may be written in each stretch of time. */
  readonly lines: number
  readonly everyMs: number
  /** Called at the end of a stretch in which some were left out. */
  readonly onLeftOut: (count: number) => void
}

/**
 * For lines that strangers can cause at will, a connection each: the first of each stretch of time are written, the
 * others counted. The result tells whether a line may be written now. Time is that of timers, which a test may hold.
 */
export function createLineLimit({ lines, everyMs, onLeftOut }: LineLimitOptions): () => boolean {
  let written = 0
  let leftOut = 0
  let isRunning = false

  function end(): void {
    const count = leftOut
    written = 0
    leftOut = 0
    isRunning = false
    if (count > 0) onLeftOut(count)
  }

  return function mayWrite() {
    if (!isRunning) {
      isRunning = true
      setTimeout(end, everyMs).unref()
    }
    if (written < lines) {
      written += 1
      return true
    }
    leftOut += 1
    return false
  }
}
