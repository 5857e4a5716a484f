import type { Config } from './config/config.ts'
import { compileTrust } from './http/addresses.ts'
import { systemClock } from './lib/clock.ts'
import type { Upstream } from './proxy/upstream.ts'
import { compileRoutes, jwksText, signingKeySpecs } from './route-parts.ts'
import { compileLoginGuard, createLogin, type LoginRules } from './rules/login.ts'
import { compileRouteTable } from './rules/route-table.ts'
import { compileErrorPages, type ErrorPages } from './server/error-pages.ts'
import { createFormKeeping } from './server/form-keeping.ts'
import { createFormReturn } from './server/form-return.ts'
import { createHttpsRedirect } from './server/https-redirect.ts'
import { KeptFormCookies } from './server/kept-form-cookies.ts'
import { createLocalEndpoints } from './server/local-endpoints.ts'
import { createPipeline, createPlaceReader, type Pipeline } from './server/pipeline.ts'
import type { Route } from './server/route.ts'
import type { SessionParts } from './session-parts.ts'

export interface WiringParts {
  readonly sessions: SessionParts
  /** The secret that signs where the configuration names no keys. */
  readonly generatedKey: string | undefined
  readonly onRoute: (routeId: string) => void
  /** By name, all that the configuration has. */
  readonly upstreams: ReadonlyMap<string, Upstream>
}

/** A pipeline, and what else a request meets on its way. */
export interface Wired {
  readonly pipeline: Pipeline
  readonly errorPages: ErrorPages
  /** For listeners that only send browsers to https, at that port. */
  readonly redirectTo: (port: number) => Pick<Pipeline, 'serve'>
  /** In file order. */
  readonly routes: readonly Route[]
}

/** From a configuration to the way of a request. Nothing listens yet, and no upstream is called. */
export function wire(config: Config, { sessions, generatedKey, onRoute, upstreams }: WiringParts): Wired {
  const keys = signingKeySpecs(config, generatedKey)
  const routes = compileRoutes(config, { upstreams, keys })
  const { cookie, store, identity, publicId, engine } = sessions
  const errorPages = compileErrorPages(config.errorPages)
  const table = compileRouteTable(routes, config.hosts)
  const isTrusted = compileTrust(config.trustedProxies)
  const cookieRules = { cookieName: cookie.name, duplicateCookies: config.session.duplicateCookies }
  const forms = new KeptFormCookies(sessions.formBox)
  const returnForm = createFormReturn({
    cookies: forms,
    sessions: store,
    cookie: cookie.options,
    cookieRules,
    identity,
    routes: table,
    errorPages,
    clock: systemClock,
  })
  const pipeline = createPipeline({
    sessions: store,
    cookie,
    identity,
    publicId,
    routes: table,
    clock: systemClock,
    cookieName: cookie.name,
    duplicateCookies: config.session.duplicateCookies,
    engineName: engine.name,
    saveEveryRequest: config.session.saveEveryRequest,
    maxSessionBytes: config.session.maxBytes,
    guardLogin: compileLoginGuard(distinctLogins(config).map(createLogin)),
    isTrusted,
    onRoute,
    errorPages,
    keepForm: createFormKeeping({ cookies: forms, clock: systemClock }),
    letsPreflightsThrough: config.routes.some(({ corsPreflight }) => corsPreflight === 'allow'),
    localEndpoints: createLocalEndpoints({
      jwks: jwksText(config, keys),
      sessions: store,
      cookie,
      cookieRules,
      afterLogout: config.login.url,
      returnForm: config.routes.some(({ keepPost }) => keepPost !== undefined) ? returnForm : undefined,
    }),
  })
  return {
    pipeline,
    errorPages,
    redirectTo: (port) => ({
      serve: createHttpsRedirect({ readPlace: createPlaceReader(isTrusted), requireHost: table.requireHost, port }),
    }),
    routes,
  }
}

/** A thousand routes have one login or two, and every request with a query asks each of them. */
function distinctLogins({ routes }: Config): LoginRules[] {
  return [...new Map(routes.map(({ login }) => [JSON.stringify(login), login])).values()]
}
