import { GatewayError } from '../errors.ts'
import type { Target } from '../http/target.ts'
import { compileMisreadings } from './misreadings.ts'
import { compileHostPattern, compileMatch } from './patterns.ts'
import { NO_ROUTE, RouteIndex } from './route-index.ts'
import type { RoutedRule } from './rule.ts'
import { asksAnything, asksAtLeast } from './strictness.ts'

/** What the choice of a route looks at. */
export interface RoutedRequest {
  readonly method: string
  /** The host's name in lower case, without a port. */
  readonly host: string
  readonly target: Target
  /** It passes without being asked anything: what an app may take it for must allow that too. Default false. */
  readonly isPreflight?: boolean
}

export interface RouteTable<R> {
  /**
   * The first route in file order that takes the request by host, path and method.
   *
   * @throws {GatewayError} `ERR_HOST_UNKNOWN` if nothing is served under that host; `ERR_ROUTE_NOT_FOUND` if no route
   * takes the path or the method; `ERR_TARGET_AMBIGUOUS` if the path can be read in a way that leads to a stricter route,
   * or is ambiguous in itself and not every reading leads to this one route, which must allow it.
   */
  select(request: RoutedRequest): R
  /**
   * Asks the rules about the path that goes up, where a route changes it: the client's own path has chosen the route, and
   * what the app will serve must not be guarded better by another route to the same app.
   *
   * @param sharesApp whether two routes lead to one app; what another app has under that path is not in question
   * @throws {GatewayError} `ERR_TARGET_AMBIGUOUS` if it is, or if the path can be read in several ways.
   */
  recheck(selected: R, request: RoutedRequest, sharesApp: (a: R, b: R) => boolean): void
  /** @throws {GatewayError} `ERR_HOST_UNKNOWN` for a host that no route and no entry of the served hosts names. */
  requireHost(host: string): void
}

/**
 * Thinks the routes out once, so that choosing one costs the same with ten and with a thousand of them.
 *
 * An app may read a path otherwise than the rules do: without `;` parameters, in lower case, without the final slash,
 * decoded once more. If one of these readings leads to a route that asks more, the request is refused: what it would
 * reach is guarded, and this spelling would get it past the guard.
 *
 * The same app reads its own paths that way, so a guarded `/Admin` refuses `/admin` too (`misreadings.ts`).
 *
 * @param servedHosts the hosts served beside those that the routes name. If it is empty and some route names no host,
 * every host is served.
 * @throws {TypeError} if a pattern is malformed; the configuration is checked with the same functions before.
 */
export function compileRouteTable<R extends RoutedRule>(
  routes: readonly R[],
  servedHosts: readonly string[],
): RouteTable<R> {
  const matches = routes.map((route) => compileMatch(route.match))
  const written = new RouteIndex()
  for (const [number, match] of matches.entries()) written.add(number, match)
  // Without paths: the hosts are known by it, and nothing is found there.
  if (servedHosts.length > 0)
    written.add(NO_ROUTE, { hosts: servedHosts.map(compileHostPattern), paths: [], methods: [] })
  const servesAny = servedHosts.length === 0 && matches.some((match) => match.hosts.length === 0)
  const findMisreadings = compileMisreadings(matches)

  function requireHost(host: string): void {
    if (!servesAny && !written.names(host.toLowerCase())) {
      throw new GatewayError('ERR_HOST_UNKNOWN', 'no route and no entry of `hosts` names the host')
    }
  }

  return {
    requireHost,
    select({ method, host, target, isPreflight = false }) {
      const name = host.toLowerCase()
      requireHost(name)
      const number = written.find(name, target.path, method)
      const selected = routes[number]
      if (selected === undefined) throw notFound(target)
      if (target.ambiguous && selected.ambiguousPaths === 'refuse') throw ambiguous(selected)
      for (const reading of target.readings) {
        const other = written.find(name, reading, method)
        if (other === number) continue
        // Whoever allows ambiguous paths vouches for one route only; a reading that leads nowhere is not that route.
        if (target.ambiguous) throw ambiguous(selected, routes[other])
        refuseIfStricter(selected, routes[other], isPreflight)
      }
      for (const other of findMisreadings({ selected: number, host: name, method, target })) {
        refuseIfStricter(selected, routes[other], isPreflight)
      }
      return selected
    },
    recheck(selected, { method, host, target, isPreflight = false }, sharesApp) {
      // Also where the route allows ambiguous paths: its vouching was for the paths that it can see.
      if (target.ambiguous) throw ambiguous(selected)
      const name = host.toLowerCase()
      const [number = NO_ROUTE, ...others] = [target.path, ...target.readings].map((reading) =>
        written.find(name, reading, method),
      )
      const misread = findMisreadings({ selected: number, host: name, method, target })
      for (const other of [number, ...others, ...misread]) {
        const route = routes[other]
        if (route !== undefined && sharesApp(selected, route)) refuseIfStricter(selected, route, isPreflight)
      }
    },
  }
}

function refuseIfStricter(selected: RoutedRule, other: RoutedRule | undefined, isPreflight: boolean): void {
  if (other === undefined) return
  const isNoStricter = isPreflight
    ? other.corsPreflight === 'allow' || !asksAnything(other.access)
    : asksAtLeast(selected.access, other.access)
  if (!isNoStricter) throw ambiguous(selected, other)
}

function notFound(target: Target): GatewayError {
  // An ambiguous target is refused before anything is looked for: a 404 would tell which readings exist.
  return target.ambiguous
    ? new GatewayError('ERR_TARGET_AMBIGUOUS', 'the path can be read in several ways, and no route allows that')
    : new GatewayError('ERR_ROUTE_NOT_FOUND', 'the host is served, but no route takes this path and method')
}

function ambiguous(selected: RoutedRule, other?: RoutedRule): GatewayError {
  const facts = { route: selected.id, ...(other === undefined ? {} : { otherRoute: other.id }) }
  return new GatewayError('ERR_TARGET_AMBIGUOUS', 'the path has a reading that its route does not cover', { facts })
}
