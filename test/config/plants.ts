// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import type { Pair } from 'yaml'
import { type Draft, nodeAt, pairOf, type Spot } from './draft.ts'

/** A mistake that was put into a file, and how it must be told. */
export interface Planted {
  readonly spot: Spot
  readonly message: RegExp
  readonly severity: 'error' | 'warning'
}

/** One kind of mistake. */
export interface Plant {
  readonly kind: string
  /** Two kinds that touch the same thing are not put into one file. `all` touches everything. */
  readonly touches: readonly string[]
  /** `undefined` if the file has no place for it. */
  readonly put: (draft: Draft) => Planted | undefined
}

function planted(
  spot: Spot | undefined,
  message: RegExp,
  severity: Planted['severity'] = 'error',
): Planted | undefined {
  return spot && { spot, message, severity }
}

/** How a plant differs from its like. */
interface Particulars {
  readonly severity?: Planted['severity']
  readonly touches?: readonly string[]
  /** The key is pointed at, not the value. */
  readonly atKey?: boolean
}

/** Without those of `tls`: whoever lacks a key there may have misspelt it, and is told of one mistake, not of two. */
function closedMappings(draft: Draft): ReturnType<Draft['closedMappings']> {
  return draft.closedMappings().filter((map) => !map.has('cert'))
}

/** A setting of the file with a value that is wrong. */
function setting(path: string, value: unknown, message: RegExp, more: Particulars = {}): Plant {
  return {
    kind: `${path}: ${JSON.stringify(value)}`,
    touches: [path.split('.').slice(0, 2).join('.'), ...(more.touches ?? [])],
    put(draft) {
      const node = draft.set(path.split('.'), value)
      return planted(more.atKey ? draft.keyAt(...path.split('.')) : node, message, more.severity)
    },
  }
}

/** A further item of a list. */
function item(path: string, value: unknown, message: RegExp, at = ''): Plant {
  return {
    kind: `${path}: [${JSON.stringify(value)}]`,
    touches: [],
    put: (draft) => planted(spotAt(draft.insert(path.split('.'), value), at), message),
  }
}

/** A further route with something wrong in it; `at` leads to the value, and a final `!` to its key. */
function route(
  settings: Readonly<Record<string, unknown>>,
  at: string,
  message: RegExp,
  more: Particulars = {},
): Plant {
  return {
    kind: `a route with ${JSON.stringify(settings)}`,
    touches: more.touches ?? [],
    put(draft) {
      const name = draft.freshName()
      const node = draft.insert(['routes'], {
        id: name,
        match: { path: [`/${name}`, `/${name}/`] },
        upstream: upstreamOf(draft),
        auth: 'public',
        ...settings,
      })
      return planted(spotAt(node, at), message, more.severity)
    },
  }
}

/** A further upstream with something wrong in it. */
function upstream(
  settings: Readonly<Record<string, unknown>>,
  at: string,
  message: RegExp,
  severity?: Planted['severity'],
): Plant {
  return {
    kind: `an upstream with ${JSON.stringify(settings)}`,
    touches: [],
    put(draft) {
      const name = draft.freshName()
      draft.set(['upstreams', name], { servers: ['http://127.0.0.1:8000'], ...settings })
      return planted(spotAt(draft.read('upstreams', name), at), message, severity)
    },
  }
}

/** A further cache with something wrong in it, which no engine uses; with nothing to point at, its key. */
function cache(settings: Readonly<Record<string, unknown>>, at: string, message: RegExp): Plant {
  return {
    kind: `a cache with ${JSON.stringify(settings)}`,
    touches: [],
    put(draft) {
      const name = draft.freshName()
      draft.set(['caches', name], settings)
      return planted(at === '' ? draft.keyAt('caches', name) : spotAt(draft.read('caches', name), at), message)
    },
  }
}

