import type { HistoryView } from '../../src/admin/views.ts'

type SeriesName = keyof HistoryView['series']

/** The mean of some points; `null` where none says anything. */
function mean(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length
}

/** The history by the minute, the newest first, for those who read it as a table. */
export function minutesOf(
  { at, series }: HistoryView,
  names: readonly SeriesName[],
): { readonly at: string; readonly values: readonly (number | null)[] }[] {
  const minutes = new Map<string, number[]>()
  for (const [index, time] of at.entries()) {
    const minute = `${time.slice(0, 16)}:00.000Z`
    minutes.set(minute, [...(minutes.get(minute) ?? []), index])
  }
  return [...minutes]
    .map(([minute, indexes]) => ({
      at: minute,
      values: names.map((name) => mean(indexes.map((index) => series[name][index] ?? null))),
    }))
    .toReversed()
}
