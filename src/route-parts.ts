import { type AssertionIssuer, createAssertionIssuer } from './assertion/issuer.ts'
import { publicKeySet } from './assertion/jwks.ts'
import { readSigningKeys, type SigningKeySpec } from './assertion/keys.ts'
import { compilePlainHeaders } from './assertion/plain-headers.ts'
import type { Config, RouteConfig } from './config/config.ts'
import { type AnswerRewrite, compileAnswerRewrite } from './http/answer-rewrite.ts'
import { compileClientHeaderFilter } from './http/client-headers.ts'
import type { RawHeaders } from './http/headers.ts'
import { compilePathRewrite, type PathRewrite } from './http/path-rewrite.ts'
import type { Upstream } from './proxy/upstream.ts'
import { compileAccess } from './rules/access.ts'
import { createLogin } from './rules/login.ts'
import type { Route } from './server/route.ts'
import { compilePermission } from './writeback/permission.ts'

export interface RouteParts {
  readonly upstreams: ReadonlyMap<string, Upstream>
  readonly keys: readonly SigningKeySpec[]
}

/** The routes with everything compiled that can be thought out at start, in file order. */
export function compileRoutes(config: Config, parts: RouteParts): readonly Route[] {
  return config.routes.map((route) => compileRoute(config, route, parts))
}

/** The signing keys as the assertion room takes them; `generated` is the secret for a file that names none. */
export function signingKeySpecs(config: Config, generated: string | undefined): readonly SigningKeySpec[] {
  const { keys } = config.signing
  if (keys.generated) return [{ id: 'generated', secret: generated ?? '' }]
  return keys.keys.map((key) =>
    key.kind === 'secret'
      ? { id: key.id, secret: key.secret.reveal() }
      : { id: key.id, privateKey: key.privateKey.reveal() },
  )
}

/** The document of `/.well-known/sessiongate/jwks.json`; the same for every upstream, and empty with HS256. */
export function jwksText(config: Config, keys: readonly SigningKeySpec[]): string {
  const signing = readSigningKeys(keys, { algorithm: config.signing.algorithm, audience: 'jwks' })
  return `${JSON.stringify(publicKeySet(signing))}\n`
}

function compileRoute(config: Config, route: RouteConfig, parts: RouteParts): Route {
  const upstreamConfig = config.upstreams.get(route.upstream)
  const upstream = parts.upstreams.get(route.upstream)
  if (upstreamConfig === undefined || upstream === undefined) throw new TypeError(`no upstream ${route.upstream}`)
  const {
    id,
    match,
    access,
    ambiguousPaths,
    corsPreflight,
    usesSession,
    onDeny,
    onStoreError,
    maxBodyBytes,
    keepPost,
    websocket,
  } = route
  const pathRewrite = pathRewriteOf(route)
  return {
    id,
    match,
    access,
    ambiguousPaths,
    corsPreflight,
    usesSession,
    onDeny,
    onStoreError,
    maxBodyBytes,
    keepPost,
    websocket,
    decide: compileAccess(access, config.session.authKey),
    login: createLogin(route.login),
    upstream,
    idleMs: upstreamConfig.timeouts.idleMs,
    servers: new Set(upstreamConfig.servers),
    pathRewrite,
    rewriteAnswer: answerRewriteOf(config, { route, pathRewrite, passHost: upstreamConfig.passHost }),
    sessionCookie: upstreamConfig.sessionCookie,
    cleanRequest: compileClientHeaderFilter({
      ownNames: config.ownHeaders,
      keepMethodOverrides: route.methodOverrides === 'keep',
    }),
    requestLines: linesOf(route.headers.request),
    responseLines: linesOf(route.headers.response),
    issuer: usesSession ? issuerOf(config, route, parts) : undefined,
    permission: compilePermission(route.writeback),
  }
}

function pathRewriteOf({ rewrite }: RouteConfig): PathRewrite | undefined {
  const { stripPrefix, addPrefix } = rewrite
  return stripPrefix === '' && addPrefix === '' ? undefined : compilePathRewrite({ stripPrefix, addPrefix })
}

interface RewritingRoute {
  readonly route: RouteConfig
  readonly pathRewrite: PathRewrite | undefined
  readonly passHost: boolean
}

/** An app that sees the browser's host and paths speaks of nothing else, and its answers are left alone. */
function answerRewriteOf(config: Config, { route, pathRewrite, passHost }: RewritingRoute): AnswerRewrite | undefined {
  const { location, cookiePath, cookieDomains } = route.rewrite
  if (pathRewrite === undefined && passHost && cookieDomains.size === 0) return undefined
  const sessionCookie = config.session.cookie.name
  return compileAnswerRewrite({ path: pathRewrite, location, cookiePath, cookieDomains, sessionCookie })
}

function issuerOf(config: Config, route: RouteConfig, parts: RouteParts): AssertionIssuer {
  const { algorithm, issuer, ttlMs, bind, maxBytes } = config.signing
  return createAssertionIssuer({
    keys: readSigningKeys(parts.keys, { algorithm, audience: route.upstream }),
    issuer,
    audience: route.upstream,
    ttlSeconds: ttlMs / 1000,
    bind,
    maxBytes,
    include: route.include ?? null,
    plainHeaders: compilePlainHeaders(route.headers.session),
  })
}

function linesOf(headers: ReadonlyMap<string, string>): RawHeaders {
  return [...headers].flat()
}