function spotAt(node: unknown, at: string): Spot | undefined {
  if (at === '') return nodeAt(node)
  const keys = at
    .replace('!', '')
    .split('.')
    .map((key) => (/^\d+$/.test(key) ? Number(key) : key))
  return at.endsWith('!') ? pairOf(node, ...keys) : nodeAt(node, ...keys)
}

function upstreamOf(draft: Draft): string {
  const names = Object.keys((draft.read('upstreams') as { toJSON(): object }).toJSON())
  return names.find((name) => !name.startsWith('planted')) ?? ''
}

/** Only a mistake where the cookie is not Secure. */
function insecure(plant: Plant): Plant {
  return { ...plant, put: (draft) => (draft.read('session', 'cookie_secure') === true ? undefined : plant.put(draft)) }
}

/** Mistakes of form, which the schema knows. */
export const formPlants: readonly Plant[] = [
  {
    kind: 'an unknown key in any mapping',
    touches: [],
    put(draft) {
      const map = draft.pick(closedMappings(draft))
      const name = draft.freshName()
      return planted(map && draft.addPair(map, name, 1), new RegExp(`unknown key "${name}"`))
    },
  },
  {
    kind: 'a key twice in any mapping',
    touches: [],
    put(draft) {
      const map = draft.pick(
        closedMappings(draft).filter(({ items }) => items.length > 0 && String(items[0]?.key) !== '<<'),
      )
      const key = String(map?.items[0]?.key)
      if (map === undefined) return undefined
      const pair = draft.addPair(map, key, 1)
      map.items.push(...map.items.splice(map.items.indexOf(pair), 1))
      return planted(pair, new RegExp(`"${key}" is written twice`))
    },
  },
  {
    kind: 'a merge key in any mapping',
    touches: [],
    put: (draft) => {
      const map = draft.pick(closedMappings(draft))
      return planted(map && draft.addPair(map, '<<', 'planted'), /a merge key/)
    },
  },
  {
    kind: 'a mapping where one value is wanted',
    touches: ['all'],
    put(draft) {
      const pair: Pair | undefined = draft.pick(draft.scalarPairs())
      if (pair === undefined) return undefined
      pair.value = draft.insert(['x-planted'], { planted: 1 })
      return planted(pair.value as Spot, / must be /)
    },
  },
  setting('version', 2, /version must be the number 1, not 2/),
  setting('mode', 'observing', /mode must be one of/),
  setting('session.engine', 'redis', /engine must be one of/, { touches: ['engine'] }),
  setting('session.cookie_age', '14 days', /cookie_age must be a duration/),
  setting('session.store_timeout', '0s', /store_timeout must be more than nothing/),
  setting('session.max_bytes', '64k', /max_bytes must be a size/),
  setting('session.save_every_request', 'yes', /save_every_request must be true or false/),
  setting('session.auth_key', '', /auth_key must be a key of the session that is not empty/),
  setting('session.salt_class', '${PLANTED_NOBODY}', /PLANTED_NOBODY is not set/),
  setting('session.user_id', '${file:/planted/nothing}', /\/planted\/nothing cannot be read/),
  setting('session.user_index', 'often', /user_index must be true or false/),
  setting('session.clear_expired.batch', 0, /batch must be a whole number/),
  setting('signing.ttl', '90s', /ttl must be at most 60s/),
  setting('signing.bind', 'both', /bind must be one of/),
  setting('database.pool_size', 0, /pool_size must be a whole number/),
  setting('session.read_also.engine', 'signed_cookies', /engine must be one of db, cache/, { touches: ['engine'] }),
  setting('login.next_param', 'a b', /next_param must be a parameter name/),
  setting('logging.level', 'loud', /level must be one of/),
  setting('shutdown.drain', 20, /drain must be a duration/),
  item('listen', { address: 'localhost' }, /must be host:port/, 'address'),
  item('hosts', 5, /must be a host, not 5/),
  upstream({ servers: 'http://127.0.0.1' }, 'servers', /servers must be a list of URLs/),
  upstream({ retries: 11 }, 'retries', /retries must be a whole number/),
  upstream({ timeouts: { connect: 'soon' } }, 'timeouts.connect', /connect must be a duration/),
  route({ auth: 'maybe' }, 'auth', /auth must be one of/),
  route({ match: { pth: '/p' } }, 'match.pth!', /unknown key "pth"/, { touches: ['match'] }),
  route({ writeback: { alow: [] } }, 'writeback.alow!', /unknown key "alow"/),
  route({ login: { uri: '/in' } }, 'login.uri!', /unknown key "uri"/),
  item('keys', { id: 'planted', sceret: 'x' }, /unknown key "sceret"/, 'sceret!'),
  route({ match: { path: 5 } }, 'match.path', /path must be a path/, { touches: ['match'] }),
  route({ require: ['a..b'] }, 'require.0', /must be a path into the session/),
  route(
    { headers: { request: { 'X-Planted-Bad': 'a\nb' } } },
    'headers.request.X-Planted-Bad',
    /must be a header value/,
  ),
  route({ headers: { request: { 'X Planted': 'a' } } }, 'headers.request.X Planted!', /must be a header name/),
  route({ limits: { body: '10 MB' } }, 'limits.body', /body must be a size/),
  route({ websocket: true }, 'websocket', /websocket must be false, or a mapping/),
  route({ writeback: { commands: ['set'] } }, 'writeback.commands.0', /must be one of flush/),
]

