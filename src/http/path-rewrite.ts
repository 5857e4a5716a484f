import { canonicalPath, parsePath } from './path-readings.ts'
import type { Target } from './target.ts'

/** What a route changes about the path before it goes up; `''` = nothing. */
export interface PathRewriteRules {
  /** `/legacy`: cut off. Every path of the route lies under it. */
  readonly stripPrefix: string
  /** `/app`: put before what is left. */
  readonly addPrefix: string
}

/** A path on its way to the app, and back in what the app says of its own addresses. */
export interface PathRewrite {
  /** `/legacy`, or `''`: what the app does not get to see. */
  readonly stripped: string
  /**
   * The target that goes up: cut and put together from the bytes as received, and read anew, since it is another path
   * than the one that was judged. Undefined if the target does not lie under the prefix.
   */
  up(target: Target): Target | undefined
  /** A path of the app as the browser has to ask for it; undefined if no request of the route leads there. */
  down(path: string): string | undefined
  /** As `down`, for the Path of a cookie: one that holds for more of the app than the route shows holds for all of that. */
  cookiePath(path: string): string | undefined
}

/** Compiles a rewrite. Prefixes begin with a slash and end with none; the configuration is checked for that. */
export function compilePathRewrite(rules: PathRewriteRules): PathRewrite {
  const stripped = canonicalPath(rules.stripPrefix)
  const added = canonicalPath(rules.addPrefix)

  function down(path: string): string | undefined {
    return isBelow(path, added) ? stripped + path.slice(added.length) || '/' : undefined
  }

  return {
    stripped,
    up(target) {
      if (!isBelow(target.path, stripped)) return undefined
      const { received, query } = target
      const receivedPath = received.slice(0, received.length - query.length)
      const path = added + receivedPath.slice(endOfPrefix(receivedPath, stripped.length)) || '/'
      const reading = parsePath(path)
      // More readings than can be checked: no better than an ambiguous one.
      if (reading === undefined) return { received: path + query, path, query, ambiguous: true, readings: [] }
      return {
        received: path + query,
        path: reading.path,
        query,
        ambiguous: reading.ambiguous,
        readings: reading.others,
      }
    },
    down,
    cookiePath(path) {
      const isAbove = path === '/' || isBelow(added, path.replace(/\/$/, ''))
      return isAbove ? stripped || '/' : down(path)
    },
  }
}

function isBelow(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === '/')
}

/**
 * Where a prefix of so many characters in normal form ends in the path as received: `/l%65gacy/x` lies under `/legacy`,
 * and what goes up is made of the bytes that came.
 */
function endOfPrefix(received: string, length: number): number {
  let at = 0
  for (let seen = 0; seen < length; ) {
    const isEscape = received[at] === '%'
    seen += isEscape ? canonicalPath(received.slice(at, at + 3)).length : 1
    at += isEscape ? 3 : 1
  }
  return at
}
