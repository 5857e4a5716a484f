import { compileMatch, isHostUnder, isMethodUnder, isPathUnder } from './patterns.ts'
import type { RoutedRule } from './rule.ts'

/** A request as `explain` has it: no socket, no session, only what a route matches by. */
export interface ExplainedRequest {
  readonly method: string
  /** The host's name, without a port. */
  readonly host: string
  /** In the normal form of a target's path. */
  readonly path: string
}

/** Whether a route takes a request, and otherwise the first thing that keeps it from it, in the order of the look-up. */
export type RouteExplanation =
  | { readonly hit: true }
  | { readonly hit: false; readonly missedBy: 'host' | 'path' | 'method' }

/** Explains one route by itself: an earlier one may take the request all the same. For a command line, not for traffic. */
export function explainRoute(route: Pick<RoutedRule, 'match'>, request: ExplainedRequest): RouteExplanation {
  const { hosts, paths, methods } = compileMatch(route.match)
  const host = request.host.toLowerCase()
  const isHost = hosts.length === 0 || hosts.some((pattern) => isHostUnder(pattern, host))
  if (!isHost) return { hit: false, missedBy: 'host' }
  if (!paths.some((pattern) => isPathUnder(pattern, request.path))) return { hit: false, missedBy: 'path' }
  const isMethod = methods.length === 0 || methods.some((method) => isMethodUnder(method, request.method))
  return isMethod ? { hit: true } : { hit: false, missedBy: 'method' }
}
