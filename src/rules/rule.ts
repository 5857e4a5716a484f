/** Which requests a route takes. An empty list stands for "any". */
export interface RouteMatch {
  /** Host patterns: `app.example.com`, or `*.example.com` for exactly one label more. */
  readonly hosts: readonly string[]
  /** Path patterns: `/login` exactly, or `/admin/*` for `/admin`, `/admin/` and all below. */
  readonly paths: readonly string[]
  /** Methods; `GET` takes `HEAD` along. */
  readonly methods: readonly string[]
}

/** What a route asks before a request may pass. */
export interface AccessRule {
  readonly auth: 'public' | 'optional' | 'required'
  /** Dotted paths into the session, each of which must be truthy in Python's sense. */
  readonly require: readonly string[]
  /** A CEL expression that must come out as true. */
  readonly allow?: string
  /** `observe`: the request passes anyway, and what `enforce` would have done is told. */
  readonly mode: 'enforce' | 'observe'
  readonly crossSite: 'off' | 'same-site'
}

/** The part of a route that this room knows. */
export interface RoutedRule {
  readonly id: string
  readonly match: RouteMatch
  readonly access: AccessRule
  /** Whether a path that can be read in several ways may pass, provided that every reading leads to this route. */
  readonly ambiguousPaths: 'refuse' | 'allow'
  /** Whether a CORS preflight for a request of this route may pass without being asked anything. Absent = refuse. */
  readonly corsPreflight?: 'refuse' | 'allow'
}
