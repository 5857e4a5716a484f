import { hostPatternProblem, methodProblem, pathPatternProblem } from '../../rules/patterns.ts'
import { findUnreachableRoutes } from '../../rules/reachability.ts'
import { findRefusedPaths } from '../../rules/refused-paths.ts'
import type { RoutedRule } from '../../rules/rule.ts'
import { routedRule } from '../resolution.ts'
import type { CheckContext } from './context.ts'

/** Routes that no request can reach, and paths of a route that are always refused. */
export function checkReachability(context: CheckContext): void {
  const rules = soundRules(context)
  const idOf = (number: string) => context.file.routes[Number(number)]?.id ?? number
  for (const { id, coveredBy } of findUnreachableRoutes(rules)) {
    const earlier = coveredBy.split(', ').map(idOf).join(', ')
    context.error(['routes', Number(id), 'match'], {
      message: `no request can reach the route ${idOf(id)}: all of its requests go to ${earlier}`,
      hint: `put it before ${earlier}, or remove it: the first route that matches decides`,
      atKey: true,
    })
  }
  for (const { id, path, stricter } of findRefusedPaths(rules, soundHosts(context))) {
    context.warn(['routes', Number(id), 'match'], {
      message: `every request for ${path} is refused: an app may read it as a path of ${idOf(stricter)}, which asks more`,
      hint: 'name the path both with and without its final slash',
      atKey: true,
    })
  }
}

/**
 * The routes as `rules/` knows them, without those whose match was refused: what is left of such a match would seem to
 * cover more than is meant. Each is called by its place, because ids may be doubled at this point.
 */
export function soundRules(context: CheckContext): RoutedRule[] {
  return context.file.routes.flatMap((route, at) => {
    const rule = { ...routedRule(context.file, route), id: String(at) }
    const { hosts, paths, methods } = rule.match
    const isSound =
      hosts.every((host) => hostPatternProblem(host) === undefined) &&
      paths.every((path) => pathPatternProblem(path) === undefined) &&
      methods.every((method) => methodProblem(method) === undefined)
    return isSound && !context.isUnsure(['routes', at, 'match']) ? [rule] : []
  })
}

/** `hosts` without those that were refused. */
export function soundHosts({ file }: CheckContext): string[] {
  return file.hosts.filter((host) => hostPatternProblem(host) === undefined)
}
