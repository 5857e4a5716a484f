import type { Host } from '../http/host.ts'
import type { Target } from '../http/target.ts'
import type { RoutedRequest } from '../rules/route-table.ts'
import type { Route } from './route.ts'
import type { Place, Visit } from './visit.ts'

export interface RewritingParts {
  readonly routes: {
    recheck(selected: Route, request: RoutedRequest, sharesApp: (a: Route, b: Route) => boolean): void
  }
  /** The target that goes up: a `next` for a login page of ours that leads elsewhere is replaced on the way. */
  readonly guardLogin: (target: Target, host: Host) => string
}

/** The path that goes up, where a route changes it. */
export interface Rewriting {
  /**
   * Notes in the visit what goes up, once the rules have seen it too.
   *
   * @throws {GatewayError} `ERR_TARGET_AMBIGUOUS` if they would guard it better than what was asked for.
   */
  apply(visit: Visit, step: { readonly route: Route; readonly place: Place }): void
  /** Path and query for the app. */
  targetFor(visit: Visit, place: Place): string
}

/** A prefix that goes, or comes, makes another path of a request than the one that the rules have judged. */
export function createRewriting({ routes, guardLogin }: RewritingParts): Rewriting {
  return {
    apply(visit, { route, place }) {
      if (route.pathRewrite === undefined) return
      const target = route.pathRewrite.up(place.target)
      if (target === undefined) throw new TypeError(`a path of the route ${route.id} is not under its prefix`)
      const isPreflight = visit.announcedMethod !== undefined
      const method = visit.announcedMethod ?? visit.method
      routes.recheck(route, { method, host: place.host.name, target, isPreflight }, sharesApp)
      visit.upTarget = target
    },

    targetFor({ upTarget }, { target, host }) {
      const guarded = guardLogin(target, host)
      if (upTarget === undefined) return guarded
      // Either form may be the address of a login page.
      const query = guarded.slice(target.received.length - target.query.length)
      const path = upTarget.received.slice(0, upTarget.received.length - upTarget.query.length)
      return guardLogin({ ...upTarget, received: path + query, query }, host)
    },
  }
}

function sharesApp(a: Route, b: Route): boolean {
  return !a.servers.isDisjointFrom(b.servers)
}
