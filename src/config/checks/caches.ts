import { readCache } from '../cache-resolution.ts'
import type { Path } from '../path.ts'
import type { CheckContext } from './context.ts'

/** Every entry of `caches`, also one that no engine uses: its servers, and the keys that belong to its backend. */
export function checkCaches(context: CheckContext): void {
  for (const [alias, value] of Object.entries(context.file.caches)) {
    const entry: Path = ['caches', alias]
    if (context.isUnsure([...entry, 'backend'])) continue
    const reading = readCache({ alias, value, working: '/' })
    if (reading.isSound) continue
    for (const { path, ...remark } of reading.flaws) {
      const place = [...entry, ...path]
      if (!context.isUnsure(place)) context.error(placeOfUrl(context, place), remark)
    }
  }
}

/** A url that stands alone has no number, though it is read as a list of one. */
function placeOfUrl(context: CheckContext, place: Path): Path {
  return typeof place.at(-1) === 'number' && !context.isWritten(place) ? place.slice(0, -1) : place
}
