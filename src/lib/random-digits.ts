import { randomBytes } from 'node:crypto'

/** Random hex digits in lower case, so many, which must be even. */
export type RandomDigits = (count: number) => string

/** Drawn for one call alone. It takes some microseconds, for 8 bytes as for 4,096. */
export const drawDigits: RandomDigits = (count) => randomBytes(count / 2).toString('hex')

/**
 * Digits from a pool that is drawn in one go; none is handed out twice. They wait in memory until it is their turn, so
 * they are for what goes out in the open, such as ids of requests: not for keys.
 *
 * @param poolDigits How many are drawn at once; nobody may ask for more.
 */
export function createRandomDigits(draw: RandomDigits = drawDigits, poolDigits = 8192): RandomDigits {
  let pool = ''
  let used = 0
  return function digits(count) {
    if (used + count > pool.length) {
      pool = draw(poolDigits)
      used = 0
    }
    used += count
    return pool.slice(used - count, used)
  }
}
