import type { EpochMs } from '../lib/clock.ts'

/** `.000` to `.999`, and their `Z`. */
const milliseconds: readonly string[] = Array.from({ length: 1000 }, (_, ms) => `.${String(ms).padStart(3, '0')}Z`)

/**
 * Writes times as `Date.toISOString` does. Lines come in the order of time, many in one second, so the text of the last
 * second is kept and only its milliseconds are written anew.
 */
export function createTimestamp(): (at: EpochMs) => string {
  let lastSecond = Number.NaN
  let upToSecond = ''
  return function timestamp(at) {
    const whole = Math.trunc(at)
    const second = Math.floor(whole / 1000)
    if (second !== lastSecond) {
      upToSecond = new Date(second * 1000).toISOString().slice(0, -'.000Z'.length)
      lastSecond = second
    }
    return upToSecond + (milliseconds[whole - second * 1000] ?? '')
  }
}
