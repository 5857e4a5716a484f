import type { Target } from '../http/target.ts'
import { type CompiledMatch, isPathUnder, type PathPattern } from './patterns.ts'
import { NO_ROUTE, RouteIndex, type RouteNumber } from './route-index.ts'

/** A request that has its route already. */
export interface SelectedRequest {
  readonly selected: RouteNumber
  /** In lower case, without a port. */
  readonly host: string
  readonly method: string
  readonly target: Target
}

/**
 * The routes that a request could be meant for if the app reads *its own* paths as loosely as it reads a request's: one
 * that knows no case serves `/Admin` for `/admin`, one that drops final slashes serves `/admin/` for it. The readings of a
 * target do not show that, since they only ever become plainer; so here the patterns are made plainer too.
 *
 * Not counted is a route that the selected one rivals in closeness: whoever writes both `/API/*` and `/api/*`, or both
 * `/login` and `/login/`, has said what each of them means.
 */
export function compileMisreadings(
  matches: readonly CompiledMatch[],
): (request: SelectedRequest) => readonly RouteNumber[] {
  const plainer = matches.map((match) => ({ ...match, paths: match.paths.flatMap(plainerPatterns) }))
  const index = new RouteIndex()
  for (const [number, match] of plainer.entries()) if (match.paths.length > 0) index.add(number, match)
  const none: readonly RouteNumber[] = []
  if (plainer.every((match) => match.paths.length === 0)) return () => none

  return ({ selected, host, method, target }) => {
    const found = index.find(host, target.path, method)
    if (target.readings.length === 0 && found === NO_ROUTE) return none
    const isMisread = (reading: string, other: RouteNumber): boolean =>
      other !== NO_ROUTE && closeness(plainer[other], reading) > closeness(matches[selected], target.path)
    const others = target.readings.map((reading) => [reading, index.find(host, reading, method)] as const)
    return [[target.path, found] as const, ...others].filter((other) => isMisread(...other)).map(([, other]) => other)
  }
}

function plainerPatterns(pattern: PathPattern): PathPattern[] {
  return pattern.readings.map((path) => ({ ...pattern, path }))
}

/** How much of a path a route names; a pattern for that path alone names a little more than one for all below. */
function closeness(match: CompiledMatch | undefined, path: string): number {
  const covering = match?.paths.filter((pattern) => isPathUnder(pattern, path)) ?? []
  return Math.max(-1, ...covering.map(({ kind, path }) => path.length + (kind === 'exact' ? 0.5 : 0)))
}
