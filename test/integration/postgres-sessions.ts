import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createSessionCodec } from '../../src/django/session-data.ts'
import { createSessionKey } from '../../src/django/session-key.ts'
import { GatewayError } from '../../src/errors.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { openPostgresSessions } from '../../src/sessions/databases/postgres.ts'
import type { SessionEngine } from '../../src/sessions/engine.ts'
import type { PostgresDatabase } from '../support/postgres.ts'

/** The gateway's connections, as the server sees them. */
export const OURS = "FROM pg_stat_activity WHERE application_name = 'sessiongate'"

export interface PostgresSettings {
  readonly create?: boolean
  readonly poolSize?: number
  readonly pgbouncer?: boolean
  readonly timeoutMs?: number
  readonly batchTimeoutMs?: number
}

/** The `db` engine on that database, with real time and more of it than a busy machine needs. */
export function openSessions(url: string, settings: PostgresSettings = {}): SessionEngine {
  return openPostgresSessions({
    url,
    create: true,
    poolSize: 5,
    pgbouncer: false,
    timeoutMs: 20_000,
    codec: createSessionCodec({ secretKey: 'test-secret-key-0123456789' }),
    expiryRules: { cookieAgeSeconds: 1000, expireAtBrowserClose: false, dates: 'iso', useTz: true },
    clock: systemClock,
    newKey: () => createSessionKey(),
    ...settings,
  })
}

export interface CountingTask {
  readonly url: string
  readonly key: string
  /** What the members begin with that this process counts in, one for each of `writers`. */
  readonly name: string
  readonly writers: number
  readonly times: number
}

/** Fifty writers, or another number, in a process of their own; resolves when it ended well. */
export async function countElsewhere(task: CountingTask): Promise<void> {
  const child = fork(import.meta.filename, [JSON.stringify(task)])
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`the counting process ended with ${code}`)
}

/** Each writer counts in a member of its own, and looks whether its last value is still there. */
async function count({ url, key, name, writers, times }: CountingTask): Promise<void> {
  await using engine = openSessions(url)
  const write = async (member: string) => {
    for (let last = 0; last < times; last++) {
      const result = await engine.transition(key, (now) => {
        if (Number(now.get(member) ?? 0) !== last) throw new Error(`${member} is not what was stored`)
        return { kind: 'update', data: new Map(now).set(member, `${last + 1}`) }
      })
      if (result.kind !== 'stored') throw new Error(`the session is ${result.kind}`)
    }
  }
  await Promise.all(Array.from({ length: writers }, (_, i) => write(`${name}${i}`)))
}

/** The error of a call that must fail for the store's sake. */
export async function failureOf(call: Promise<unknown>): Promise<GatewayError> {
  try {
    await call
  } catch (error) {
    assert.ok(error instanceof GatewayError)
    assert.equal(error.code, 'ERR_STORE_UNAVAILABLE')
    return error
  }
  throw new Error('the call succeeded')
}

/** What was counted under `n`. */
export async function numberOf(engine: SessionEngine, key: string): Promise<number> {
  const loaded = await engine.load(key)
  assert.ok(loaded.found)
  return Number(loaded.data.get('n'))
}

/** The engine works again: at once, or after its next few connections. */
export async function recovers(engine: SessionEngine): Promise<void> {
  const giveUpAt = performance.now() + 10_000
  for (;;) {
    try {
      return await engine.ping()
    } catch (error) {
      if (performance.now() > giveUpAt) throw error
    }
  }
}

/** None of our statements is being worked on. */
export async function noneIsActive(database: PostgresDatabase): Promise<void> {
  const giveUpAt = performance.now() + 10_000
  for (;;) {
    const active = await database.sql(`SELECT query ${OURS} AND datname = current_database() AND state = 'active'`)
    if (active.length === 0) return
    assert.ok(performance.now() < giveUpAt, JSON.stringify(active))
  }
}

if (import.meta.main) await count(JSON.parse(process.argv[2] ?? ''))
