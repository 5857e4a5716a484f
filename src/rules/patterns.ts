import { parseHost } from '../http/host.ts'
import { parsePath } from '../http/path-readings.ts'
import type { RouteMatch } from './rule.ts'

/** A path pattern taken apart; `path` is in the normal form of a target's path, and for `below` without the final `/*`. */
export interface PathPattern {
  readonly kind: 'exact' | 'below'
  readonly path: string
  /** What an app that reads its own paths loosely may take it for: in lower case, without the final slash, and so on. */
  readonly readings: readonly string[]
}

/** A host pattern taken apart: one name, or every name that has one label more than `name`. */
export interface HostPattern {
  readonly kind: 'exact' | 'subdomain'
  readonly name: string
}

/** RFC 3986, section 2.3: encoding them or not makes no difference. */
const unreserved = /^[A-Za-z0-9\-._~]$/
/** RFC 3986, section 3.3: what may stand in a path as it is, beside `/` and `%`. */
const pathCharacter = /^[A-Za-z0-9\-._~!$&'()*+,;=:@]$/
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/**
 * Why no request can be meant by this path pattern, or `undefined` if it is a good one: `/login`, `/admin/*`, `/*`.
 * Whoever compiles patterns asks first, so that a rule that can never match is an error at start and not an open gate.
 */
export function pathPatternProblem(pattern: string): string | undefined {
  if (!pattern.startsWith('/')) return 'a path begins with "/"'
  const path = pattern.endsWith('/*') ? pattern.slice(0, -2) : pattern
  if (path.includes('*')) return '"*" may only be the whole last segment, as in "/admin/*"'
  if (path.includes('?')) return 'rules see the path only, never the query'
  const problem = characterProblem(path)
  if (problem !== undefined) return problem
  const read = parsePath(encodeNonAscii(path))
  if (read === undefined) return 'it can be read in too many ways'
  // Also "/a//*": its "/a/" looks harmless by itself.
  return read.ambiguous || pattern.includes('//') || /%(?:25)*00/.test(path)
    ? '"//", dot segments and encoded delimiters are refused in every request'
    : undefined
}

function characterProblem(path: string): string | undefined {
  for (const [piece] of path.matchAll(/%[0-9A-Fa-f]{2}|./gsu)) {
    const isTriplet = piece.length === 3 && piece.startsWith('%')
    const character = isTriplet ? String.fromCharCode(Number.parseInt(piece.slice(1), 16)) : piece
    // A reserved character and its encoding are two different paths, and apps take them for one: only one may be named.
    const mayStandAsItIs = pathCharacter.test(character)
    if (isTriplet && mayStandAsItIs && !unreserved.test(character)) return `write "${character}" instead of "${piece}"`
    if (!isTriplet && !mayStandAsItIs && piece !== '/' && piece < '\x80') {
      return `no request has ${JSON.stringify(piece)} in its path`
    }
  }
  return undefined
}

/** @throws {TypeError} if {@link pathPatternProblem} has something to say: the configuration should have been refused. */
export function compilePathPattern(pattern: string): PathPattern {
  const problem = pathPatternProblem(pattern)
  if (problem !== undefined) throw new TypeError(`path ${JSON.stringify(pattern)}: ${problem}`)
  const isBelow = pattern.endsWith('/*')
  const path = isBelow ? pattern.slice(0, -2) : pattern
  const read = parsePath(encodeNonAscii(path))
  return { kind: isBelow ? 'below' : 'exact', path: read?.path ?? path, readings: read?.others ?? [] }
}

/** People write `/müller`, requests have it as encoded UTF-8. */
function encodeNonAscii(text: string): string {
  return text.replace(/[^ -~]+/g, (part) => encodeURIComponent(part.toWellFormed()))
}

/** True if `path`, in normal form, falls under the pattern. */
export function isPathUnder(pattern: PathPattern, path: string): boolean {
  if (path === pattern.path) return true
  return pattern.kind === 'below' && path.startsWith('/', pattern.path.length) && path.startsWith(pattern.path)
}

/** Why no request can be meant by this host pattern, or `undefined` if it is a good one: `app.example.com`, `*.example.com`. */
export function hostPatternProblem(pattern: string): string | undefined {
  const isSubdomain = pattern.startsWith('*.')
  const name = isSubdomain ? pattern.slice(2) : pattern
  if (name.includes('*')) return '"*" may only be the whole first label, as in "*.example.com"'
  const host = parseHost(name)
  if (host === undefined) return 'no request can name this host (letters beyond ASCII are written as xn--…)'
  if (host.port !== undefined) return 'the port plays no part in it: leave it out'
  return isSubdomain && /^[[0-9]/.test(host.name.split('.').at(-1) ?? '') ? 'an address has no subdomains' : undefined
}

/** @throws {TypeError} if {@link hostPatternProblem} has something to say: the configuration should have been refused. */
export function compileHostPattern(pattern: string): HostPattern {
  const problem = hostPatternProblem(pattern)
  if (problem !== undefined) throw new TypeError(`host ${JSON.stringify(pattern)}: ${problem}`)
  const isSubdomain = pattern.startsWith('*.')
  const text = isSubdomain ? pattern.slice(2) : pattern
  return { kind: isSubdomain ? 'subdomain' : 'exact', name: parseHost(text)?.name ?? text }
}

/** What stands behind the first label of a host name; `undefined` if there is only one, or the first is empty. */
export function parentHost(host: string): string | undefined {
  const dot = host.indexOf('.')
  return dot > 0 ? host.slice(dot + 1) : undefined
}

/** True if `host`, in lower case and without a port, falls under the pattern. */
export function isHostUnder(pattern: HostPattern, host: string): boolean {
  return pattern.kind === 'exact' ? host === pattern.name : parentHost(host) === pattern.name
}

/** Why this is no method, or `undefined` if it is one. */
export function methodProblem(method: string): string | undefined {
  return token.test(method) ? undefined : 'it is not a method'
}

/** @throws {TypeError} if {@link methodProblem} has something to say: the configuration should have been refused. */
export function compileMethod(method: string): string {
  const problem = methodProblem(method)
  if (problem !== undefined) throw new TypeError(`method ${JSON.stringify(method)}: ${problem}`)
  return method.toUpperCase()
}

/** True if a route for `declared` takes a request with `method`. RFC 9110, section 9.3.2: `HEAD` is `GET` without content. */
export function isMethodUnder(declared: string, method: string): boolean {
  return method === declared || (method === 'HEAD' && declared === 'GET')
}

/** Which requests a route takes, taken apart. Empty lists stand for "any", as in the file; no paths at all are `/*`. */
export interface CompiledMatch {
  readonly hosts: readonly HostPattern[]
  readonly paths: readonly PathPattern[]
  readonly methods: readonly string[]
}

/** @throws {TypeError} if a pattern is malformed. */
export function compileMatch({ hosts, paths, methods }: RouteMatch): CompiledMatch {
  return {
    hosts: hosts.map(compileHostPattern),
    paths: (paths.length === 0 ? ['/*'] : paths).map(compilePathPattern),
    methods: methods.map(compileMethod),
  }
}
