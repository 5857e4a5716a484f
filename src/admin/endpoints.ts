import { z } from 'zod'
import { OperationRefused, type Operations, type SessionQuery } from './operations.ts'
import {
  clearedView,
  configurationView,
  drainView,
  explanationView,
  historyView,
  keyView,
  overviewView,
  reloadView,
  revocationView,
  routeView,
  sessionListView,
  sessionView,
  storeView,
  upstreamView,
} from './views.ts'

/** One address of the API. A GET changes nothing. */
export interface Endpoint {
  readonly method: 'GET' | 'POST'
  /** `{name}` stands for one segment, which comes in as a member of the input. */
  readonly path: string
  readonly about: string
  /** Members of the path, and of the query (GET) or the JSON body (POST). */
  readonly input: z.ZodType
  readonly output: z.ZodType
  /** What is written down about it beside who did it; absent: nothing is changed, nothing is written. */
  readonly audited?: string
  /** How many things were changed, by what is answered; for the same line. */
  readonly countOf?: (body: unknown) => number
  /** Undefined: there is no such thing (404). @throws {OperationRefused} (409) */
  readonly run: (operations: Operations, input: unknown) => unknown
}

interface EndpointOf<Input extends z.ZodType> extends Omit<Endpoint, 'input' | 'run'> {
  readonly input: Input
  readonly run: (operations: Operations, input: z.output<Input>) => unknown
}

function endpoint<Input extends z.ZodType>(given: EndpointOf<Input>): Endpoint {
  return { ...given, run: (operations, input) => given.run(operations, given.input.parse(input)) }
}

const nothing = z.strictObject({})
const publicId = z.string().regex(/^[\w-]{22}$/, 'a public id has 22 characters')
const valuePath = z.string().min(1).max(200)
const matching = {
  user: z.string().min(1).max(1000).optional().describe('Of session.user_id'),
  key: valuePath.optional().describe('Dotted path into the session, such as userInfo.role; with value'),
}

const listInput = z.strictObject({
  ...matching,
  value: z.string().max(1000).optional().describe('JSON, such as "admin" with its quotes, or 7'),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  cursor: z.string().max(100).optional(),
})

/** No session is nested deeper; and what looks into values goes down with them. */
const MAX_DEPTH = 32

const sessionValue = z.unknown().refine((value) => isWithin(value, MAX_DEPTH), {
  message: `nested deeper than ${MAX_DEPTH}, which no session is`,
})

const revokeInput = z
  .strictObject({ ...matching, value: sessionValue.optional(), ids: z.array(publicId).min(1).max(1000).optional() })
  .refine(({ ids, user, key }) => [ids, user, key].filter((given) => given !== undefined).length === 1, {
    message: 'name ids, or a user, or a key with a value',
  })

const serverInput = z.strictObject({
  upstream: z.string(),
  server: z.string().describe('As in the list of upstreams'),
})

