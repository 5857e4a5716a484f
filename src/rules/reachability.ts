import {
  type CompiledMatch,
  compileMatch,
  type HostPattern,
  isHostUnder,
  isMethodUnder,
  isPathUnder,
  type PathPattern,
} from './patterns.ts'
import type { RoutedRule } from './rule.ts'

/** A route that no request can reach. */
export interface UnreachableRoute {
  readonly id: string
  /** The earlier route that takes all its requests, or several of them: `static, app`. */
  readonly coveredBy: string
}

/** One host pattern with one path pattern of a route; `undefined` is any host. */
interface Place {
  readonly host: HostPattern | undefined
  readonly path: PathPattern
}

/**
 * The routes that no request can reach, because earlier ones take every host, path and method of theirs. Methods may be
 * covered by several routes together; hosts and paths are covered pattern by pattern.
 */
export function findUnreachableRoutes(
  routes: readonly Pick<RoutedRule, 'id' | 'match'>[],
): readonly UnreachableRoute[] {
  const compiled = routes.map(({ id, match }) => ({ id, match: compileMatch(match) }))
  return compiled.flatMap(({ id, match }, number) => {
    const coverings = placesOf(match).map((place) => findCovering(compiled.slice(0, number), place, match.methods))
    if (coverings.includes(undefined)) return []
    return { id, coveredBy: [...new Set(coverings.flatMap((covering) => covering ?? []))].join(', ') }
  })
}

function placesOf({ hosts, paths }: CompiledMatch): Place[] {
  const anyOrThese = hosts.length === 0 ? [undefined] : hosts
  return anyOrThese.flatMap((host) => paths.map((path) => ({ host, path })))
}

/** The earlier routes that together take every method of a place, or undefined if something is left over. */
function findCovering(
  earlier: readonly { id: string; match: CompiledMatch }[],
  place: Place,
  methods: readonly string[],
): readonly string[] | undefined {
  const covering: string[] = []
  let left = methods
  for (const { id, match } of earlier) {
    if (!coversPlace(match, place)) continue
    if (match.methods.length === 0) return [...covering, id]
    const rest = left.filter((method) => !match.methods.some((taken) => isMethodUnder(taken, method)))
    if (rest.length < left.length) covering.push(id)
    left = rest
    // An empty list stands for any method, also for those that nobody has thought of: only another such list covers it.
    if (left.length === 0 && methods.length > 0) return covering
  }
  return undefined
}

function coversPlace({ hosts, paths }: CompiledMatch, place: Place): boolean {
  return (
    (hosts.length === 0 || hosts.some((host) => coversHost(host, place.host))) &&
    paths.some((path) => coversPath(path, place.path))
  )
}

function coversHost(wide: HostPattern, narrow: HostPattern | undefined): boolean {
  if (narrow === undefined) return false
  return narrow.kind === 'exact'
    ? isHostUnder(wide, narrow.name)
    : wide.kind === 'subdomain' && wide.name === narrow.name
}

function coversPath(wide: PathPattern, narrow: PathPattern): boolean {
  if (narrow.kind === 'below' && wide.kind === 'exact') return false
  return isPathUnder(wide, narrow.path)
}
