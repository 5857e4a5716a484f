import { bareDomain, setCookieName } from './cookies.ts'
import type { RawHeaders } from './headers.ts'
import type { PathRewrite } from './path-rewrite.ts'

/** What is turned back in the answers of a route's app. */
export interface AnswerRewriteRules {
  /** Undefined: the app sees the paths that browsers ask for. */
  readonly path: PathRewrite | undefined
  /** `Location` and `Content-Location`. */
  readonly location: boolean
  /** `Path` of the app's cookies. */
  readonly cookiePath: boolean
  /** `Domain` of the app's cookies, lower-case without a dot before it, and what it becomes; undefined = the host alone. */
  readonly cookieDomains: ReadonlyMap<string, string | undefined>
  /** Never touched: it is one cookie for all routes. */
  readonly sessionCookie: string
}

/** Where an answer comes from, and where it goes to. */
export interface AnswerPlace {
  /** As `ForwardedFacts.origin`. */
  readonly ownOrigin: string
  /** The server that answered: `host:port` or `unix:/path`; the second has no address that a browser could be sent to. */
  readonly server: string
}

/** An answer's lines with the app's own addresses turned into those that a browser can ask for. */
export type AnswerRewrite = (headers: RawHeaders, place: AnswerPlace) => string[]

/**
 * Compiles what Apache calls `ProxyPassReverse` and nginx `proxy_redirect` and `proxy_cookie_*`. An address of the app's
 * own server becomes a path: no address is ever built from the request's Host. What leads elsewhere stays as it is, and so
 * does a relative address, which the browser resolves by itself.
 */
export function compileAnswerRewrite(rules: AnswerRewriteRules): AnswerRewrite {
  return function rewrite(headers, place) {
    const lines = [...headers]
    for (let i = 0; i < lines.length; i += 2) {
      const value = lines[i + 1] ?? ''
      switch (lines[i]?.toLowerCase()) {
        case 'location':
        case 'content-location':
          if (rules.location) lines[i + 1] = rewriteLocation(value, rules.path, place)
          break
        case 'set-cookie':
          lines[i + 1] = rewriteCookie(value, rules, place)
      }
    }
    return lines
  }
}

function rewriteLocation(value: string, path: PathRewrite | undefined, place: AnswerPlace): string {
  const absolute = /^((?:https?:)?\/\/([^/?#\\]*))(?=[/?#]|$)(.*)$/is.exec(value)
  if (absolute === null) return value.startsWith('/') ? unlessElsewhere(turnedBack(value, path), value) : value
  const [, base = '', authority = '', rest = ''] = absolute
  const isServers = isAuthority(authority, originOf(place.server))
  if (!isServers && !isAuthority(authority, place.ownOrigin)) return value
  const local = rest.startsWith('/') ? rest : `/${rest}`
  const turned = turnedBack(local, path)
  if (isServers) return unlessElsewhere(turned ?? local, value)
  return turned === undefined ? value : base + turned
}

function turnedBack(local: string, path: PathRewrite | undefined): string | undefined {
  if (path === undefined) return local
  const end = local.search(/[?#]/)
  const appPath = end < 0 ? local : local.slice(0, end)
  const turned = path.down(appPath)
  return turned === undefined ? undefined : turned + local.slice(appPath.length)
}

/** What is left of `/app//evil.example` without its prefix would lead a browser to another host. */
function unlessElsewhere(turned: string | undefined, value: string): string {
  return turned === undefined || /^\/[/\\]/.test(turned) ? value : turned
}

/** As a URL, which the server's label is not; `undefined` for one without a host. */
function originOf(server: string): string | undefined {
  return server.startsWith('unix:') ? undefined : `http://${server}`
}

/** By name and port. An app that does not know that the browser's side is https writes `http://` before its own name. */
function isAuthority(authority: string, origin: string | undefined): boolean {
  if (origin === undefined) return false
  const { hostname, port, protocol } = new URL(origin)
  const written = URL.parse(`${protocol}//${authority}/`)
  if (written === null || authority.includes('@') || written.hostname !== hostname) return false
  return written.port === port || !/:[0-9]+$/.test(authority)
}

/** RFC 6265, section 5.2: attributes stand between semicolons, in any case, with spaces around them. */
function rewriteCookie(line: string, rules: AnswerRewriteRules, place: AnswerPlace): string {
  const name = setCookieName(line)
  // A browser takes a __Host- cookie with Path=/ and without Domain, or not at all.
  if (name === rules.sessionCookie || /^__host-/i.test(name)) return line
  const [pair = '', ...attributes] = line.split(';')
  return [pair, ...attributes.flatMap((attribute) => rewriteAttribute(attribute, rules, place))].join(';')
}

function rewriteAttribute(attribute: string, rules: AnswerRewriteRules, { server }: AnswerPlace): string[] {
  const at = attribute.indexOf('=')
  const value = attribute.slice(at + 1).trim()
  switch (attribute.slice(0, Math.max(at, 0)).trim().toLowerCase()) {
    case 'path': {
      const path = rules.cookiePath && value.startsWith('/') ? rules.path?.cookiePath(value) : undefined
      return [path === undefined ? attribute : ` Path=${path}`]
    }
    case 'domain': {
      const domain = bareDomain(value)
      if (!rules.cookieDomains.has(domain))
        return domain === URL.parse(originOf(server) ?? '')?.hostname ? [] : [attribute]
      const becomes = rules.cookieDomains.get(domain)
      return becomes === undefined ? [] : [` Domain=${becomes}`]
    }
    default:
      return [attribute]
  }
}
