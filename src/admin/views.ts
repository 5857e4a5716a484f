import { z } from 'zod'

/**
 * What the API tells, as the OpenAPI document has it. Times are ISO 8601 in UTC, durations seconds. No view holds a
 * session's key, a secret, or, unless it was allowed, a value of a session.
 */
export const overviewView = z.strictObject({
  version: z.string(),
  node: z.string(),
  started_at: z.iso.datetime(),
  uptime_seconds: z.number(),
  mode: z.enum(['enforce', 'observe']),
  config_hash: z.string(),
  listen: z.array(z.string()),
  ready: z.boolean(),
  checks: z.record(z.string(), z.string()),
  workers: z
    .array(
      z.strictObject({
        worker: z.number().describe('As in the log'),
        pid: z.number(),
        version: z.string(),
        uptime_seconds: z.number(),
        ready: z.boolean(),
      }),
    )
    .optional()
    .describe('Those that serve, where there are several'),
})

export const routeView = z.strictObject({
  id: z.string(),
  hosts: z.array(z.string()),
  paths: z.array(z.string()),
  methods: z.array(z.string()),
  upstream: z.string(),
  session: z.boolean(),
  auth: z.enum(['public', 'optional', 'required']),
  require: z.array(z.string()),
  allow: z.string().nullable(),
  mode: z.enum(['enforce', 'observe']),
  on_deny: z.enum(['auto', 'redirect', 'status']),
  csrf: z.enum(['off', 'same-site']),
})

export const explanationView = z.strictObject({
  target: z.string(),
  route: z.string().nullable(),
  goes_up_as: z.string().nullable(),
  rules: z.array(z.strictObject({ id: z.string(), hit: z.boolean(), missed_by: z.string().nullable() })),
  outcome: z.string(),
  status: z.number().nullable(),
  location: z.string().nullable(),
  reason: z.string().nullable(),
  headers_up: z.array(z.strictObject({ name: z.string(), value: z.string() })),
})

const sessionHead = {
  id: z.string().describe('Public id, as in logs and assertions'),
  user: z.string().nullable().describe('By session.user_id; null = nobody is logged in, or nothing says who'),
  expires_at: z.iso.datetime().nullable(),
}

export const sessionListView = z.strictObject({
  sessions: z.array(z.strictObject({ ...sessionHead, names: z.array(z.string()) })),
  next: z.string().nullable().describe('Cursor of the next page, good for a minute; null = that was all'),
  is_whole: z.boolean().describe('false = the store cannot tell all that it holds'),
})

export const sessionView = z.strictObject({
  ...sessionHead,
  values_shown: z.boolean(),
  data: z.record(z.string(), z.unknown()).describe('Values, or what kind each is of'),
})

export const revocationView = z.strictObject({
  revoked: z.number(),
  ids: z.array(z.string()).describe('Of the first thousand'),
})

export const upstreamView = z.strictObject({
  name: z.string(),
  balance: z.string(),
  connections: z.strictObject({ active: z.number(), idle: z.number(), pending: z.number() }),
  servers: z.array(
    z.strictObject({
      server: z.string(),
      up: z.boolean().describe('In all workers'),
      drained: z.boolean().describe('In all workers'),
      ejections: z.number(),
      not_drained_in: z.array(z.number()).optional().describe('Pids of the workers, where it is drained in others'),
    }),
  ),
})

const problemView = z.strictObject({ file: z.string().nullable(), line: z.number().nullable(), message: z.string() })

export const configurationView = z.strictObject({
  hash: z.string(),
  in_force: z.record(z.string(), z.unknown()).describe('With defaults filled in; secrets are [redacted]'),
  file: z.strictObject({
    path: z.string(),
    is_valid: z.boolean(),
    differences: z.array(z.strictObject({ path: z.string(), in_force: z.unknown(), in_file: z.unknown() })),
    problems: z.array(problemView),
  }),
})

export const reloadView = z.strictObject({ taken: z.boolean(), hash: z.string(), problems: z.array(problemView) })

export const keyView = z.strictObject({
  id: z.string().describe('Of a key in keys; or current, fallback-1 and so on of secret_key and its fallbacks'),
  purpose: z.enum(['assertions', 'sessions']).describe('What it signs'),
  algorithm: z.string(),
  signs: z.boolean().describe('false = what it has signed is still read'),
  created: z.iso.date().nullable().describe('As the configuration says; null = it does not'),
  age_seconds: z.number().nullable(),
  signs_since: z.iso.datetime().nullable().describe('Since when all processes sign with it; it may be much older'),
  sessions_read: z
    .number()
    .nullable()
    .describe('How many sessions were read with it since counted_since, and perhaps before'),
  counted_since: z.iso.datetime().nullable(),
})

export const storeView = z.strictObject({
  engine: z.string(),
  up: z.boolean(),
  latency_seconds: z.number().nullable(),
  local_cache: z.string(),
  sessions: z.number().nullable().describe('Counted when asked for with count=true, and at most a million'),
  expired: z
    .number()
    .nullable()
    .describe(
      'What clear-expired would delete now, counted as sessions are; null also where the store forgets by itself',
    ),
})

export const clearedView = z.strictObject({ cleared: z.number() })

export const drainView = z.strictObject({ server: z.string(), drained: z.boolean() })

const samples = z.array(z.number().nullable())

export const historyView = z.strictObject({
  every_seconds: z.number(),
  at: z.array(z.iso.datetime()).describe('The end of each stretch; the newest is last, and an hour is kept'),
  series: z
    .strictObject({
      requests: samples,
      with_session: samples.describe('Requests that brought a session that holds'),
      errors: samples.describe('Answers of status 500 and above'),
      refused: samples.describe('Not let in by the access rules'),
      sent_to_login: samples.describe('By a redirect'),
      sessions_begun: samples,
      sessions_renewed: samples.describe('With another key, as by a login'),
      sessions_revoked: samples,
      overhead_p99_seconds: samples.describe('Of a hundred requests 99 took the gateway no longer than that'),
      in_flight: samples.describe('At the end of the stretch'),
      web_sockets: samples.describe('At the end of the stretch'),
    })
    .describe('Each as long as at; per second where nothing else is said; null = nothing to be said'),
})

export type HistoryView = z.infer<typeof historyView>
export type Overview = z.infer<typeof overviewView>
export type RouteView = z.infer<typeof routeView>
export type ExplanationView = z.infer<typeof explanationView>
export type SessionList = z.infer<typeof sessionListView>
export type SessionView = z.infer<typeof sessionView>
export type Revocation = z.infer<typeof revocationView>
export type UpstreamView = z.infer<typeof upstreamView>
export type ConfigurationView = z.infer<typeof configurationView>
export type ReloadView = z.infer<typeof reloadView>
export type KeyView = z.infer<typeof keyView>
export type StoreView = z.infer<typeof storeView>
