import { GatewayError } from '../errors.ts'
import type { Framing } from '../http/framing.ts'
import { announcedMethod } from '../http/preflight.ts'
import type { RoutedRequest } from '../rules/route-table.ts'
import type { Route } from './route.ts'
import type { Visit } from './visit.ts'

export interface PreflightParts {
  readonly routes: { select(request: RoutedRequest): Route }
  /** Some route says `cors_preflight: allow`. */
  readonly letsPreflightsThrough: boolean
}

/**
 * Finds the route of a CORS preflight: that of the request which it announces, if that one lets preflights through; noted
 * in the visit. Undefined for any other request, also where the announced one would not get through.
 */
export function createPreflightRoutes({ routes, letsPreflightsThrough }: PreflightParts) {
  return function preflightRoute(visit: Visit, request: RoutedRequest, framing: Framing): Route | undefined {
    if (!letsPreflightsThrough || framing.hasBody) return undefined
    const method = announcedMethod(visit.method, visit.raw)
    if (method === undefined) return undefined
    try {
      const route = routes.select({ ...request, method, isPreflight: true })
      if (route.corsPreflight !== 'allow') return undefined
      visit.announcedMethod = method
      return route
    } catch (error) {
      if (error instanceof GatewayError) return undefined
      throw error
    }
  }
}