/** All there are, in the order of the document. */
export const endpoints: readonly Endpoint[] = [
  endpoint({
    method: 'GET',
    path: '/api/overview',
    about: 'What runs, since when, and whether it is ready',
    input: nothing,
    output: overviewView,
    run: (operations) => operations.overview(),
  }),
  endpoint({
    method: 'GET',
    path: '/api/history',
    about: 'What happened in the last hour, in stretches of ten seconds',
    input: nothing,
    output: historyView,
    run: (operations) => operations.history(),
  }),
  endpoint({
    method: 'GET',
    path: '/api/routes',
    about: 'The routes in the order in which they are tried',
    input: nothing,
    output: z.array(routeView),
    run: (operations) => operations.routes(),
  }),
  endpoint({
    method: 'POST',
    path: '/api/explain',
    about: 'Which route a request meets, which rule decides, and what the app would get; nothing is sent',
    input: z.strictObject({
      method: z.string().regex(/^[A-Z]{1,20}$/, 'a method in capitals'),
      url: z.string().min(1).max(8000),
      session: publicId.optional(),
    }),
    output: explanationView,
    run: (operations, { method, url, session }) => operations.explain({ method, url, session }),
  }),
  endpoint({
    method: 'GET',
    path: '/api/sessions',
    about: 'Sessions: all, those of a user, or those in which a key has a value; page by page',
    input: listInput,
    output: sessionListView,
    run(operations, { cursor, limit, user, key, value }) {
      if (cursor !== undefined) return operations.listSessions({ kind: 'cursor', cursor }, limit)
      return operations.listSessions(
        queryOf({ user, key, value: value === undefined ? undefined : jsonOf(value) }),
        limit,
      )
    },
  }),
  endpoint({
    method: 'GET',
    path: '/api/sessions/{id}',
    about: 'One session; its values only where admin.show_values allows it',
    input: z.strictObject({ id: publicId }),
    output: sessionView,
    run: (operations, { id }) => operations.showSession(id),
  }),
  endpoint({
    method: 'POST',
    path: '/api/sessions/revoke',
    about: 'Ends sessions: by public id, all of a user, or all in which a key has a value',
    input: revokeInput,
    output: revocationView,
    audited: 'admin_revoke',
    countOf: (body) => revocationView.parse(body).revoked,
    run(operations, { ids, user, key, value }) {
      return operations.revokeSessions(ids === undefined ? queryOf({ user, key, value }) : { kind: 'ids', ids })
    },
  }),
  endpoint({
    method: 'GET',
    path: '/api/upstreams',
    about: 'Upstreams, their connections, and how each server is seen',
    input: nothing,
    output: z.array(upstreamView),
    run: (operations) => operations.upstreams(),
  }),
  ...[true, false].map((isDrained) =>
    endpoint({
      method: 'POST',
      path: `/api/upstreams/{upstream}/${isDrained ? 'drain' : 'resume'}`,
      about: isDrained ? 'A server gets no new requests' : 'A drained server takes part again',
      input: serverInput,
      output: drainView,
      audited: isDrained ? 'admin_drain' : 'admin_resume',
      async run(operations, place) {
        const isThere = await operations.setDrained(place, isDrained)
        return isThere ? { server: place.server, drained: isDrained } : undefined
      },
    }),
  ),
  endpoint({
    method: 'GET',
    path: '/api/configuration',
    about: 'The configuration in force, and where the file says something else by now',
    input: nothing,
    output: configurationView,
    run: (operations) => operations.configuration(),
  }),
  endpoint({
    method: 'POST',
    path: '/api/reload',
    about: 'Reads the configuration again',
    input: nothing,
    output: reloadView,
    audited: 'config_reload',
    run: (operations) => operations.reload(),
  }),
  endpoint({
    method: 'GET',
    path: '/api/keys',
    about: 'The keys that sign assertions and sessions: ids and ages, never the secrets',
    input: nothing,
    output: z.array(keyView),
    run: (operations) => operations.keys(),
  }),
  endpoint({
    method: 'GET',
    path: '/api/store',
    about: 'The session store: whether it answers, how fast, and how much it holds',
    input: z.strictObject({ count: z.enum(['true', 'false']).default('false') }),
    output: storeView,
    run: (operations, { count }) => operations.store({ isCounted: count === 'true' }),
  }),
  endpoint({
    method: 'POST',
    path: '/api/store/clear-expired',
    about: 'Deletes what has expired, now',
    input: nothing,
    output: clearedView,
    audited: 'admin_clear_expired',
    countOf: (body) => clearedView.parse(body).cleared,
    run: async (operations) => ({ cleared: await operations.clearExpired() }),
  }),
]

function queryOf(given: { user: string | undefined; key: string | undefined; value: unknown }): SessionQuery {
  const { user, key, value } = given
  if (user !== undefined) return { kind: 'user', user }
  if (key === undefined) return { kind: 'all' }
  if (value === undefined) throw new OperationRefused('a key is searched for with a value')
  return { kind: 'value', path: key.split('.'), value }
}

function isWithin(value: unknown, depth: number): boolean {
  let level = [value]
  for (let down = 0; down <= depth; down += 1) {
    level = level.flatMap((one) => (typeof one === 'object' && one !== null ? Object.values(one) : []))
    if (level.length === 0) return true
  }
  return false
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new OperationRefused('value is JSON: text has quotes around it')
  }
}
