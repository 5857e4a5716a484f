import { type CompiledMatch, type HostPattern, type PathPattern, parentHost } from './patterns.ts'

/** The place of a route in the file, from 0, or {@link NO_ROUTE}. */
export type RouteNumber = number

/** Above every place in the file, so that the smaller of two numbers is always the right one. As an index into the routes it finds nothing. */
export const NO_ROUTE: RouteNumber = 2 ** 31 - 1

/** For one place in the tree: the first route that takes any method, and for each method that is named the first for it. */
interface FirstRoutes {
  any: RouteNumber
  readonly named: Map<string, RouteNumber>
}

interface Segment {
  readonly children: Map<string, Segment>
  /** Routes for exactly the path that ends here. */
  exact?: FirstRoutes
  /** Routes for the path that ends here and for all below. */
  below?: FirstRoutes
}

/**
 * Finds the first route in file order for a host, a path and a method, in a time that does not grow with their number.
 *
 * Host patterns cannot overlap but in three ways (any host, the one name, the names below another), so there are three
 * places to look and the smallest number wins.
 */
export class RouteIndex {
  readonly #any = new PathIndex()
  readonly #exact = new Map<string, PathIndex>()
  readonly #subdomains = new Map<string, PathIndex>()

  add(route: RouteNumber, { hosts, paths, methods }: CompiledMatch): void {
    const indexes = hosts.length === 0 ? [this.#any] : hosts.map((host) => this.#indexOf(host))
    for (const index of indexes) for (const path of paths) index.add(route, path, methods)
  }

  /** True if some route names the host or a pattern that it falls under. */
  names(host: string): boolean {
    return this.#exact.has(host) || this.#subdomains.has(parentHost(host) ?? '')
  }

  /** The first route for a host in lower case, a path in normal form, and a method. */
  find(host: string, path: string, method: string): RouteNumber {
    let first = this.#any.find(path, method)
    const exact = this.#exact.get(host)
    if (exact !== undefined) first = Math.min(first, exact.find(path, method))
    const subdomain = this.#subdomains.size === 0 ? undefined : this.#subdomains.get(parentHost(host) ?? '')
    if (subdomain !== undefined) first = Math.min(first, subdomain.find(path, method))
    return first
  }

  #indexOf({ kind, name }: HostPattern): PathIndex {
    const group = kind === 'exact' ? this.#exact : this.#subdomains
    const known = group.get(name)
    if (known !== undefined) return known
    const index = new PathIndex()
    group.set(name, index)
    return index
  }
}

/**
 * The routes of one group of hosts, as a tree of path segments in which every place knows its first route. A look-up
 * walks down once and stops where the configuration has nothing more: a path of a thousand segments costs no more than
 * the deepest pattern.
 */
class PathIndex {
  readonly #root: Segment = { children: new Map() }

  add(route: RouteNumber, pattern: PathPattern, methods: readonly string[]): void {
    let here = this.#root
    // `/*` has the empty path: no segment at all, while `/` has one, which is empty.
    for (const name of pattern.path.split('/').slice(1)) {
      let child = here.children.get(name)
      if (child === undefined) {
        child = { children: new Map() }
        here.children.set(name, child)
      }
      here = child
    }
    const routes = here[pattern.kind] ?? { any: NO_ROUTE, named: new Map() }
    here[pattern.kind] = routes
    note(routes, route, methods)
  }

  find(path: string, method: string): RouteNumber {
    if (!path.startsWith('/')) return NO_ROUTE
    let here = this.#root
    let first = firstOf(here.below, method)
    let start = 1
    for (;;) {
      const slash = path.indexOf('/', start)
      const child = here.children.get(slash < 0 ? path.slice(start) : path.slice(start, slash))
      if (child === undefined) return first
      here = child
      first = Math.min(first, firstOf(here.below, method))
      if (slash < 0) return Math.min(first, firstOf(here.exact, method))
      start = slash + 1
    }
  }
}

function note(routes: FirstRoutes, route: RouteNumber, methods: readonly string[]): void {
  if (methods.length === 0) routes.any = Math.min(routes.any, route)
  for (const method of methods.includes('GET') ? [...methods, 'HEAD'] : methods) {
    routes.named.set(method, Math.min(route, routes.named.get(method) ?? route))
  }
}

function firstOf(routes: FirstRoutes | undefined, method: string): RouteNumber {
  if (routes === undefined) return NO_ROUTE
  if (routes.named.size === 0) return routes.any
  return Math.min(routes.any, routes.named.get(method) ?? NO_ROUTE)
}
