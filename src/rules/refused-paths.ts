import { GatewayError } from '../errors.ts'
import { parsePath } from '../http/path-readings.ts'
import { type CompiledMatch, compileMatch, type PathPattern } from './patterns.ts'
import { compileRouteTable, type RouteTable } from './route-table.ts'
import type { RoutedRule } from './rule.ts'

/** A path that a route names, and that is refused all the same, because it may be read as one of a stricter route. */
export interface RefusedPath {
  readonly id: string
  /** The pattern, as written; `/*` where the route names none. */
  readonly path: string
  /** The id of the stricter route. */
  readonly stricter: string
}

/**
 * The patterns that look open and are not: a public `/login/` in front of a guarded everything is refused for every
 * request, since an app that drops the final slash is asked for `/login`, and that is guarded. The remedy is to name
 * both. Found by asking the route table for one path of each pattern, and for `/admin/*` also for `/admin`.
 */
export function findRefusedPaths(
  routes: readonly RoutedRule[],
  servedHosts: readonly string[],
): readonly RefusedPath[] {
  const table = compileRouteTable(routes, servedHosts)
  const anyHost = servedHosts[0] ?? routes.flatMap((route) => route.match.hosts)[0] ?? 'localhost'
  return routes.flatMap((route) => {
    const match = compileMatch(route.match)
    const host = sampleHost(match, anyHost)
    const method = match.methods[0] ?? 'GET'
    return match.paths.flatMap((pattern, number) => {
      const [stricter] = samplePaths(pattern).flatMap((path) => stricterThan(route, table, { host, method, path }))
      return stricter === undefined ? [] : { id: route.id, path: route.match.paths[number] ?? '/*', stricter }
    })
  })
}

function sampleHost({ hosts: [host] }: CompiledMatch, anyHost: string): string {
  if (host === undefined) return anyHost.replace(/^\*/, 'sample')
  return host.kind === 'exact' ? host.name : `sample.${host.name}`
}

function samplePaths({ kind, path }: PathPattern): readonly string[] {
  return kind === 'exact' ? [path] : [`${path}/sample`, path === '' ? '/' : path]
}

/** The route for whose sake a request that belongs to `route` is refused. */
function stricterThan(
  route: RoutedRule,
  table: RouteTable<RoutedRule>,
  { host, method, path }: { readonly host: string; readonly method: string; readonly path: string },
): string[] {
  const readings = parsePath(path)?.others ?? []
  try {
    table.select({ host, method, target: { received: path, path, query: '', ambiguous: false, readings } })
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    const { route: selected, otherRoute } = error.facts
    if (selected === route.id && typeof otherRoute === 'string') return [otherRoute]
  }
  return []
}
