/** A route as a test knows it: enough to write the YAML, and to say, by plain comparison, which one takes a request. */
export interface ModelRoute {
  readonly id: string
  readonly host?: string
  readonly paths: readonly string[]
  readonly methods?: readonly string[]
  readonly isGuarded?: boolean
  readonly allowsAmbiguous?: boolean
  readonly rewrite?: { readonly strip: string; readonly add: string }
}

export interface RuleSet {
  readonly name: string
  readonly routes: readonly ModelRoute[]
  /** What Host lines say; each request has one of them. */
  readonly hosts: readonly string[]
  readonly methods: readonly string[]
  /** An app that reads its own paths without case: what it has to guard is written in capitals. */
  readonly isCaseless?: boolean
}

const rest: ModelRoute = { id: 'rest', paths: ['/*'] }
const admin: ModelRoute = { id: 'admin', paths: ['/admin/*'], isGuarded: true }
const one = { hosts: ['app.test'], methods: ['GET'] }

export const ruleSets: readonly RuleSet[] = [
  {
    ...one,
    name: 'all is guarded but some folders',
    routes: [
      { id: 'pub', paths: ['/pub/*', '/x/a/*'] },
      { id: 'login', paths: ['/login', '/login/'] },
      { ...rest, isGuarded: true },
    ],
  },
  {
    ...one,
    name: 'all is open but some folders',
    routes: [admin, { id: 'kiosk', paths: ['/kiosk', '/x/secret/*'], isGuarded: true }, rest],
  },
  {
    ...one,
    name: 'ambiguous paths are allowed',
    routes: [
      { id: 'files', paths: ['/files/*', '/pub/*'], allowsAmbiguous: true },
      admin,
      { ...rest, allowsAmbiguous: true },
    ],
  },
  {
    ...one,
    name: 'paths are rewritten',
    routes: [
      { id: 'app', paths: ['/app/*'], rewrite: { strip: '/app', add: '' } },
      { id: 'x', paths: ['/x/*'], rewrite: { strip: '/x', add: '/pub/a' } },
      { id: 'files', paths: ['/files/*'], rewrite: { strip: '', add: '/a' } },
      { id: 'guarded', paths: ['/admin/*', '/pub/a/admin/*', '/a/files/admin/*', '/kiosk'], isGuarded: true },
      { id: 'pub', paths: ['/pub/*'] },
    ],
  },
  {
    name: 'hosts and methods decide',
    hosts: [
      'app.test',
      'APP.test:8080',
      'admin.test',
      'ADMIN.TEST',
      'a.apps.test',
      'admin.apps.test',
      'app.test.',
      'xadmin.test',
      'admin.test.app.test',
    ],
    methods: ['GET', 'GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS'],
    routes: [
      { id: 'own', host: 'admin.test', paths: ['/*'], isGuarded: true },
      { id: 'named', host: 'admin.apps.test', paths: ['/admin/*', '/api/*'], isGuarded: true },
      { id: 'read', paths: ['/api/*'], methods: ['GET'] },
      { id: 'write', paths: ['/api/*'], methods: ['POST', 'PUT', 'DELETE'], isGuarded: true },
      { id: 'look', host: '*.apps.test', paths: ['/admin/*'], methods: ['GET'] },
      admin,
      rest,
    ],
  },
  {
    ...one,
    name: 'guarded names are written in capitals',
    isCaseless: true,
    routes: [{ id: 'Admin', paths: ['/Admin/*', '/KIOSK/', '/x/Secret'], isGuarded: true }, rest],
  },
]

/** The `routes` and `hosts` of a rule set, for an upstream of that name. */
export function yamlOf({ routes }: RuleSet, upstream: string): string {
  const lines = routes.map((route) => {
    const { id, host, paths, methods, isGuarded, allowsAmbiguous, rewrite } = route
    const match = [
      ...(host === undefined ? [] : [`host: "${host}"`]),
      `path: ${JSON.stringify(paths)}`,
      ...(methods === undefined ? [] : [`method: ${JSON.stringify(methods)}`]),
    ]
    const members = [
      `id: ${id}`,
      `match: { ${match.join(', ')} }`,
      `upstream: ${upstream}`,
      `auth: ${isGuarded === true ? 'required' : 'public'}`,
      ...(allowsAmbiguous === true ? ['ambiguous_paths: allow'] : []),
      ...(rewrite === undefined ? [] : [`rewrite: { ${prefixes(rewrite)} }`]),
    ]
    return `  - { ${members.join(', ')} }`
  })
  return `routes:\n${lines.join('\n')}\n`
}

function prefixes({ strip, add }: { strip: string; add: string }): string {
  return [...(strip === '' ? [] : [`strip_prefix: ${strip}`]), ...(add === '' ? [] : [`add_prefix: ${add}`])].join(', ')
}

export interface ModelRequest {
  readonly host: string
  readonly method: string
  readonly path: string
}

/** The first route, in their order, that takes a request, letter by letter. */
export function routeOf({ routes }: RuleSet, request: ModelRequest): ModelRoute | undefined {
  return routes.find((route) => takes(route, request))
}

/** Whether an app that reads a request this way takes it for one of a guarded route. */
export function isGuarded({ routes, isCaseless }: RuleSet, request: ModelRequest): boolean {
  if (isCaseless !== true) return routes.find((route) => takes(route, request))?.isGuarded === true
  const path = request.path.toLowerCase()
  return routes.some((route) => {
    const paths = route.paths.map((pattern) => pattern.toLowerCase().replace(/(.)\/$/, '$1'))
    return route.isGuarded === true && takes({ ...route, paths }, { ...request, path })
  })
}

function takes(route: ModelRoute, { host, method, path }: ModelRequest): boolean {
  const covers = route.paths.some((pattern) =>
    pattern.endsWith('/*') ? path === pattern.slice(0, -2) || path.startsWith(pattern.slice(0, -1)) : path === pattern,
  )
  const methods = route.methods ?? [method]
  return (
    covers && isHost(route.host, host) && (methods.includes(method) || (method === 'HEAD' && methods.includes('GET')))
  )
}

function isHost(pattern: string | undefined, host: string): boolean {
  const name = host.toLowerCase().replace(/:\d+$/, '')
  if (pattern === undefined) return true
  if (!pattern.startsWith('*.')) return name === pattern
  return name.endsWith(pattern.slice(1)) && !name.slice(0, -(pattern.length - 1)).includes('.')
}
