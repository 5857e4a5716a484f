/** Node fires a timer at once when its delay does not fit into 31 bits. */
const LONGEST_DELAY_MS = 2 ** 31 - 1

/** One timer that is set again and again while an exchange goes through its phases. */
export interface Deadline {
  /** Starts the time anew with another length and another end. */
  set(delayMs: number, onExpire: () => void): void
  /** Starts the same time anew; nothing happens if none is set. */
  refresh(): void
  clear(): void
}

/** Creates a deadline with no time set. It does not keep the process alive: the sockets it guards do. */
export function createDeadline(): Deadline {
  let timer: NodeJS.Timeout | undefined
  return {
    set(delayMs, onExpire) {
      clearTimeout(timer)
      timer = setTimeout(onExpire, Math.min(delayMs, LONGEST_DELAY_MS)).unref()
    },
    refresh: () => void timer?.refresh(),
    clear() {
      clearTimeout(timer)
      timer = undefined
    },
  }
}
