import type { CliContext } from './context.ts'

/** How often something is shown, at most, in milliseconds. */
const ON_TERMINAL_MS = 100
const ELSEWHERE_MS = 5000
const BAR_WIDTH = 20
const BLOCK_WIDTH = 4

/** What a long command says on stderr while it works. */
export interface Progress {
  /** So many are done; shown now or, if something was shown a moment ago, not. */
  show(done: number): void
  /** Takes the bar away. Nothing is shown afterwards. */
  end(): void
}

export interface ProgressOptions {
  readonly context: Pick<CliContext, 'tell' | 'isTerminal'>
  /** What is counted: `copied`. */
  readonly what: string
  /** True: nothing is shown at all. */
  readonly isQuiet: boolean
  /** Monotonic, in milliseconds. Default: since the process began. */
  readonly nowMs?: () => number
}

/**
 * On a terminal a bar with count, rate and time, in one line; elsewhere a plain line every few seconds. The whole is not
 * known beforehand (counting a million rows would take as long as a good part of the work), so the block in the bar only
 * shows that something goes on.
 */
export function createProgress({ context, what, isQuiet, nowMs = () => performance.now() }: ProgressOptions): Progress {
  const { tell, isTerminal } = context
  const startedMs = nowMs()
  let shownMs = startedMs
  let frame = 0
  return {
    show(done) {
      const now = nowMs()
      if (isQuiet || now - shownMs < (isTerminal ? ON_TERMINAL_MS : ELSEWHERE_MS)) return
      shownMs = now
      const text = `${thousands(done)} ${what}, ${thousands(rateOf(done, now - startedMs))}/s, ${clockText(now - startedMs)}`
      tell(isTerminal ? `\r\x1b[2K${barOf(frame++)} ${text}` : `${text}\n`)
    },
    end() {
      if (isTerminal && frame > 0) tell('\r\x1b[2K')
    },
  }
}

/** `1,234,567`. */
export function thousands(count: number): string {
  return count.toLocaleString('en-US', { maximumFractionDigits: 0 })
}

function rateOf(done: number, elapsedMs: number): number {
  return elapsedMs === 0 ? 0 : (done / elapsedMs) * 1000
}

/** `0:07`, `1:02:03`. */
export function clockText(elapsedMs: number): string {
  const seconds = Math.floor(elapsedMs / 1000)
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const last = `${seconds % 60}`.padStart(2, '0')
  return hours === 0 ? `${minutes}:${last}` : `${hours}:${`${minutes}`.padStart(2, '0')}:${last}`
}

/** A block that goes to and fro. */
export function barOf(frame: number): string {
  const room = BAR_WIDTH - BLOCK_WIDTH
  const step = frame % (2 * room)
  const at = step <= room ? step : 2 * room - step
  return `[${' '.repeat(at)}${'='.repeat(BLOCK_WIDTH)}${' '.repeat(room - at)}]`
}