/** Mistakes of sense, which only several parts together make. */
export const sensePlants: readonly Plant[] = [
  item('listen', { address: '127.0.0.1:99999' }, /is not an address to listen on/, 'address'),
  item('hosts', 'a.example.com:80', /no request can have the host/),
  item('trusted_proxies', '0.0.0.0/0', /trusts everybody/),
  item('trusted_proxies', 'nginx', /is neither an address/),
  item('login.allowed_hosts', 'https://a.example', /is not a host/),
  insecure(setting('session.cookie_samesite', 'None', /SameSite=None unless/)),
  insecure(setting('session.cookie_name', '__Secure-planted', /unless it is Secure/)),
  setting('database.url', 'sqlite:///db', /names no database/),
  cache({ backend: 'redis' }, '', /needs a url/),
  cache({ backend: 'redis', url: 'planted:6379' }, 'url', /names no Redis server/),
  cache({ backend: 'redis', url: ['redis://a', 'redis://b'] }, 'url.1', /several servers of plain Redis/),
  cache({ backend: 'memcached', url: 'h:1', password: 'planted' }, 'password!', /has no password/),
  cache({ backend: 'redis-cluster', url: ['redis://a', 'rediss://b'] }, 'url.1', /and others not/),
  cache({ backend: 'redis', url: 'redis://h', username: 'planted' }, 'username', /never let in/),
  setting('login.url', '/planted/../login', /is not the address of a login page/, { touches: ['login.url', 'match'] }),
  setting('session.auth_key', 'user.id', /not a path/, { severity: 'warning' }),
  setting('session.cookie_httponly', false, /every script/, { severity: 'warning' }),
  setting('session.local_cache.max_age', '0s', /max_age must be more than nothing/),
  item('keys', { id: 'planted', secret: 'short' }, /too short|has no private_key/, 'secret'),
  item(
    'listen',
    { address: ':0', tls: { cert: 'a', key: 'b' }, redirect_to_https: true },
    /round in a circle/,
    'redirect_to_https!',
  ),
  item(
    'listen',
    { address: ':0', tls: { cert: 'a', key: 'b', client_cert: 'optional' } },
    /no certificate would be taken/,
    'tls.client_cert',
  ),
  upstream({ servers: ['http://a', 'http://A:80/'] }, 'servers.1', /is there twice/),
  upstream({ servers: ['unix:'] }, 'servers.0', /is not the address of an app/),
  upstream({ tls: { ca: 'a.crt' } }, 'tls!', /tls is for servers that begin with https/),
  upstream({ servers: ['https://a'], tls: { cert: 'a' } }, 'tls.cert', /only one is named/),
  upstream({ servers: ['http://a/b'] }, 'servers.0', /is not the address of an app/),
  upstream({ writeback: { allow: ['_gw'] } }, 'writeback.allow.0', /is reserved/),
  upstream({ health: { path: 'healthz' } }, 'health.path', /path must be a path/),
  route({ upstream: 'nobody' }, 'upstream', /there is no upstream "nobody"/),
  route({ match: { path: 'planted' } }, 'match.path', /no request can have the path/, { touches: ['match'] }),
  route({ match: { path: '/p', method: ['GET', 'get'] } }, 'match.method.1', /the method "get"/, {
    touches: ['match'],
  }),
  route({ match: { host: 'a_b c' } }, 'match.host', /no request can have the host/, { touches: ['match'] }),
  route({ require: ['a'] }, 'require!', /require asks something/),
  route({ allow: 'session.a ==', auth: 'optional' }, 'allow', /expression cannot be used/),
  route({ session: 'none', auth: 'required' }, 'auth', /auth: required cannot be met/, { touches: ['login.url'] }),
  route({ writeback: { allow: ['_planted'] } }, 'writeback.allow.0', /does not permit "_planted"/),
  route({ headers: { session: { 'X-Session-Planted': 'a' } } }, 'headers.session.X-Session-Planted!', /cannot be set/),
  route(
    { headers: { request: { 'X-Planted': 'a', x_planted: 'b' } } },
    'headers.request.x_planted!',
    /one header to the app/,
  ),
  route({ websocket: { origins: ['a.example'] } }, 'websocket.origins.0', /is not an origin/),
  route({ login: { url: 'login' } }, 'login.url', /is not the address of a login page/),
  route({ auth: 'optional' }, 'id', /is open to strangers/, { severity: 'warning' }),
  route({ mode: 'observe' }, 'mode', /every request of this route/, { severity: 'warning' }),
  route({ on_store_error: 'anonymous' }, 'on_store_error', /on_store_error: anonymous/, { severity: 'warning' }),
  route({ ambiguous_paths: 'allow' }, 'ambiguous_paths', /ambiguous_paths: allow/, { severity: 'warning' }),
  route({ method_overrides: 'keep' }, 'method_overrides', /method_overrides: keep/, { severity: 'warning' }),
  route({ session: 'none', include: ['a'] }, 'include!', /include is without effect/, { severity: 'warning' }),
  {
    kind: 'an id twice',
    touches: [],
    put(draft) {
      const id = draft.read('routes', 0, 'id')
      const plant = route({ id }, 'id', /two of the routes have the id/)
      // Which of the two is told depends on their order: the second.
      const put = plant.put(draft)
      return draft.read('routes', 0, 'id') === id && put?.spot !== nodeAt(draft.read('routes'), 0, 'id')
        ? put
        : undefined
    },
  },
  {
    kind: 'an address twice',
    touches: [],
    put(draft) {
      draft.insert(['listen'], { address: '127.0.0.1:4321' })
      return planted(draft.set(['probes', 'listen'], '127.0.0.1:4321'), /taken by another listener/)
    },
  },
  {
    kind: 'a route behind its twin',
    touches: ['match'],
    put(draft) {
      const id = draft.freshName()
      const spot = draft.shadowRoute({ id, upstream: upstreamOf(draft), auth: 'required' })
      return planted(spot, new RegExp(`no request can reach the route ${id}`))
    },
  },
  {
    kind: 'a login page behind the wall',
    touches: ['match', 'login.url'],
    put(draft) {
      const url = `/${draft.freshName()}/in`
      const node = draft.insertFirst(['routes'], {
        id: draft.freshName(),
        match: { path: `${url.replace('/in', '')}/*` },
        upstream: upstreamOf(draft),
        auth: 'required',
        mode: 'enforce',
        login: { url },
      })
      return planted(nodeAt(node, 'login', 'url'), /which lets nobody in/)
    },
  },
]
