/** Remembers keys, the latest so many of them. */
export interface KeyMemory {
  add(key: string): void
  has(key: string): boolean
}

/** Forgetting one costs a little time, never a session: so the oldest goes, however often it was asked for. */
export function createKeyMemory(max: number): KeyMemory {
  const keys = new Set<string>()
  return {
    add(key) {
      keys.delete(key)
      keys.add(key)
      if (keys.size <= max) return
      const [oldest] = keys
      if (oldest !== undefined) keys.delete(oldest)
    },
    has: (key) => keys.has(key),
  }
}
