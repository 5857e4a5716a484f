import type { KeyView } from '../admin/views.ts'

/**
 * The keys as all workers see them: what they have read is summed. Of times the latest counts, since only from then on all of
 * them counted, and signed with it: a worker that was replaced has begun anew.
 */
export function sumKeys(workers: readonly (readonly KeyView[])[]): KeyView[] {
  return [...Map.groupBy(workers.flat(), ({ purpose, id }) => `${purpose} ${id}`).values()].flatMap((seen) => {
    const [first] = seen
    if (first === undefined) return []
    const reads = seen.flatMap(({ sessions_read: read }) => (read === null ? [] : [read]))
    return {
      ...first,
      signs_since: latest(seen.map(({ signs_since: since }) => since)),
      sessions_read: reads.length === 0 ? null : reads.reduce((total, read) => total + read, 0),
      counted_since: latest(seen.map(({ counted_since: since }) => since)),
    }
  })
}

/** All are in one format, and in UTC. */
function latest(times: readonly (string | null)[]): string | null {
  return (
    times
      .filter((time) => time !== null)
      .toSorted()
      .at(-1) ?? null
  )
}
