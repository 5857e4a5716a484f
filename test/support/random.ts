/** Chance that can be repeated: the same seed gives the same draws. */
export interface Random {
  /** From 0 up to, and without, 1. */
  fraction(): number
  /** A whole number of 32 bits. */
  bits(): number
  /** A whole number from 0 up to, and without, `limit`. */
  below(limit: number): number
  /** True that often, of 1. */
  chance(probability: number): boolean
  /** One of them, which must not be none. */
  pick<T>(items: readonly T[]): T
}

/** Mulberry32: small, fast, and good enough for choosing what to try. */
export function createRandom(seed: number): Random {
  let state = seed
  function bits(): number {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const fraction = (): number => bits() / 2 ** 32
  const below = (limit: number): number => Math.floor(fraction() * limit)
  return {
    fraction,
    bits,
    below,
    chance: (probability) => fraction() < probability,
    pick<T>(items: readonly T[]): T {
      return items[below(items.length)] as T
    },
  }
}
