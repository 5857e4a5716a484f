/** The mean of some points; `null` where none says anything. */
function mean(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length
}

export interface Minute {
  /** When it begins. */
  readonly at: string
  /** One for each line. */
  readonly values: readonly (number | null)[]
}

/** Lines by the minute, the newest first, for those who read them as a table. `at`: of each point, ISO 8601 in UTC. */
export function minutesOf(at: readonly string[], lines: readonly (readonly (number | null)[])[]): Minute[] {
  const minutes = new Map<string, number[]>()
  for (const [index, time] of at.entries()) {
    const minute = `${time.slice(0, 16)}:00.000Z`
    minutes.set(minute, [...(minutes.get(minute) ?? []), index])
  }
  return [...minutes]
    .map(([minute, indexes]) => ({
      at: minute,
      values: lines.map((values) => mean(indexes.map((index) => values[index] ?? null))),
    }))
    .toReversed()
}
