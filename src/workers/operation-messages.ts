import { z } from 'zod'
import {
  clearedView,
  explanationView,
  keyView,
  overviewView,
  revocationView,
  routeView,
  sessionListView,
  sessionView,
  storeView,
  upstreamView,
} from '../admin/views.ts'

/** A server of an upstream, by the names that the list of upstreams has. */
export const serverPlace = z.object({ upstream: z.string(), server: z.string() })
export type ServerPlace = z.output<typeof serverPlace>

const texts: z.ZodType<readonly string[]> = z.array(z.string())
const all = z.object({ kind: z.literal('all') })
const ofUser = z.object({ kind: z.literal('user'), user: z.string() })
const ofValue = z.object({ kind: z.literal('value'), path: texts, value: z.unknown() })
const cursor = z.object({ kind: z.literal('cursor'), cursor: z.string() })
const ids = z.object({ kind: z.literal('ids'), ids: texts })

/** What the operator asks that a worker can answer; the names are those of `Operations`. */
export const operation = z.discriminatedUnion('name', [
  z.object({ name: z.literal('overview') }),
  z.object({ name: z.literal('routes') }),
  z.object({
    name: z.literal('explain'),
    method: z.string(),
    url: z.string(),
    session: z.string().optional(),
  }),
  z.object({
    name: z.literal('listSessions'),
    query: z.discriminatedUnion('kind', [all, ofUser, ofValue, cursor]),
    limit: z.number(),
  }),
  z.object({ name: z.literal('showSession'), id: z.string() }),
  z.object({ name: z.literal('revokeSessions'), which: z.discriminatedUnion('kind', [all, ofUser, ofValue, ids]) }),
  z.object({ name: z.literal('upstreams') }),
  z.object({ name: z.literal('setDrained'), place: serverPlace, isDrained: z.boolean() }),
  z.object({ name: z.literal('keys') }),
  z.object({ name: z.literal('store'), isCounted: z.boolean() }),
  z.object({ name: z.literal('clearExpired') }),
])
export type Operation = z.output<typeof operation>

/** What comes of each. Where there is no such thing JSON has `null`. */
export const outcomes = {
  overview: overviewView,
  routes: z.array(routeView),
  explain: explanationView,
  listSessions: sessionListView,
  showSession: sessionView.nullable(),
  revokeSessions: revocationView,
  upstreams: z.array(upstreamView),
  setDrained: z.boolean(),
  keys: z.array(keyView),
  store: storeView,
  clearExpired: clearedView.shape.cleared,
} as const satisfies Readonly<Record<Operation['name'], z.ZodType>>

/** How it ended. Of a failure the worker has told its log; what could be wrong to tell does not travel. */
export type Operated<T = unknown> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'failed' }

/** The answer to an operation of which that comes. */
export function operated<T>(outcome: z.ZodType<T>): z.ZodType<Operated<T>> {
  return z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('done'), value: outcome }),
    z.object({ kind: z.literal('refused'), message: z.string() }),
    z.object({ kind: z.literal('failed') }),
  ]) as z.ZodType<Operated<T>>
}
